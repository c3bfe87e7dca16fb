"""A model's window is learned from what it refuses: less history and a shorter answer are asked for, not nothing."""

import asyncio
import re
from collections.abc import Callable

import pytest
from pasts import Story, long_story
from test_session import POWER, idea
from wire import Fail, Reply, Request, Say, WireServer
from wire_client import fails, with_provider

from autoresearch_ray.candidate.rules import check_candidate
from autoresearch_ray.common.errors import SettingsError, TooLongError
from autoresearch_ray.propose.llm.conversation import Conversation, Gates, Idea
from autoresearch_ray.propose.llm.prompt.prompt import ANSWER_LEAST, ANSWER_TOKENS
from autoresearch_ray.propose.llm.prompt.view import SearchView
from autoresearch_ray.propose.llm.window import Window, propose_within

M = 1_048_576
WORDS: dict[str, Callable[[int, int, int], str]] = {  # of the prompt's tokens, the answer's and the window
    "openai": lambda given, asked, window: (
        f"This model's maximum context length is {window} tokens. However, you requested {given + asked} tokens "
        f"({given} in the messages, {asked} in the completion). Please reduce the length of either one."
    ),
    "vllm": lambda given, asked, window: (
        f"'max_tokens' or 'max_completion_tokens' is too large: {asked}. This model's maximum context length is "
        f"{window} tokens and your request has {given} input tokens ({asked} > {window} - {given})."
    ),
    "anthropic": lambda given, asked, window: (
        f"input length and `max_tokens` exceed context limit: {given} + {asked} > {window}, decrease input length"
    ),
    "llama.cpp": lambda given, asked, window: (
        f"the request exceeds the available context size ({window} tokens), try increasing it"
    ),
    "no number": lambda given, asked, window: "the request exceeds the available context size, try increasing it",
}


def limited(words: str, window: int, answer: str = idea(POWER)) -> Callable[[Request], Reply]:
    """A server with so large a window, which counts a token for four characters."""

    def script(request: Request) -> Reply:
        given, asked = len(request.text) // 4, request.body["max_tokens"]
        return Fail(400, WORDS[words](given, asked, window)) if given + asked > window else Say(answer)

    return script


def propose(server: WireServer, window: Window, view: SearchView) -> Conversation:
    async def dry_run(text: str) -> str | None:
        return None

    async def accept(accepted: Idea) -> None:
        await asyncio.sleep(0)

    gates = Gates(check_candidate, lambda text: None, dry_run)
    return with_provider(server, lambda provider: propose_within(window, provider, view, gates, accept))


@pytest.mark.parametrize("words", WORDS)
def test_what_is_too_long_is_asked_again_with_less_until_it_fits(words: str) -> None:
    view, window = long_story(300).view(), Window()
    with WireServer("openai", limited(words, 12_000)) as server:
        conversation = propose(server, window, view)
        asked = len(server.requests)
        again = propose(server, window, view)
    assert [len(conversation.ideas), len(again.ideas)] == [1, 1]
    assert asked <= 12 and len(server.requests) == asked + 1, "what was learned counts for the next call too"
    last = server.requests[-1]
    assert "Steps of the search" in last.text and last.body["max_tokens"] >= ANSWER_LEAST


def test_a_window_that_was_said_before_needs_no_refusal() -> None:
    with WireServer("openai", limited("openai", 12_000)) as server:
        conversation = propose(server, Window(12_000), long_story(300).view())
    assert (len(conversation.ideas), len(server.requests)) == (1, 1)


def test_a_window_that_is_large_enough_changes_nothing() -> None:
    with WireServer("openai", limited("openai", 60_000)) as server:
        propose(server, Window(), Story().view())
        propose(server, Window(60_000), Story().view())
    assert [request.body["max_tokens"] for request in server.requests] == [ANSWER_TOKENS] * 2
    assert server.requests[0].text == server.requests[1].text


def test_a_window_without_room_for_the_contract_is_said_with_what_would_do() -> None:
    view = Story().view()
    with WireServer("openai", limited("openai", 4_000)) as server:
        with pytest.raises(
            SettingsError, match=r"a model's window of 4000 tokens: .* a window of (\d+) tokens"
        ) as said:
            propose(server, Window(), view)
        needed = int(re.findall(r"a window of (\d+) tokens", str(said.value))[-1])
        server.script = limited("openai", needed)
        assert len(propose(server, Window(needed), view).ideas) == 1


