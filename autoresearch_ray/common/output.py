"""Words for a person that nothing stops: no closed terminal, no reader who has left, no full disk, no small alphabet.

    STDOUT.write("ready\\n")
    rich.console.Console(file=STDOUT.as_it_is())

What a stream cannot spell is escaped. A stream that fails is given up, standard error says so, and the work goes on.
"""

import contextlib
import os
import sys
from typing import Literal, TextIO


class Output:
    """A standard stream as a file to write to. Any thread may write."""

    def __init__(self, name: Literal["stdout", "stderr"], stream: TextIO | None = None) -> None:
        """`stream` for good; else the one that `sys` has at each write, for notebooks and tests change it."""
        self._name, self._fixed = name, stream
        self._lost: TextIO | None = None  # the stream that was given up

    def as_it_is(self) -> "Output":
        """What it is now, for a live screen: that puts itself in the place of the stream that it writes to."""
        return Output(self._name, getattr(sys, self._name))

    def write(self, text: str) -> int:
        """Write and flush; the number of characters, as of any file."""
        stream = self._stream
        if stream is None or stream is self._lost:
            return len(text)
        words = text.encode(self.encoding, "backslashreplace")
        try:
            stream.write(words.decode(self.encoding))
            stream.flush()
        except RuntimeError:  # a signal's handler interrupts a write to the same stream
            with contextlib.suppress(OSError, ValueError):
                os.write(stream.fileno(), words)
        except (OSError, ValueError) as error:  # ValueError: it was closed
            self._give_up(stream, error)
        return len(text)

    def flush(self) -> None:
        """Nothing waits: `write` has flushed."""

    def isatty(self) -> bool:
        return self._stream is not None and not self._stream.closed and self._stream.isatty()

    def fileno(self) -> int:
        """The descriptor. OSError without one."""
        if self._stream is None:
            raise OSError(f"{self._name} is closed")
        return self._stream.fileno()

    @property
    def encoding(self) -> str:
        return (self._stream.encoding if self._stream is not None else None) or "utf-8"

    @property
    def _stream(self) -> TextIO | None:
        """None where it was closed at the start."""
        stream: TextIO | None = self._fixed or getattr(sys, self._name)
        return stream

    def _give_up(self, stream: TextIO, error: Exception) -> None:
        """Write there no more, and let what waits in its buffer go nowhere: it would fail again at the end."""
        self._lost = stream
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
        if self._name == "stdout":
            reason = error.strerror if isinstance(error, OSError) else str(error)
            STDERR.write(f"{self._name}: {reason}; nothing more is shown there, the work goes on\n")


STDOUT, STDERR = Output("stdout"), Output("stderr")


def open_standard_streams() -> None:
    """Open on nothing what is closed of the standard streams: Ray wants them, and the next file would take a number."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(descriptor, "w" if descriptor else "r", closefd=False))
