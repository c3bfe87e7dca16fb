"""Watches that travel together: each hears of its own keys alone, in time, and none waits for another."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from autoresearch_ray.errors import CompactedError, StoreError
from autoresearch_ray.store.actor.polls import Polls, Seen, Watch
from autoresearch_ray.store.actor.server import StateActor
from autoresearch_ray.store.contract import Put, Txn, WatchBatch


class Counted:
    """The watches of a state actor in this process, and how many travelled in each call."""

    def __init__(self, actor: StateActor) -> None:
        self._actor = actor
        self.sizes: list[int] = []

    async def __call__(self, watches: list[Watch]) -> list[Seen]:
        self.sizes.append(len(watches))
        return await self._actor.watches(watches)


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[tuple[StateActor, Counted, Polls]]:
    actor = StateActor(str(path))
    counted = Counted(actor)
    yield actor, counted, Polls(counted)
    await actor.close()


async def put(actor: StateActor, key: str) -> None:
    await actor.txns([Txn(success=(Put(key, b""),))])


def keys(batch: WatchBatch) -> list[str]:
    return [event.kv.key for event in batch.events]


def test_each_watch_hears_of_its_own_keys_and_they_share_their_calls(tmp_path: Path) -> None:
    async def use() -> None:
        async with serving(tmp_path / "state.db") as (actor, counted, polls):
            waiting = [asyncio.create_task(polls.ask(Watch(f"k/{number}/", 2, 30))) for number in range(50)]
            await asyncio.sleep(0.01)
            await put(actor, "k/7/a")
            assert keys(await waiting.pop(7)) == ["k/7/a"]
            assert not any(task.done() for task in waiting)
            await put(actor, "other")
            for number in [*range(7), *range(8, 50)]:
                await put(actor, f"k/{number}/a")
            batches = await asyncio.gather(*waiting)
            assert [keys(batch) for batch in batches] == [[f"k/{n}/a"] for n in [*range(7), *range(8, 50)]]
            assert counted.sizes[0] == 50
            assert len(counted.sizes) <= 51

    asyncio.run(use())


def test_a_watch_that_is_too_late_hears_so_and_its_neighbour_goes_on(tmp_path: Path) -> None:
    async def use() -> None:
        async with serving(tmp_path / "state.db") as (actor, _, polls):
            for _ in range(3):
                await put(actor, "a")
            await actor.compact(4)
            neighbour = asyncio.create_task(polls.ask(Watch("b", 5, 30)))
            with pytest.raises(CompactedError):
                await polls.ask(Watch("a", 2, 30))
            await put(actor, "b")
            assert keys(await neighbour) == ["b"]

    asyncio.run(use())


def test_each_watch_ends_at_its_own_time(tmp_path: Path) -> None:
    async def use() -> None:
        async with serving(tmp_path / "state.db") as (actor, _, polls):
            patient = asyncio.create_task(polls.ask(Watch("a", 2, 30)))
            assert await polls.ask(Watch("a", 2, 0.05)) == WatchBatch((), 1)
            assert not patient.done()
            await put(actor, "a")
            assert keys(await patient) == ["a"]

    asyncio.run(use())


def test_a_watch_whose_caller_gave_up_disturbs_nobody_and_all_hear_that_the_store_is_gone(tmp_path: Path) -> None:
    async def use() -> None:
        async with serving(tmp_path / "state.db") as (actor, counted, polls):
            given_up, other = (asyncio.create_task(polls.ask(Watch(key, 2, 30))) for key in ("a", "b"))
            await asyncio.sleep(0.01)
            given_up.cancel()
            await put(actor, "a")
            await put(actor, "b")
            assert keys(await other) == ["b"]
            last = [asyncio.create_task(polls.ask(Watch(key, 9, 30))) for key in "ab"]
            await asyncio.sleep(0.01)
            await actor.close()
            assert [type(seen) for seen in await asyncio.gather(*last, return_exceptions=True)] == [StoreError] * 2
            assert counted.sizes[-1] == 2

    asyncio.run(use())
