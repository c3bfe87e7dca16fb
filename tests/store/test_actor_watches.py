"""Watches of the store actor, in this process: each hears of its own keys alone, in time, and of the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from autoresearch_ray.common.errors import CompactedError, StoreError
from autoresearch_ray.store.actor.server import Seen, StoreActor, Watch
from autoresearch_ray.store.contract import Put, Txn, WatchBatch


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[StoreActor]:
    actor = StoreActor(str(path))
    yield actor
    await actor.close()


async def put(actor: StoreActor, key: str) -> None:
    await actor.txns([Txn(success=(Put(key, b""),))])


def keys(seen: Seen) -> list[str]:
    assert isinstance(seen, WatchBatch), seen
    return [event.kv.key for event in seen.events]


def test_of_watches_in_one_call_those_are_answered_that_have_events(tmp_path: Path) -> None:
    async def use() -> None:
        async with serving(tmp_path / "state.db") as actor:
            asked = [Watch(f"k/{number}/", 2, 30) for number in range(50)]
            waiting = asyncio.create_task(actor.watches(asked))
            await asyncio.sleep(0.01)
            await put(actor, "other")
            assert not waiting.done()
            await put(actor, "k/7/a")
            seen = await waiting
            assert keys(seen.pop(7)) == ["k/7/a"] and not any(seen)

    asyncio.run(use())


def test_a_watch_that_is_too_late_hears_so(tmp_path: Path) -> None:
    async def use() -> None:
        async with serving(tmp_path / "state.db") as actor:
            for _ in range(3):
                await put(actor, "a")
            await actor.compact(4)
            (seen,) = await actor.watches([Watch("a", 2, 30)])
            assert isinstance(seen, CompactedError)

    asyncio.run(use())


def test_a_watch_ends_at_its_time_and_another_goes_on(tmp_path: Path) -> None:
    async def use() -> None:
        async with serving(tmp_path / "state.db") as actor:
            patient = asyncio.create_task(actor.watches([Watch("a", 2, 30)]))
            assert await actor.watches([Watch("a", 2, 0.05)]) == [WatchBatch((), 1)]
            assert not patient.done()
            await put(actor, "a")
            assert keys((await patient)[0]) == ["a"]

    asyncio.run(use())


def test_all_watches_hear_that_the_store_is_gone(tmp_path: Path) -> None:
    async def use() -> None:
        async with serving(tmp_path / "state.db") as actor:
            last = [asyncio.create_task(actor.watches([Watch(key, 9, 30)])) for key in "ab"]
            await asyncio.sleep(0.01)
            await actor.close()
            assert [type(seen) for seen in await asyncio.gather(*last, return_exceptions=True)] == [StoreError] * 2

    asyncio.run(use())
