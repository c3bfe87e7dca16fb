"""Every way in which a provider fails, through the real SDKs: one kind, one clear line, and what it may have cost."""

import asyncio
import pickle
import time
from email.utils import formatdate

import pytest
from wire import SPOKEN, Drop, Fail, Protocol, Reply, Say, WireServer
from wire_client import KEY, MODEL, PROMPT, SECRET, fails, outcome, with_provider

from autoresearch_ray.common.errors import (
    BadAnswerError,
    OverloadedError,
    ProviderError,
    ProviderRefusedError,
    ProviderTimeoutError,
    RateLimitedError,
)
from autoresearch_ray.propose.llm.calls import Answer
from autoresearch_ray.propose.llm.providers.connect import connect
from autoresearch_ray.propose.llm.providers.provider import Provider

NOTHING = (0, 0, 0, 0)
STATUSES: list[tuple[int, type[ProviderError]]] = [
    (307, ProviderRefusedError),
    (400, ProviderRefusedError),
    (401, ProviderRefusedError),
    (402, ProviderRefusedError),
    (403, ProviderRefusedError),
    (404, ProviderRefusedError),
    (413, ProviderRefusedError),
    (422, ProviderRefusedError),
    (409, OverloadedError),
    (429, RateLimitedError),
    (500, OverloadedError),
    (502, OverloadedError),
    (503, OverloadedError),
    (529, OverloadedError),
]


def one_line(error: ProviderError, protocol: Protocol) -> bool:
    text = str(error)
    return text.startswith(f"{protocol}:{MODEL}: ") and text.isprintable() and 20 < len(text) < 400


@pytest.mark.parametrize(("status", "kind"), STATUSES)
def test_an_error_status_has_one_kind_and_costs_nothing(
    protocol: Protocol, status: int, kind: type[ProviderError]
) -> None:
    with WireServer(protocol, [Fail(status, "the reason\nin two lines")]) as server:
        error = fails(server)
    assert type(error) is kind and one_line(error, protocol), error
    assert str(status) in str(error) or status == 402
    assert error.billed == NOTHING and error.retry_after_seconds is None
    assert len(server.requests) == 1  # the SDK has not asked again by itself


@pytest.mark.parametrize("status", [408, 504])
def test_a_time_out_of_something_between_may_have_cost_anything(protocol: Protocol, status: int) -> None:
    with WireServer(protocol, [Fail(status)]) as server:
        error = fails(server)
    assert type(error) is ProviderTimeoutError and error.billed is None


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimitedError), (503, OverloadedError), (529, OverloadedError)])
def test_the_wait_that_the_provider_asks_for_is_told(
    protocol: Protocol, status: int, kind: type[ProviderError]
) -> None:
    with WireServer(protocol, [Fail(status, retry_after="37")]) as server:
        error = fails(server)
    assert isinstance(error, RateLimitedError | OverloadedError) and error.retry_after_seconds == 37


def test_the_wait_may_be_a_date(protocol: Protocol) -> None:
    with WireServer(protocol, [Fail(429, retry_after=formatdate(time.time() + 90, usegmt=True))]) as server:
        error = fails(server)
    assert error.retry_after_seconds is not None and 60 < error.retry_after_seconds < 120


def test_gemini_s_own_way_to_ask_for_a_wait_is_understood() -> None:
    body = (
        b'{"error": {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED", "details": '
        b'[{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "41.5s"}]}}'
    )
    with WireServer("gemini", [Fail(429, body=body)]) as server:
        error = fails(server)
    assert type(error) is RateLimitedError and error.retry_after_seconds == 41.5


@pytest.mark.parametrize(
    ("provider", "status", "kind"),
    [
        ("openai", 429, "insufficient_quota"),
        ("anthropic", 402, "billing_error"),
        ("anthropic", 400, "billing_error"),
    ],
)
def test_no_credit_is_final_whatever_its_status(provider: Protocol, status: int, kind: str) -> None:
    with WireServer(provider, [Fail(status, "buy some", kind, retry_after="1")]) as server:
        error = fails(server)
    assert type(error) is ProviderRefusedError and "no credit" in str(error)


def test_gemini_s_wrong_key_is_final_though_its_status_is_400() -> None:
    with WireServer("gemini", [Fail(400, "API key not valid.", "API_KEY_INVALID")]) as server:
        error = fails(server)
    assert type(error) is ProviderRefusedError and "GEMINI_API_KEY" in str(error)


def test_a_wrong_key_is_named_by_where_it_comes_from_and_never_shown(protocol: Protocol) -> None:
    with WireServer(
        protocol, [Fail(401, f"Incorrect API key provided: {SECRET}, {SECRET[:7]}***{SECRET[-4:]}")]
    ) as server:
        error = fails(server)
    assert "_API_KEY" in str(error) and SECRET[-4:] not in str(error)


@pytest.mark.parametrize("status", [400, 404, 429, 500])
def test_no_message_has_the_key_in_it_though_the_provider_repeats_it(protocol: Protocol, status: int) -> None:
    with WireServer(protocol, [Fail(status, f"you sent {SECRET}, which ...")]) as server:
        error = fails(server)
    assert SECRET not in str(error) and "[key]" in str(error)


@pytest.mark.parametrize("reply", [Fail(401), Fail(429), Drop(), Say("x", end="half"), Say("x", end="reset")])
def test_a_failure_that_travels_carries_no_key_with_it(protocol: Protocol, reply: Reply) -> None:
    with WireServer(protocol, [reply]) as server:
        error = fails(server)
    assert SECRET.encode() not in pickle.dumps(error)
    assert error.__cause__ is None and error.__context__ is None  # the SDK's error holds the request, and so the key
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.billed) == (type(error), str(error), error.billed)


