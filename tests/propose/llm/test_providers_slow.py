"""Slow providers: what lives is waited for, what hangs is ended, and nothing is left behind."""

import asyncio

import pytest
from wire import Protocol, Say, Silence, WireServer
from wire_client import PROMPT, ask, fails, outcome, with_provider

from autoresearch_ray.common.errors import ProviderTimeoutError
from autoresearch_ray.propose.llm.calls import Answer
from autoresearch_ray.propose.llm.providers.provider import Provider
from autoresearch_ray.propose.llm.providers.watch import Patience

SHORT = Patience(first_seconds=0.4, stall_seconds=0.4, call_seconds=60)
ENDING = Patience(first_seconds=0.4, stall_seconds=60, call_seconds=0.8)


def test_silence_before_the_answer_is_a_time_out(protocol: Protocol) -> None:
    with WireServer(protocol, [Silence()]) as server:
        error = fails(server, SHORT)
    assert type(error) is ProviderTimeoutError and "no answer within 0.4 s" in str(error) and error.billed is None


def test_a_stall_in_mid_stream_is_a_time_out(protocol: Protocol) -> None:
    with WireServer(protocol, [Say(["a good ", "beginning"], end="stall")]) as server:
        error = fails(server, SHORT)
    assert type(error) is ProviderTimeoutError and "in the middle of the answer" in str(error) and error.billed is None


def test_a_stall_after_the_headers_is_a_time_out(protocol: Protocol) -> None:
    with WireServer(protocol, [Say((), end="stall")]) as server:
        assert type(fails(server, SHORT)) is ProviderTimeoutError


def test_a_slow_answer_that_keeps_coming_is_waited_for(protocol: Protocol) -> None:
    with WireServer(protocol, [Say(["piece "] * 12, pause=0.1)]) as server:
        answer = ask(server, patience=SHORT)  # three times as long as any limit but the last
    assert answer.text == "piece " * 12 and answer.seconds > 1.0


def test_signs_of_life_without_text_keep_a_thinking_model_going(protocol: Protocol) -> None:
    with WireServer(protocol, [Say("at last", wait=1.2, pings=12)]) as server:
        answer = ask(server, patience=SHORT)
    assert answer.text == "at last" and answer.seconds > 1.0


def test_an_answer_that_trickles_for_ever_ends_at_the_limit_of_a_call(protocol: Protocol) -> None:
    with WireServer(protocol, [Say(["x"] * 1_000, pause=0.05)]) as server:
        error = fails(server, ENDING)
    assert type(error) is ProviderTimeoutError and "no end of the answer within 0.8 s" in str(error)


def test_one_that_hangs_holds_up_no_other(protocol: Protocol) -> None:
    async def together(provider: Provider) -> list[type]:
        return [type(result) for result in await asyncio.gather(*(outcome(provider(PROMPT)) for _ in range(4)))]

    with WireServer(protocol, [Silence(), Say(), Say("x", end="stall"), Say()]) as server:
        kinds = with_provider(server, together, SHORT)
    assert sorted(kind.__name__ for kind in kinds) == ["Answer"] * 2 + ["ProviderTimeoutError"] * 2


def test_after_a_time_out_the_next_call_works(protocol: Protocol) -> None:
    async def calls(provider: Provider) -> list[type]:
        return [type(await outcome(provider(PROMPT))) for _ in range(3)]

    with WireServer(protocol, [Say("x", end="stall"), Silence(), Say()]) as server:
        assert with_provider(server, calls, SHORT) == [ProviderTimeoutError, ProviderTimeoutError, Answer]


def test_a_cancelled_call_ends_at_once_and_leaves_the_provider_usable(protocol: Protocol) -> None:
    async def cancelled(provider: Provider) -> str:
        task = asyncio.ensure_future(provider(PROMPT))
        while not server.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return (await provider(PROMPT)).text

    with WireServer(protocol, [Say("x", end="stall"), Say("fine")]) as server:
        assert with_provider(server, cancelled) == "fine"


def test_a_model_may_think_longer_before_its_answer_than_pause_within_it(protocol: Protocol) -> None:
    thinking = Patience(first_seconds=60, stall_seconds=0.3, call_seconds=60)
    with WireServer(protocol, [Say("at last", wait=0.9)]) as server:
        assert ask(server, patience=thinking).text == "at last"
    with WireServer(protocol, [Say(["at last", " not"], pause=60)]) as server:
        assert "no byte for 0.3 s" in str(fails(server, thinking))
