"""Servers that speak OpenAI's protocol in ways of their own: an answer is an answer, and what is refused is asked for
in the other way, once for the whole run."""

import asyncio
import json
from collections.abc import Callable

import pytest
from wire import Fail, Protocol, Reply, Request, Say, WireServer
from wire_client import PROMPT, ask, fails, outcome, with_provider

from autoresearch_ray.common.errors import BadAnswerError, ProviderRefusedError, RateLimitedError
from autoresearch_ray.propose.llm.calls import Answer
from autoresearch_ray.propose.llm.providers.provider import Provider

SYSTEM = PROMPT.system
Refuses = Callable[[Request], bool]
REFUSED: dict[str, tuple[Refuses, Fail]] = {
    "max_tokens": (
        lambda r: "max_tokens" in r.body,
        Fail(400, "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."),
    ),
    "stream_options": (
        lambda r: "stream_options" in r.body,
        Fail(422, "stream_options.include_usage: extra inputs are not permitted"),
    ),
    "a system message": (lambda r: r.body["messages"][0]["role"] == "system", Fail(400, "System role not supported")),
    "a system message, by failing": (
        lambda r: r.body["messages"][0]["role"] == "system",
        Fail(500, "Jinja exception: this chat template has no system role"),
    ),
    "streaming": (
        lambda r: bool(r.body["stream"]),
        Fail(400, "Your organization must be verified to stream this model."),
    ),
}


def whole(text: str, finish_reason: str | None = "stop") -> Fail:
    """An answer in one piece."""
    message = {"role": "assistant", "content": text}
    choices = [{"index": 0, "message": message, "finish_reason": finish_reason}]
    usage = {"prompt_tokens": 90, "completion_tokens": 9, "total_tokens": 99}
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": usage}
    return Fail(200, body=json.dumps(body).encode())


@pytest.mark.parametrize("what", REFUSED)
def test_what_a_server_refuses_is_asked_for_in_the_other_way_from_then_on(what: str) -> None:
    refuses, refusal = REFUSED[what]

    def script(request: Request) -> Reply:
        if refuses(request):
            return refusal
        return Say("hello") if request.body["stream"] else whole("hello")

    async def twice(provider: Provider) -> list[Answer]:
        return [await provider(PROMPT), await provider(PROMPT)]

    with WireServer("openai", script) as server:
        answers = with_provider(server, twice)
    assert [answer.text for answer in answers] == ["hello"] * 2
    assert [refuses(request) for request in server.requests] == [True, False, False]
    for request in server.requests:
        assert request.text.count(SYSTEM) == 1, "the contract is sent in every way"
        assert {request.body.get("max_tokens"), request.body.get("max_completion_tokens")} == {None, 1_000}


def test_a_server_may_refuse_one_thing_after_the_other_and_all_calls_at_once_are_answered() -> None:
    def script(request: Request) -> Reply:
        found = next((refusal for refuses, refusal in REFUSED.values() if refuses(request)), None)
        return found or whole("hello")

    async def calls(provider: Provider) -> list[Answer]:
        return list(await asyncio.gather(*(provider(PROMPT) for _ in range(4))))

    with WireServer("openai", script) as server:
        answers = with_provider(server, calls)
    assert [answer.text for answer in answers] == ["hello"] * 4
    assert len(server.requests) <= 4 * 5


@pytest.mark.parametrize("message", [refusal.message for _, refusal in REFUSED.values()])
def test_a_server_that_refuses_both_ways_is_asked_no_more(message: str) -> None:
    with WireServer("openai", [Fail(400, message)]) as server:
        assert type(fails(server)) is ProviderRefusedError
    assert len(server.requests) == 2


@pytest.mark.parametrize("stop", ["", None])
def test_a_stream_that_ends_whole_without_saying_why_is_an_answer(stop: str | None) -> None:
    with WireServer("openai", [Say(["one ", "two"], stop=stop)]) as server:
        answer = ask(server)
    assert (answer.text, answer.stop) == ("one two", "end")


def test_a_stream_without_its_last_mark_is_cut_off_though_the_connection_ended_well() -> None:
    piece = json.dumps({"choices": [{"index": 0, "delta": {"content": "half"}, "finish_reason": None}]})
    with WireServer(
        "openai", [Fail(200, body=f"data: {piece}\n\n".encode(), content_type="text/event-stream")]
    ) as server:
        error = fails(server)
    assert type(error) is BadAnswerError and "did not come to its end, 4 characters" in str(error)


@pytest.mark.parametrize("reason", ["stop", "", None])
def test_an_answer_in_one_piece_is_an_answer(reason: str | None) -> None:
    with WireServer("openai", [whole("hello", reason)]) as server:
        answer = ask(server)
    assert (answer.text, answer.stop, answer.input_tokens, answer.output_tokens) == ("hello", "end", 90, 9)


def test_thinking_is_no_part_of_an_answer(protocol: Protocol) -> None:
    with WireServer(protocol, [Say("hello", thinking="Let me see.")]) as server:
        answer = ask(server)
    assert (answer.text, answer.thought) == ("hello", True)


def test_thinking_alone_is_an_answer_that_says_so_and_is_asked_for_once(protocol: Protocol) -> None:
    with WireServer(protocol, [Say((), thinking="Let me see.", input_tokens=800, output_tokens=9)]) as server:
        answer = ask(server)
    assert (answer.text, answer.stop, answer.thought, answer.output_tokens) == ("", "end", True, 9)


def test_content_in_parts_of_thinking_and_text_is_read_as_mistral_s_models_send_it() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Let me see."}]}
    deltas = [{"content": [thinking]}, {"content": [{"type": "text", "text": "hel"}]}, {"content": "lo"}]
    events = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    events.append({"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}]})
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    with WireServer("openai", [Fail(200, body=body.encode(), content_type="text/event-stream")]) as server:
        answer = ask(server)
    assert (answer.text, answer.thought) == ("hello", True)


@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream"])
def test_an_error_whose_status_is_a_number_in_the_body_has_the_kind_of_that_status(content_type: str) -> None:
    error = {"error": {"code": 429, "message": "Rate limited upstream."}, "choices": []}
    body = json.dumps(error) if "json" in content_type else f"data: {json.dumps(error)}\n\n"
    with WireServer("openai", [Fail(200, body=body.encode(), content_type=content_type)]) as server:
        failed = with_provider(server, lambda provider: outcome(provider(PROMPT)))
    assert isinstance(failed, RateLimitedError) and "Rate limited upstream." in str(failed), failed
