"""A slot's process server: forks the processes of one job after the other, and reads their messages.

It runs no candidate code itself and never touches the GPU, so it answers whatever a candidate does. It reads
`{"setup": ...}` once, then `{"job": ...}` with descriptors, or `{"kill": true}`. It answers `{"ready": true, ...}`,
`{"event": ...}` and `{"ended": ...}`. The stages of a job are in `stages.py` for our contract, in `script/stages.py`
for scripts. When a job has ended, all processes that it left are ended too.
"""

import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from autoresearch_ray.benchmark.sandbox import processes, self_test, syscalls
from autoresearch_ray.benchmark.sandbox.walls import Walls
from autoresearch_ray.benchmark.trial.job import Event
from autoresearch_ray.records.codec import to_json

MAX_REQUEST = 1 << 20
MAX_DESCRIPTORS = 8
MOST_LAST_MESSAGES = 64  # read after a child's end; processes that it left may write for ever


@dataclass(frozen=True)
class End:
    """How a process ended."""

    status: int  # exit status, or minus the signal
    peak_mb: float


class Channel(Protocol):
    """A child's output, in messages or pieces: a socket, or the end of a pipe."""

    def fileno(self) -> int: ...
    def recv(self, most: int, /) -> bytes: ...


class JobStages(Protocol):
    """The stages of one job."""

    def run(self) -> End: ...
    def close(self) -> None: ...


StagesOf = Callable[[dict[str, Any], list[int], Walls, "Server"], JobStages]  # a request, its descriptors


class Server:
    """One slot's process server."""

    def __init__(self, control: socket.socket, stages_of: StagesOf) -> None:
        self._control, self._stages_of = control, stages_of
        self._wake, wake_end = os.pipe()
        os.set_blocking(wake_end, False)
        signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a candidate may send it

    def serve(self) -> None:
        """Answer requests until the slot closes its end."""
        if syscalls.SUPPORTED:
            syscalls.adopt_orphans()
        setup = json.loads(self._control.recv(MAX_REQUEST))["setup"]
        walls = self_test.raise_and_try(
            frozenset(setup["layers"]), Path(setup["scratch"]), setup["hidden"], setup["number"], setup["shown"]
        )
        self._send({"ready": True, "walls": to_json(walls)})
        while True:
            with end_if_gone():
                request, descriptors, _, _ = socket.recv_fds(self._control, MAX_REQUEST, MAX_DESCRIPTORS)
            if not request:
                return
            message = json.loads(request)
            if "job" not in message:
                continue  # a kill that came after the end
            stages = self._stages_of(message, descriptors, walls, self)
            try:
                end = stages.run()
            finally:
                processes.kill_everything_else()
                stages.close()
            self._send({"ended": end.status, "peak_mb": end.peak_mb})

    def tell(self, event: Event) -> None:
        """Pass an event on to the slot."""
        self._send({"event": to_json(event)})

    def fork(self) -> int:
        """`os.fork`; the child keeps only this server's memory and descriptors."""
        pid = os.fork()
        if pid == 0:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return pid

    def follow(self, pid: int, channel: Channel, heard: Callable[[bytes], bool]) -> End | None:
        """Hand a child's messages to `heard` until the child has ended, or `heard` says that this is enough.

        None if it has not ended by then. An End means that it is collected, and its number may be another process's.
        A request meanwhile means that the child is to be killed.
        """
        channels = [channel.fileno()]
        while True:
            readable, _, _ = select.select([self._control.fileno(), self._wake, *channels], [], [])
            if self._control.fileno() in readable:
                with end_if_gone():
                    request = self._control.recv(MAX_REQUEST)
                if not request:
                    sys.exit(0)  # the slot is gone; the PID namespace or the parent-death signal ends the candidate
                os.kill(pid, signal.SIGKILL)
            end = None
            if self._wake in readable:
                os.read(self._wake, 4096)
                ended, status, usage = os.wait4(pid, os.WNOHANG)
                end = End(os.waitstatus_to_exitcode(status), usage.ru_maxrss / 1024) if ended else None
            for _ in range(MOST_LAST_MESSAGES if end else 1):  # its messages count before its end
                if not channels or not select.select(channels, [], [], 0)[0]:
                    break
                message = _message(channel)
                if not message:
                    channels.clear()
                elif heard(message):
                    return end  # it may have ended with this message, and is collected then
            if end is not None:
                return end

    def _send(self, message: dict[str, Any]) -> None:
        with end_if_gone():
            self._control.send(json.dumps(message).encode())


@contextmanager
def end_if_gone() -> Iterator[None]:
    """End quietly where the slot has closed its end, with something unread or before a message."""
    try:
        yield
    except (BrokenPipeError, ConnectionResetError):
        sys.exit(0)


def _message(channel: Channel) -> bytes:
    try:
        return channel.recv(MAX_REQUEST)
    except ConnectionResetError:
        return b""