def test_a_page_of_html_instead_of_an_error_is_cut_to_a_line(protocol: Protocol) -> None:
    page = b"<!DOCTYPE html>\n<html>" + b"<p>Bad gateway\n" * 500
    with WireServer(protocol, [Fail(502, body=page)]) as server:
        error = fails(server)
    assert type(error) is OverloadedError and one_line(error, protocol)


def test_a_reset_before_the_answer_is_overload_that_may_have_cost_anything(protocol: Protocol) -> None:
    with WireServer(protocol, [Drop()]) as server:
        error = fails(server)
    assert type(error) is OverloadedError and error.billed is None and one_line(error, protocol)


def test_a_provider_that_cannot_be_reached_costs_nothing(protocol: Protocol) -> None:
    with WireServer(protocol, [Say()]) as server:
        pass  # only its address, where nobody listens any more
    error = fails(server)
    assert type(error) is OverloadedError and error.billed == NOTHING


def test_who_cannot_be_reached_is_named_with_the_proxy_in_between(
    protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "me:secret@proxy.invalid:3128")
    with WireServer(protocol, [Say()]) as server:
        address = server.url.split("/")[2]
        error = str(fails(server))
        assert f"{address} cannot be reached" in error and error.endswith("HTTP_PROXY=[password]@proxy.invalid:3128")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert with_provider(server, lambda provider: provider(PROMPT)).text == "hello"
    assert "proxy" not in str(fails(server))


def test_what_is_not_there_is_told_with_its_address(protocol: Protocol) -> None:
    with WireServer(protocol, [Fail(404, "no such model")]) as server:
        error = str(fails(server))
    path = SPOKEN[protocol].path(MODEL)
    assert "unknown model or address (404): no such model; asked was http://127.0.0.1:" in error
    assert error.endswith(path), "its own path is whole, so nothing is missing"


def test_an_address_without_its_v1_is_told_what_it_should_be() -> None:
    with WireServer("openai", [Say()]) as server:

        async def call() -> Answer | ProviderError:
            provider = connect("openai", MODEL, KEY, server.url.removesuffix("/v1"))
            try:
                return await outcome(provider(PROMPT))
            finally:
                await provider.close()

        error = str(asyncio.run(call()))
    assert "/chat/completions (most servers want a base URL that ends in /v1)" in error


@pytest.mark.parametrize("end", ["reset", "cut", "half"])
def test_an_answer_that_breaks_off_is_a_bad_one_and_may_have_cost_anything(protocol: Protocol, end: str) -> None:
    with WireServer(protocol, [Say(["a good ", "beginning"], end=end)]) as server:  # type: ignore[arg-type]
        error = fails(server)
    assert type(error) is BadAnswerError and error.billed is None and one_line(error, protocol)


def test_half_a_json_is_called_so(protocol: Protocol) -> None:
    with WireServer(protocol, [Say("x", end="half")]) as server:
        assert "half of a JSON" in str(fails(server))


def test_an_error_in_mid_stream_has_its_own_kind_and_may_have_cost_anything(protocol: Protocol) -> None:
    with WireServer(protocol, [Say("a good beginning", end="error")]) as server:
        error = fails(server)
    assert type(error) is OverloadedError and error.billed is None and "overloaded" in str(error)


@pytest.mark.parametrize("text", ["", " \n\t "])
def test_an_empty_answer_is_a_bad_one_that_costs_what_was_counted(protocol: Protocol, text: str) -> None:
    with WireServer(protocol, [Say(text, input_tokens=800, output_tokens=9)]) as server:
        error = fails(server)
    assert type(error) is BadAnswerError and error.billed == (800, 0, 0, 9)


def test_a_stop_without_an_answer_is_a_bad_one() -> None:
    with WireServer("gemini", [Say("well", stop="MALFORMED_RESPONSE")]) as server:
        assert type(fails(server)) is BadAnswerError


@pytest.mark.parametrize("body", [b'{"choices": null}', b"[]", b'"hello"', b"<html>welcome</html>", b""])
def test_what_is_no_stream_at_all_is_a_bad_answer(protocol: Protocol, body: bytes) -> None:
    with WireServer(protocol, [Fail(200, body=body)]) as server:
        error = fails(server)
    assert type(error) is BadAnswerError and one_line(error, protocol), error


def test_an_answer_without_end_is_cut_off() -> None:
    with WireServer("openai", [Say(["x" * 10_000] * 10)]) as server:
        error = fails(server)
    assert type(error) is BadAnswerError and "no end" in str(error)


def test_after_any_failure_the_next_call_works(protocol: Protocol) -> None:
    faults: list[Reply] = [Drop(), Fail(429), Fail(500), Say("x", end="reset"), Say("x", end="half"), Say("")]

    async def calls(provider: Provider) -> list[str]:
        results = [await outcome(provider(PROMPT)) for _ in range(2 * len(faults))]
        return [type(result).__name__ for result in results]

    script = [reply for fault in faults for reply in (fault, Say("fine"))]
    with WireServer(protocol, script) as server:
        kinds = with_provider(server, calls)
    assert kinds[1::2] == [Answer.__name__] * len(faults)
    assert Answer.__name__ not in kinds[::2]


def test_a_key_that_turns_invalid_in_the_middle_fails_from_then_on(protocol: Protocol) -> None:
    def script(request: object) -> Reply:
        return Say() if len(server.requests) <= 2 else Fail(401)

    async def calls(provider: Provider) -> list[Answer | ProviderError]:
        return [await outcome(provider(PROMPT)) for _ in range(4)]

    with WireServer(protocol, script) as server:
        results = with_provider(server, calls)
    assert [type(result) for result in results] == [Answer, Answer, ProviderRefusedError, ProviderRefusedError]
