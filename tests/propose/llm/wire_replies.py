"""What a scripted provider is asked and what it may reply."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    number: int  # 0 for the server's first
    path: str
    headers: dict[str, str]  # names in lower case
    body: dict[str, Any]
    model: str
    text: str  # every text of the prompt, in order
    at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Say:
    """An answer, streamed piece by piece, and how it ends."""

    pieces: str | Sequence[str] = "hello"
    stop: str | None = "end"  # or length, refusal, or a reason in the protocol's own word
    end: Literal["whole", "stall", "reset", "cut", "half", "error"] = "whole"
    wait: float = 0.0  # seconds before the first piece
    pause: float = 0.0  # seconds between pieces
    pings: int = 0  # signs of life (no text) during the wait, evenly spaced
    input_tokens: int | None = None  # by default a quarter of the characters
    cached_tokens: int = 0
    written_tokens: int = 0
    output_tokens: int | None = None
    usage: bool = True  # openai: False is a server that counts nothing
    thinking: str = ""  # comes before the text and is no part of it

    @property
    def texts(self) -> list[str]:
        return [self.pieces] if isinstance(self.pieces, str) else list(self.pieces)


@dataclass(frozen=True)
class Fail:
    """An error status before any answer, or an answer that is not streamed; `kind` is the protocol's own word for an
    error, `body` replaces all."""

    status: int
    message: str = "scripted failure"
    kind: str = ""
    retry_after: str | None = None
    body: bytes | None = None
    content_type: str = "application/json"


@dataclass(frozen=True)
class Drop:
    """The connection is reset without an answer."""


@dataclass(frozen=True)
class Silence:
    """Not a byte, not even a status, for so long."""

    seconds: float = 600.0


Reply = Say | Fail | Drop | Silence
Script = Sequence[Reply] | Callable[[Request], Reply]


def tokens(request: Request, reply: Say) -> dict[str, int]:
    """What the server counts for an answer."""
    spoken = sum(map(len, reply.texts))
    return {
        "input": len(request.text) // 4 if reply.input_tokens is None else reply.input_tokens,
        "cached": reply.cached_tokens,
        "written": reply.written_tokens,
        "output": spoken // 4 + 1 if reply.output_tokens is None else reply.output_tokens,
    }
