"""The process server of a slot: imports torch once, then forks the processes of one job after the other.

`slot.py` runs it as `python -m autoresearch_ray.benchmark.trial.server CONTROL_FD`, in its own PID namespace where
there is one. It runs no candidate code itself and never touches the GPU, so it stays answerable whatever a candidate
does, and a fork of it is ready in milliseconds. It hears `{"setup": ...}` once, then `{"job": ...}` with descriptors,
`{"serve": ...}` with those of a kept model, or `{"kill": true}`; it answers `{"ready": ...}`, `{"event": ...}` and
`{"ended": ...}`. What a job goes through is in `stages.py`, a kept model in `serving.py`; when either has ended,
everything that it left is ended too.
"""

import gc
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    gc.disable()  # what is imported stays: to look through it again and again is a fifth of the start

import torch
import torch._dynamo  # the optimisers import it at their first step: a second that no trial should pay

from autoresearch_ray.benchmark.sandbox import processes, self_test, syscalls
from autoresearch_ray.benchmark.trial.confined import End
from autoresearch_ray.benchmark.trial.job import Event
from autoresearch_ray.benchmark.trial.serving import Serving
from autoresearch_ray.benchmark.trial.stages import Stages
from autoresearch_ray.codec import to_json

MAX_REQUEST = 1 << 20
MAX_DESCRIPTORS = 8


class Server:
    """One slot's process server."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
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
            frozenset(setup["layers"]), Path(setup["scratch"]), setup["hidden"], setup["number"]
        )
        self._send({"ready": torch.__version__, "walls": to_json(walls)})
        while True:
            with end_if_gone():
                request, descriptors, _, _ = socket.recv_fds(self._control, MAX_REQUEST, MAX_DESCRIPTORS)
            if not request:
                return
            message = json.loads(request)
            if not {"job", "serve"} & message.keys():
                continue  # a kill that came after the end
            asked: Stages | Serving = (Stages if "job" in message else Serving)(message, descriptors, walls, self)
            try:
                end = asked.run()
            finally:
                processes.kill_everything_else()
                asked.close()
            self._send({"ended": end.status, "peak_mb": end.peak_mb})

    def tell(self, event: Event) -> None:
        """Pass an event on to the slot."""
        self._send({"event": to_json(event)})

    def fork(self) -> int:
        """As os.fork; the child has nothing of this server but its memory and descriptors."""
        pid = os.fork()
        if pid == 0:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return pid

    def follow(self, pid: int, channel: socket.socket, heard: Callable[[bytes], bool]) -> End | None:
        """Hand a child's messages to `heard` until the child has ended; None if `heard` says that this is enough.

        A request meanwhile means that the child is to be killed.
        """
        channels = [channel.fileno()]
        while True:
            readable, _, _ = select.select([self._control.fileno(), self._wake, *channels], [], [])
            if channels and channels[0] in readable:
                message = _message(channel)
                if not message:
                    channels.clear()
                elif heard(message):
                    return None
                continue  # what it has said counts before its end
            if self._wake in readable:
                os.read(self._wake, 4096)
                ended, status, usage = os.wait4(pid, os.WNOHANG)
                if ended:
                    return End(os.waitstatus_to_exitcode(status), usage.ru_maxrss / 1024)
            if self._control.fileno() in readable:
                with end_if_gone():
                    request = self._control.recv(MAX_REQUEST)
                if not request:
                    sys.exit(0)  # the slot is gone; PID namespace or parent-death signal ends the candidate
                os.kill(pid, signal.SIGKILL)

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


def _message(channel: socket.socket) -> bytes:
    try:
        return channel.recv(MAX_REQUEST)
    except ConnectionResetError:
        return b""


if __name__ == "__main__":
    gc.freeze()  # no collection of a candidate's goes through it, nor copies its pages into the fork
    gc.enable()
    with socket.socket(fileno=int(sys.argv[1])) as own_end:
        Server(own_end).serve()
