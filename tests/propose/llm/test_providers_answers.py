"""Answers through the real SDKs: what is sent, and what is made of what comes."""

import asyncio

import pytest
from wire import Protocol, Request, Say, WireServer
from wire_client import MODEL, PROMPT, REPAIR, SECRET, ask, with_provider

from autoresearch_ray.propose.llm.calls import Answer, Message, Prompt
from autoresearch_ray.propose.llm.providers.openai import limit_names
from autoresearch_ray.propose.llm.providers.provider import Provider


def test_an_answer_is_its_pieces_with_the_tokens_that_the_provider_counted(protocol: Protocol) -> None:
    script = [Say(["one ", "two ", "three"], input_tokens=900, cached_tokens=500, written_tokens=0, output_tokens=31)]
    with WireServer(protocol, script) as server:
        answer = ask(server)
    assert (answer.text, answer.stop, answer.model) == ("one two three", "end", MODEL)
    assert (answer.input_tokens, answer.cached_tokens, answer.output_tokens) == (900, 500, 31)
    assert answer.seconds > 0 and not answer.estimated


@pytest.mark.parametrize("stop", ["end", "length", "refusal"])
def test_why_an_answer_stops_is_told_in_one_vocabulary(protocol: Protocol, stop: str) -> None:
    with WireServer(protocol, [Say("some text", stop=stop)]) as server:
        assert ask(server).stop == stop


@pytest.mark.parametrize("stop", ["length", "refusal"])
def test_an_answer_without_text_is_an_answer_when_it_says_why(protocol: Protocol, stop: str) -> None:
    with WireServer(protocol, [Say((), stop=stop)]) as server:
        answer = ask(server)
    assert (answer.text, answer.stop) == ("", stop)


def test_the_whole_prompt_arrives_what_changes_least_first(protocol: Protocol) -> None:
    with WireServer(protocol, [Say()]) as server:
        ask(server, REPAIR)
    text = server.requests[0].text
    parts = ["the contract", "the frontier", "propose", "an edit", "it does not apply"]
    assert [text.count(part) for part in parts] == [1] * 5
    assert sorted(parts, key=text.index) == parts


def test_a_prompt_without_system_or_context_is_sent_without_empty_parts(protocol: Protocol) -> None:
    with WireServer(protocol, [Say()]) as server:
        answer = ask(server, Prompt("", "", (Message("user", "propose"),), 100))
    assert answer.text == "hello" and server.requests[0].text == "propose"


def test_roles_alternate_and_begin_with_the_user(protocol: Protocol) -> None:
    with WireServer(protocol, [Say()]) as server:
        ask(server, REPAIR)
    body = server.requests[0].body
    roles = [message["role"] for message in body["contents" if protocol == "gemini" else "messages"]]
    assistant = "model" if protocol == "gemini" else "assistant"
    assert roles == (["system"] if protocol == "openai" else []) + ["user", assistant, "user"]


def test_the_answer_is_limited_in_the_provider_s_own_word(protocol: Protocol) -> None:
    with WireServer(protocol, [Say()]) as server:
        ask(server)
    body = server.requests[0].body
    assert (body["generationConfig"]["maxOutputTokens"] if protocol == "gemini" else body["max_tokens"]) == 1_000


def test_nothing_is_asked_for_that_some_models_refuse(protocol: Protocol) -> None:
    with WireServer(protocol, [Say()]) as server:
        ask(server)
    body = server.requests[0].body
    assert not {"temperature", "top_p", "top_k", "topP", "stop", "thinking"} & {
        *body,
        *body.get("generationConfig", {}),
    }


def test_claude_is_asked_to_cache_what_does_not_change_and_no_more() -> None:
    with WireServer("anthropic", [Say()]) as server:
        ask(server, REPAIR)
    body = server.requests[0].body
    blocks = [*body["system"], *body["messages"][0]["content"]]
    cached = [block["text"] for block in blocks if block.get("cache_control") == {"type": "ephemeral"}]
    assert cached == ["the contract", "the frontier"]
    assert "cache_control" not in str(body["messages"][1:])


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_tokens_written_to_a_cache_are_told_apart(provider: Protocol) -> None:
    with WireServer(provider, [Say(input_tokens=900, cached_tokens=300, written_tokens=200)]) as server:
        answer = ask(server)
    assert (answer.input_tokens, answer.cached_tokens, answer.written_tokens) == (900, 300, 200)


def test_a_server_that_counts_nothing_gets_an_estimate_that_says_so() -> None:
    with WireServer("openai", [Say("x" * 400, usage=False)]) as server:
        answer = ask(server, Prompt("s" * 100, "c" * 200, (Message("user", "u" * 100),), 1_000))
    assert (answer.input_tokens, answer.output_tokens, answer.estimated) == (100, 100, True)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("api.openai.com", "max_completion_tokens"),
        ("eu.api.openai.com", "max_completion_tokens"),
        ("notopenai.com", "max_tokens"),
        ("localhost", "max_tokens"),
    ],
)
def test_openai_s_own_models_get_the_limit_that_counts_thinking_too(host: str, name: str) -> None:
    assert limit_names(host)[0] == name


def test_gemini_s_answers_are_never_continued_by_requests_of_the_sdk_s_own() -> None:
    with WireServer("gemini", [Say("half of it", stop="CONTINUATION")]) as server:
        answer = ask(server)
    assert (answer.text, answer.stop, len(server.requests)) == ("half of it", "length", 1)


@pytest.mark.parametrize("reason", ["SAFETY", "RECITATION", "BLOCKLIST", "SPII"])
def test_each_of_gemini_s_filters_is_a_refusal(reason: str) -> None:
    with WireServer("gemini", [Say("", stop=reason)]) as server:
        assert ask(server).stop == "refusal"


def test_sixteen_calls_at_once_get_each_their_own_answer(protocol: Protocol) -> None:
    def script(request: Request) -> Say:
        return Say(["echo ", request.text.split()[-1]], pause=0.05)

    async def sixteen(provider: Provider) -> list[Answer]:
        prompts = [Prompt("s", "c", (Message("user", f"call {n}"),), 100) for n in range(16)]
        return list(await asyncio.gather(*map(provider, prompts)))

    with WireServer(protocol, script) as server:
        answers = with_provider(server, sixteen)
    assert [answer.text for answer in answers] == [f"echo {n}" for n in range(16)]
    assert len(server.requests) == 16


def test_the_key_goes_to_the_provider_alone_and_in_one_header(protocol: Protocol) -> None:
    with WireServer(protocol, [Say()]) as server:
        ask(server)
    request = server.requests[0]
    carrying = [name for name, value in request.headers.items() if SECRET in value]
    assert carrying == (["x-goog-api-key"] if protocol == "gemini" else ["authorization"])
    assert SECRET not in request.path and SECRET not in str(request.body)


def test_an_answer_survives_every_kind_of_text(protocol: Protocol) -> None:
    text = "tabs\t, lines\n\r\n, quotes \"'`, 漢字 \U0001f9ea, \u2028 and <<<<<<< SEARCH\n    x = {'a': 1}\n=======\n"
    with WireServer(protocol, [Say([text[:20], text[20:]])]) as server:
        assert ask(server).text == text
    assert PROMPT.system in server.requests[0].text
