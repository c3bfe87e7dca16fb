"""Ctrl-C, SIGTERM and the hang-up of a terminal, from a run's first step to its last.

    with Interrupts() as interrupts:
        ...                                          # until the search begins, one is a KeyboardInterrupt
        interrupts.search_begins(stop, resume)       # from here on the first one calls `stop`: everything is saved
        ...                                          # a second one ends the process at once

Python hears signals in its main thread alone: a run in another thread leaves them to that one.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

import psutil

from autoresearch_ray.common.output import STDERR

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SHOW_CURSOR = "\x1b[?25h"  # a live screen hides it


class Interrupts:
    """The handling of signals that ask a run to stop."""

    def __init__(self) -> None:
        self.seen = False
        self._stop: Callable[[], None] | None = None
        self._resume = ""
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def listen(self) -> None:
        """Take the signals. Call it again when other code, such as `ray.init`, may have taken one."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue  # started by nohup
            before = signal.signal(number, self._hear)
            self._before.setdefault(number, before or signal.SIG_DFL)  # None: not set by Python

    def search_begins(self, stop: Callable[[], None], resume: str) -> None:
        """From now on the first signal calls `stop`; `resume` is the command that continues the run."""
        self._stop, self._resume = stop, resume

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._stop is None:
            raise KeyboardInterrupt
        if self.seen:
            _end_children()  # else two of Ray's agents would run for a minute more
            _say_at_last(f"\nended at once; every result up to now is saved, go on with\n  {self._resume}\n")
            os._exit(130)
        self.seen = True
        self._stop()
        STDERR.write("\nstopping: running trials are given up, they run again on --resume; once more to end now\n")


def _end_children() -> None:
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()


def _say_at_last(words: str) -> None:
    """Say it past a live screen, whose lock another thread may hold, and show the cursor again."""
    for stream, text in ((sys.__stdout__, SHOW_CURSOR), (sys.__stderr__, words)):
        with contextlib.suppress(OSError, ValueError):
            if stream is not None and (text != SHOW_CURSOR or stream.isatty()):
                os.write(stream.fileno(), text.encode())
