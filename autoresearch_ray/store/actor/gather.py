"""Requests that arrive while a call is running share the next one: group commit, and group transport.

One call runs at a time, so the next is as large as the crowd; who comes alone is sent on at once. For callers on an
event loop, and for threads.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Gathering(Generic[T, R]):
    """For the callers of one event loop; `call` answers a list of requests in their order."""

    def __init__(self, call: Callable[[list[T]], Awaitable[list[R]]]) -> None:
        self._call = call
        self._turn = asyncio.Lock()
        self._next: _Crowd[T, R] | None = None

    async def ask(self, requests: Sequence[T]) -> list[R]:
        """The answers to some requests, which go in one call."""
        if self._next is None:
            gathered: list[T] = []
            self._next = _Crowd(gathered, asyncio.get_running_loop().create_task(self._run(gathered)))
        crowd, start = self._next, len(self._next.requests)
        crowd.requests.extend(requests)
        answers = await asyncio.shield(crowd.answers)  # who gives up does not take the others along
        return answers[start : start + len(requests)]

    async def _run(self, requests: list[T]) -> list[R]:
        async with self._turn:
            self._next = None  # who comes from here on shares the call after this one
            return await self._call(requests)


@dataclass(frozen=True, slots=True)
class _Crowd(Generic[T, R]):
    requests: list[T]
    answers: "asyncio.Task[list[R]]"


class ThreadGathering(Generic[T, R]):
    """For threads: the first of a crowd makes the call, the others wait."""

    def __init__(self, call: Callable[[list[T]], list[R]]) -> None:
        self._call = call
        self._turn, self._lock = threading.Lock(), threading.Lock()
        self._next: tuple[list[T], Future[list[R]]] | None = None

    def ask(self, request: T) -> R:
        """The answer to one request."""
        with self._lock:
            leads = self._next is None
            requests, answers = self._next = self._next or ([], Future())
            index = len(requests)
            requests.append(request)
        if leads:
            self._run(requests, answers)
        return answers.result()[index]

    def _run(self, requests: list[T], answers: "Future[list[R]]") -> None:
        with self._turn:
            with self._lock:
                self._next = None
            try:
                answers.set_result(self._call(requests))
            except BaseException as error:  # noqa: BLE001  # whatever it is, nobody may wait for ever
                answers.set_exception(error)
