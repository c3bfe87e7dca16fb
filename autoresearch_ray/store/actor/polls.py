"""Watches travel together: a hundred that wait on one event loop cost one call an event, not a hundred."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from autoresearch_ray.errors import StoreError
from autoresearch_ray.store.contract import WatchBatch

Seen = WatchBatch | StoreError | None  # None: nothing yet


@dataclass(frozen=True, slots=True)
class Watch:
    """One long poll: what `Store.watch` takes, with the first revision settled."""

    prefix: str
    from_revision: int
    timeout_seconds: float
    previous: bool = False


class Polls:
    """The watches of one event loop. `call` answers some as soon as one of them has events, or its time is up."""

    def __init__(self, call: Callable[[list[Watch]], Awaitable[list[Seen]]]) -> None:
        self._call = call
        self._joining: list[_Poll] = []
        self._calls: set[asyncio.Task[None]] = set()

    async def ask(self, watch: Watch) -> WatchBatch:
        """Its answer."""
        loop = asyncio.get_running_loop()
        poll = _Poll(watch, loop.time() + watch.timeout_seconds, loop.create_future())
        self._join(poll)
        return await poll.answer

    def _join(self, poll: "_Poll") -> None:
        if not self._joining:
            task = asyncio.get_running_loop().create_task(self._send())  # who joins before it runs goes along
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)
        self._joining.append(poll)

    async def _send(self) -> None:
        polls, self._joining = self._joining, []
        now = asyncio.get_running_loop().time()
        try:
            answers = await self._call([poll.ask(now) for poll in polls])
        except StoreError as error:
            answers = [error] * len(polls)
        for poll, seen in zip(polls, answers, strict=True):
            if poll.answer.done():  # its caller has given up
                continue
            if seen is None:
                self._join(poll)
            elif isinstance(seen, StoreError):
                poll.answer.set_exception(seen)
            else:
                poll.answer.set_result(seen)


@dataclass(frozen=True, slots=True)
class _Poll:
    watch: Watch
    deadline: float  # on the loop's clock
    answer: "asyncio.Future[WatchBatch]"

    def ask(self, now: float) -> Watch:
        return replace(self.watch, timeout_seconds=max(self.deadline - now, 0.0))
