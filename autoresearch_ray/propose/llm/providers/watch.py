"""How long one call may take: bytes must keep coming, and the whole must come to an end.

The SDKs' own limits do not serve: each covers the next byte alone or the whole call alone. They also swallow an
answer's signs of life (pings, comments), so that a model that thinks for minutes looks like one that hangs. Here every
byte that arrives moves the deadline.
"""

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Self


@dataclass(frozen=True, slots=True)
class Patience:
    """The limits of one call, in seconds."""

    connect_seconds: float = 10.0
    first_seconds: float = 180.0  # limit to the first text; a thinking model may send no byte before it
    stall_seconds: float = 60.0  # between any two bytes after that
    call_seconds: float = 600.0  # limit for the whole call


class Watch:
    """The clock of one call: leaves its block with TimeoutError when the call was too slow."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._started = asyncio.get_running_loop().time()
        self._end = self._started + patience.call_seconds
        self._first = self._started + patience.first_seconds
        self._timeout = asyncio.timeout_at(min(self._first, self._end))
        self._answering = False
        self.sent = False  # the request left, so the provider may have done work
        self.url = ""  # the URL of the request
        self.status = 0  # the answer's HTTP status; 0 before there is one
        self.last_bytes = b""  # the end of the answer's body

    @property
    def seconds(self) -> float:
        """Since the call began."""
        return asyncio.get_running_loop().time() - self._started

    @property
    def reason(self) -> str:
        """The meaning of a TimeoutError."""
        patience = self._patience
        if self.seconds >= patience.call_seconds:
            return f"no end of the answer within {patience.call_seconds:g} s"
        if self._answering:
            return f"no byte for {patience.stall_seconds:g} s in the middle of the answer"
        return f"no answer within {patience.first_seconds:g} s"

    def expect_whole(self) -> None:
        """The answer comes in one piece, so that nothing may come before its end."""
        self._first = self._end
        self._timeout.reschedule(self._end)

    def bytes_came(self) -> None:
        """The connection is alive."""
        if self._timeout.expired():
            return
        stall = asyncio.get_running_loop().time() + self._patience.stall_seconds
        deadline = stall if self._answering else max(stall, self._first)
        self._timeout.reschedule(min(deadline, self._end))

    def text_came(self) -> None:
        """The answer has begun."""
        self._answering = True
        self.bytes_came()

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._token = _current.set(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _current.reset(self._token)
        await self._timeout.__aexit__(kind, error, trace)


_current: ContextVar[Watch] = ContextVar("watch")


def current_watch() -> Watch:
    """The watch of the call that this task is in."""
    return _current.get()
