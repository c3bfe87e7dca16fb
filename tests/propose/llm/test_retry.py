"""Retries: which failures, how often, and how long in between. No test sleeps."""

import asyncio
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire import Drop, Fail, Protocol, Reply, Say, WireServer
from wire_client import PROMPT, with_provider

from autoresearch_ray.common.errors import (
    BadAnswerError,
    OverloadedError,
    ProviderError,
    ProviderRefusedError,
    ProviderTimeoutError,
    RateLimitedError,
)
from autoresearch_ray.propose.llm.calls import Answer, Prompt
from autoresearch_ray.propose.llm.providers.provider import Provider
from autoresearch_ray.propose.llm.providers.retry import Backoff, Retrying, retry_after_seconds

ANSWER = Answer("fine", "end", "m", 1, 0, 1, 0.1)
LIMITS = [(RateLimitedError, 8), (OverloadedError, 6), (ProviderTimeoutError, 2), (BadAnswerError, 3)]


class Scripted:
    """An Ask that fails in order, then answers."""

    def __init__(self, *failures: ProviderError) -> None:
        self.failures, self.calls = list(failures), 0

    async def __call__(self, prompt: Prompt) -> Answer:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return ANSWER


class Waits(list[float]):
    """The waits that were slept."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


def retry(ask: Scripted, waits: Waits, jitter: float = 1.0, backoff: Backoff | None = None) -> Answer:
    return asyncio.run(Retrying(ask, backoff, sleep=waits, jitter=lambda: jitter)(PROMPT))


def test_a_success_is_asked_once() -> None:
    ask, waits = Scripted(), Waits()
    assert retry(ask, waits) is ANSWER and (ask.calls, waits) == (1, [])


@pytest.mark.parametrize(("kind", "limit"), LIMITS)
def test_each_kind_has_its_number_of_attempts(kind: type[ProviderError], limit: int) -> None:
    enough, waits = Scripted(*[kind("no") for _ in range(limit - 1)]), Waits()
    assert retry(enough, waits) is ANSWER and len(waits) == limit - 1
    last = kind("the last one")
    too_many = Scripted(*[kind("no") for _ in range(limit - 1)], last, kind("not asked for any more"))
    with pytest.raises(kind) as caught:
        retry(too_many, Waits())
    assert caught.value is last and too_many.calls == limit


def test_what_is_final_is_never_asked_again() -> None:
    ask, waits = Scripted(ProviderRefusedError("wrong key")), Waits()
    with pytest.raises(ProviderRefusedError):
        retry(ask, waits)
    assert (ask.calls, waits) == (1, [])


def test_an_error_that_is_no_provider_s_goes_through_at_once() -> None:
    class Broken:
        async def __call__(self, prompt: Prompt) -> Answer:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(Retrying(Broken(), sleep=Waits())(PROMPT))


def test_waits_double_up_to_the_cap() -> None:
    waits = Waits()
    retry(Scripted(*[RateLimitedError("no") for _ in range(7)]), waits)
    assert waits == [1, 2, 4, 8, 16, 32, 60]


def test_waits_grow_with_failures_of_any_kind() -> None:
    waits = Waits()
    retry(Scripted(RateLimitedError("no"), OverloadedError("no"), BadAnswerError("no")), waits)
    assert waits == [1, 2, 4]


def test_jitter_spreads_a_wait_over_its_whole_range() -> None:
    waits = Waits()
    retry(Scripted(*[OverloadedError("no") for _ in range(3)]), waits, jitter=0.25)
    assert waits == [0.25, 0.5, 1.0]


def test_the_provider_s_own_wait_is_kept_and_spread_a_little_beyond() -> None:
    waits = Waits()
    retry(Scripted(RateLimitedError("no", 120.0), OverloadedError("no", 0.0)), waits, jitter=0.5)
    assert waits == [120.5, 0.5]


def test_a_provider_that_asks_for_too_long_a_wait_is_not_asked_again() -> None:
    ask, waits = Scripted(RateLimitedError("tomorrow", 86_400.0)), Waits()
    with pytest.raises(RateLimitedError) as caught:
        retry(ask, waits)
    assert (ask.calls, waits, caught.value.retry_after_seconds) == (1, [], 86_400.0)


@given(st.integers(1, 10_000), st.none() | st.floats(0, 300), st.floats(0, 1, exclude_max=True))
def test_no_wait_is_shorter_than_asked_for_or_longer_than_the_cap(failures: int, asked: float | None, j: float) -> None:
    wait = Backoff().wait_seconds(failures, asked, j)
    assert 0 <= wait <= 60 if asked is None else asked <= wait <= asked + 1


NOW = 1_790_000_000.0
DATE = formatdate(NOW + 60, usegmt=True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": DATE}, 60.0),
        ({"retry-after": DATE, "date": formatdate(NOW + 20, usegmt=True)}, 40.0),  # the server's clock is ahead
        ({"retry-after": DATE, "date": formatdate(NOW + 90, usegmt=True)}, 0.0),
        ({"retry-after": DATE, "date": "yesterday"}, 60.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Fri, 99 Foo 2026 99:99:99 GMT"}, None),
    ],
)
def test_every_form_of_retry_after_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_seconds(headers, NOW) == seconds


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_header_makes_it_stumble(retry_after: str, date: str) -> None:
    seconds = retry_after_seconds({"retry-after": retry_after, "date": date}, NOW)
    assert seconds is None or 0 <= seconds < float("inf")


def test_the_whole_fault_script_ends_in_an_answer(protocol: Protocol) -> None:
    faults: list[Reply] = [
        Fail(429),
        Fail(429, retry_after="7"),
        Fail(500),
        Fail(529),
        Fail(503, retry_after="3"),
        Drop(),
        Say("x", end="half"),
        Say("x", end="reset"),
    ]
    waits = Waits()

    async def call(provider: Provider) -> Answer:
        return await Retrying(provider, sleep=waits, jitter=lambda: 1.0)(PROMPT)

    with WireServer(protocol, [*faults, Say("done")]) as server:
        assert with_provider(server, call).text == "done"
    assert len(server.requests) == len(faults) + 1
    assert waits == [1, 8, 4, 8, 4, 32, 60, 60]


def test_a_key_that_turns_invalid_ends_the_retries(protocol: Protocol) -> None:
    async def call(provider: Provider) -> Answer:
        return await Retrying(provider, sleep=Waits())(PROMPT)

    with WireServer(protocol, [Fail(429), Fail(500), Fail(401)]) as server, pytest.raises(ProviderRefusedError):
        with_provider(server, call)
    assert len(server.requests) == 3
