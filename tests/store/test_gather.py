"""Who shares a call with whom, and what becomes of the others when one gives up or the call fails."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from autoresearch_ray.common.errors import StoreError
from autoresearch_ray.store.actor.gather import Gathering, ThreadGathering


def doubled(requests: list[int]) -> list[int]:
    if 13 in requests:
        raise StoreError("13 is refused")
    return [2 * request for request in requests]


class SlowCall:
    """Doubles numbers, once it is let; remembers what came together."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.may_answer = asyncio.Event()

    async def __call__(self, requests: list[int]) -> list[int]:
        self.calls.append(list(requests))
        await self.may_answer.wait()
        return doubled(requests)


def test_on_a_loop_those_who_come_while_a_call_runs_share_the_next() -> None:
    async def use() -> None:
        call = SlowCall()
        gathering = Gathering(call)
        first = asyncio.create_task(gathering.ask([1]))
        await asyncio.sleep(0.01)
        crowd = [asyncio.create_task(gathering.ask([number, number + 1])) for number in (10, 20)]
        await asyncio.sleep(0.01)
        assert call.calls == [[1]]
        call.may_answer.set()
        assert [await task for task in (first, *crowd)] == [[2], [20, 22], [40, 42]]
        assert call.calls == [[1], [10, 11, 20, 21]]

    asyncio.run(use())


def test_on_a_loop_who_gives_up_does_not_take_the_others_along_and_all_hear_of_a_failure() -> None:
    async def use() -> None:
        call = SlowCall()
        gathering = Gathering(call)
        leader, other = (asyncio.create_task(gathering.ask([number])) for number in (1, 2))
        await asyncio.sleep(0.01)
        leader.cancel()
        call.may_answer.set()
        assert await other == [4]
        answers = await asyncio.gather(gathering.ask([13]), gathering.ask([14]), return_exceptions=True)
        assert [type(answer) for answer in answers] == [StoreError, StoreError]
        assert await gathering.ask([15]) == [30]

    asyncio.run(use())


def test_threads_wait_for_the_call_that_runs_and_are_each_answered_once() -> None:
    calls: list[list[int]] = []
    running, may_answer = threading.Event(), threading.Event()

    def call(requests: list[int]) -> list[int]:
        calls.append(requests)
        running.set()
        may_answer.wait(10)
        return doubled(requests)

    gathering = ThreadGathering(call)
    with ThreadPoolExecutor(9) as threads:
        first = threads.submit(gathering.ask, 100)
        assert running.wait(10)
        crowd = [threads.submit(gathering.ask, number) for number in range(8)]
        may_answer.set()
        assert [first.result(), *(one.result() for one in crowd)] == [200, *range(0, 16, 2)]
    assert calls[0] == [100]
    assert sorted(request for requests in calls[1:] for request in requests) == list(range(8))


def test_every_thread_of_a_crowd_hears_of_a_failure_and_the_next_goes_on() -> None:
    gathering = ThreadGathering(doubled)
    with pytest.raises(StoreError, match="13 is refused"):
        gathering.ask(13)
    assert gathering.ask(14) == 28


def test_many_threads_get_their_own_answers() -> None:
    gathering = ThreadGathering(doubled)
    with ThreadPoolExecutor(16) as threads:
        numbers = range(100, 2_100)
        assert list(threads.map(gathering.ask, numbers)) == [2 * number for number in numbers]