def test_a_repair_that_does_not_fit_costs_no_idea_and_is_no_failure() -> None:
    def script(request: Request) -> Reply:
        if request.number:
            return Fail(400, "the request exceeds the available context size, try increasing it")
        return Say(idea(POWER, 1) + idea("", 2) + "and so on " * 400)

    with WireServer("openai", script) as server:
        conversation = propose(server, Window(), Story().view())
    assert (len(conversation.ideas), conversation.error) == (1, None)


def test_a_repair_that_is_known_not_to_fit_is_not_sent_and_makes_no_window_smaller() -> None:
    window = Window(12_000)
    with WireServer("openai", limited("openai", 12_000, idea(POWER, 1) + idea("", 2) + "and so on " * 4_000)) as server:
        conversations = [propose(server, window, Story().view()) for _ in range(2)]
    assert [(len(conversation.ideas), conversation.error) for conversation in conversations] == [(1, None)] * 2
    assert (len(server.requests), window.tokens) == (2, 12_000)


@pytest.mark.parametrize(
    ("message", "most"),
    [
        ("max_tokens is too large: 16000. This model supports at most 4096 completion tokens, whereas you ...", 4_096),
        ("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]", 8_192),
        ("max_tokens: 16000 > 8192, which is the maximum allowed number of output tokens for claude-x", 8_192),
        (
            "`max_tokens` must be less than or equal to `8192`, the maximum value for `max_tokens` is less than the "
            "`context_window` for this model",
            8_192,
        ),
    ],
)
def test_an_answer_longer_than_a_model_gives_is_asked_for_shorter(message: str, most: int) -> None:
    with WireServer(
        "openai", lambda r: Fail(400, message) if r.body["max_tokens"] > most else Say(idea(POWER))
    ) as server:
        conversation = propose(server, Window(), Story().view())
    assert len(conversation.ideas) == 1
    assert [request.body["max_tokens"] for request in server.requests] == [ANSWER_TOKENS, most]


@pytest.mark.parametrize(
    ("message", "window", "prompt"),
    [
        (WORDS["openai"](5_621, 16_000, 8_192), 8_192, 5_621),
        (WORDS["vllm"](5_621, 16_000, 8_192), 8_192, 5_621),
        (WORDS["anthropic"](190_000, 16_000, 200_000), 200_000, 190_000),
        (WORDS["llama.cpp"](5_621, 16_000, 4_096), 4_096, None),
        ("prompt is too long: 210000 tokens > 200000 maximum", 200_000, 210_000),
        (
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            1_048_576,
            1_200_000,
        ),
        ("Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 21621", 6_000, None),
        ("However, the model is loaded with context length of only 4096 tokens, which is not enough", 4_096, None),
    ],
)
def test_the_window_is_read_from_every_server_s_words(message: str, window: int, prompt: int | None) -> None:
    with WireServer("openai", [Fail(400, message)]) as server:
        error = fails(server)
    assert isinstance(error, TooLongError), error
    assert (error.window_tokens, error.prompt_tokens, error.billed) == (window, prompt, (0, 0, 0, 0))


@pytest.mark.parametrize(
    ("read", "remark"), [(2_051, "its server read 2051 tokens of a prompt of about "), (None, ""), (0, "")]
)
def test_a_prompt_that_a_server_cuts_in_silence_is_remarked(read: int | None, remark: str) -> None:
    window = Window()
    with WireServer("openai", [Say(idea(POWER), input_tokens=read)]) as server:
        propose(server, window, Story().view())
    assert window.remark.startswith(remark) and bool(window.remark) == bool(remark)


def test_a_model_whose_answers_are_too_short_for_an_idea_is_told_so() -> None:
    message = "max_tokens is too large: 16000. This model supports at most 512 completion tokens, whereas you ..."

    with WireServer("openai", [Fail(400, message)]) as server:
        conversation = propose(server, Window(), Story().view())
    assert isinstance(conversation.error, TooLongError) and "at most 512" in str(conversation.error)
    assert len(server.requests) == 1
