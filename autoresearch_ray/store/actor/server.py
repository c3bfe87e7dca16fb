"""The store as a Ray actor: named, detached, async, restarted onto the same file. What runs inside the actor.

Writes that arrive while one sync to disk runs share the next (group commit), in a thread, so that reads and watches
go on meanwhile. A watch is a long poll on an asyncio event and holds no thread. The history of keys is compacted to
the last RETAINED_REVISIONS. A process that was stopped for a while served no keep-alive: as after a restart, every
lease has its full TTL again. Clients and starting: `client.py`.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from autoresearch_ray.common.errors import CompactedError, StoreError
from autoresearch_ray.store.actor.gather import Gathering
from autoresearch_ray.store.actor.near import Endpoint, serve
from autoresearch_ray.store.contract import Found, KeyValue, Txn, TxnResult, WatchBatch
from autoresearch_ray.store.sqlite.store import SqliteStore

RETAINED_REVISIONS = 2_000  # of history: minutes of the busiest run, for watches and paged reads to catch up
COMPACT_EVERY = 1_000  # revisions
LEASE_TICK_SECONDS = 0.25  # a lapsed lease's keys are gone this much later at most
STALL_SECONDS = 2.0  # without a tick: the process was stopped or starved, and served no keep-alive

T = TypeVar("T")
Seen = WatchBatch | StoreError | None  # None: nothing yet
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Watch:
    """One long poll: what `Store.watch` takes, with the first revision settled."""

    prefix: str
    from_revision: int
    timeout_seconds: float
    previous: bool = False


class StoreActor:
    """The methods that `ActorStore` calls; errors that a caller can act on are StoreErrors."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._store: SqliteStore | None = None
        self._failure = StoreError(f"{path}: the store actor was stopped")
        self._open()
        self._writing = asyncio.Lock()
        self._gathering = Gathering(self._commit)  # the transactions that share the next sync
        self._changed = asyncio.Event()
        self._seen: dict[tuple[str, int, bool], WatchBatch] = {}  # by watches, since the last change
        self._compacted = 0
        self._ticker: asyncio.Task[None] | None = None
        self._near: asyncio.Task[Endpoint] | None = None
        self._awake = time.monotonic()

    async def path(self) -> str:
        """The file, when it could be opened; another that lies there by now, as after a restore, is opened instead."""
        if not self._open_store().is_in_place():
            await self.close()
            self._compacted = 0
            self._open()
        return str(self._open_store().path)

    async def process_id(self) -> int:
        """The actor's process, which may be killed at any time without loss."""
        return os.getpid()

    async def revision(self) -> int:
        return self._open_store().revision()

    async def get(self, key: str, revision: int) -> KeyValue | None:
        return self._open_store().get(key, revision)

    async def range(self, prefix: str, limit: int, revision: int, after: str) -> Found:
        return self._open_store().range(prefix, limit, revision, after)

    async def near(self) -> Endpoint:
        """Where the socket for processes of this machine is."""
        if self._near is None:
            self._near = asyncio.get_running_loop().create_task(serve(self.txns))
        return await self._near

    async def txns(self, txns: list[Txn]) -> list[TxnResult | StoreError]:
        """An answer or a refusal for each; they are on disk, together with those of other callers."""
        self._open_store()
        return await self._gathering.ask(txns)

    async def watches(self, asked: list[Watch]) -> list[Seen]:
        """What each watch sees, as soon as one has events or an error, or its time is up; None for the others."""
        loop = asyncio.get_running_loop()
        deadlines = [loop.time() + watch.timeout_seconds for watch in asked]
        while True:
            changed = self._changed  # taken before the look, so that no change falls between
            now, looks = loop.time(), [self._look(watch) for watch in asked]
            seen = [
                look if at <= now or isinstance(look, StoreError) or look.events else None
                for look, at in zip(looks, deadlines, strict=True)
            ]
            if any(seen):
                return seen
            with suppress(TimeoutError):
                async with asyncio.timeout_at(min(deadlines)):
                    await changed.wait()

    async def grant(self, ttl_seconds: float) -> int:
        return await self._write(lambda store: store.grant(ttl_seconds))

    async def keep_alive(self, lease: int) -> float:
        return self._open_store().keep_alive(lease)

    async def revoke(self, lease: int, request_id: str) -> int:
        return await self._write(lambda store: store.revoke(lease, request_id))

    async def expire_leases(self) -> int:
        return await self._write(lambda store: store.expire_leases())

    async def compact(self, revision: int) -> None:
        await self._write(lambda store: store.compact(revision))

    async def backup(self, path: str) -> None:
        await asyncio.to_thread(self._open_store().backup, Path(path))

    async def close(self) -> None:
        """Close the file; every later call is a StoreError."""
        async with self._writing:
            if self._store:
                self._store.close()
                self._store = None
        self._tell_watches()

    def _open(self) -> None:
        try:
            self._store = SqliteStore(Path(self._path))
        except StoreError as error:  # told to every caller; raised here, Ray would say only that the actor died
            self._failure = error

    def _open_store(self) -> SqliteStore:
        if self._store is None:
            raise self._failure
        if self._ticker is None:
            self._ticker = asyncio.get_running_loop().create_task(self._tick())
        asleep_since, self._awake = self._awake, time.monotonic()
        if self._awake - asleep_since > STALL_SECONDS:
            self._store.renew_leases()
        return self._store

    async def _write(self, change: Callable[[SqliteStore], T]) -> T:
        async with self._writing:
            answer = await asyncio.to_thread(change, self._open_store())
        self._tell_watches()
        return answer

    async def _commit(self, txns: list[Txn]) -> list[TxnResult | StoreError]:
        return await self._write(lambda store: store.commit(txns))

    def _look(self, watch: Watch) -> WatchBatch | StoreError:
        """What a watch sees now, read once for all who watch the same."""
        store, asked = self._open_store(), (watch.prefix, watch.from_revision, watch.previous)
        if asked not in self._seen:
            try:
                self._seen[asked] = store.events(*asked)
            except StoreError as error:
                return error
        return self._seen[asked]

    def _tell_watches(self) -> None:
        self._seen.clear()
        self._changed.set()
        self._changed = asyncio.Event()

    async def _tick(self) -> None:
        while self._store is not None:
            await asyncio.sleep(LEASE_TICK_SECONDS)
            try:
                await self._end_lapsed_leases()
                await self._forget_old()
            except StoreError as error:  # a full disk, say: the writers hear of it too, and the next tick tries again
                log.warning("state %s: %s", self._path, error)

    async def _end_lapsed_leases(self) -> None:
        async with self._writing:
            ended = await asyncio.to_thread(self._open_store().expire_leases)
        if ended:
            self._tell_watches()

    async def _forget_old(self) -> None:
        oldest = self._open_store().revision() - RETAINED_REVISIONS
        if oldest - self._compacted >= COMPACT_EVERY:
            self._compacted = oldest
            with suppress(CompactedError):  # by somebody else, further than this
                await self._write(lambda store: store.compact(oldest))


StateActor = StoreActor  # by this name Ray finds the class of an actor that an older version of the code has started
