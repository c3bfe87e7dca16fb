"""A slot seen from outside: owns the process server, feeds it jobs, holds deadlines, turns what happens into results.

    with Slot(threads=1) as slot:
        for point in slot.run(job, folder): ...      # progress; the result is slot.result when it ends

Whatever a candidate does to its process ends here as a `Result` with its kind of failure: crash, timeout, oom, invalid,
or lost (the process or its server was killed from outside). Use it from one thread, which must outlive the slot: the
kernel ends the processes with that thread. One job under way is in `execution.py`.
"""

import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from types import TracebackType
from typing import Any

from autoresearch_ray.benchmark.data.dataset import cache_home
from autoresearch_ray.benchmark.sandbox import mps, processes, syscalls
from autoresearch_ray.benchmark.sandbox.walls import Walls, check_reached, parse_layers
from autoresearch_ray.benchmark.trial.execution import Execution
from autoresearch_ray.benchmark.trial.job import AnyJob
from autoresearch_ray.common.errors import AutoresearchError
from autoresearch_ray.common.paths import OUTPUT_FILE, find_home
from autoresearch_ray.records.codec import from_json
from autoresearch_ray.records.trials import CurvePoint, Result

SERVER_START_SECONDS = 120.0
TRAIN_SERVER = "autoresearch_ray.benchmark.trial.server"  # process server of our contract


class SlotError(AutoresearchError):
    """The slot's process server cannot be started."""


class Slot:
    """One slot of this machine. `run` one job at a time."""

    def __init__(
        self,
        threads: int,
        cores: tuple[int, ...] = (),
        isolation: str = "best",
        hidden: tuple[Path, ...] = (),
        gpu: bool = False,
        server: str = TRAIN_SERVER,
        shown: tuple[str, ...] = (),
    ) -> None:
        """`cores` (if any) are the CPU cores that the slot's processes are bound to.

        `isolation` is strict, best or none, or exact layers like `pid+net`; `hidden` are folders that no candidate may
        see, wherever they lie (homes, caches and scratch folders are hidden anyway); `gpu`: through MPS where it runs.
        `server` is the module of its process server; `shown` are folders and files that candidates may read besides.
        """
        self._server_module, self._shown = server, list(shown)
        self._threads, self._cores, self._isolation = threads, cores, isolation
        self._layers = parse_layers(isolation)
        if gpu and isolation != "strict" and mps.is_running():
            self._layers |= {mps.LAYER}
        self._hidden = [str(path.absolute()) for path in (*hidden, cache_home(), find_home()) if path]
        self._scratch = Path(tempfile.mkdtemp(prefix="autoresearch-slot-"))
        self._scratch.chmod(0o711)  # a candidate's own user passes through
        self._server: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._ready = False
        self._under_way: Execution | None = None
        self.walls = Walls()  # the candidates' walls, known once the server is ready
        self.result = Result("", "lost")
        self.cold = True  # the server was not yet ready when the last job was asked for

    def start(self) -> None:
        """Start the process server without waiting for it."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", self._server_module, str(theirs.fileno())]
        prefix = processes.namespace_prefix() if "pid" in self._layers else ()
        self._server = subprocess.Popen(
            [*prefix, *command],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            cwd=self._scratch,
            env=processes.clean_environment(self._threads, self._scratch)
            | (mps.environment() if mps.LAYER in self._layers else {}),
            start_new_session=True,
            preexec_fn=self._prepare_server,  # one thread outlives it, see the module's docstring
        )
        theirs.close()
        self._control, self._ready = ours, False
        setup = {
            "layers": sorted(self._layers),
            "scratch": str(self._scratch),
            "hidden": self._hidden,
            "shown": self._shown,
        }
        self.ask({"setup": setup | {"number": self._server.pid}}, [])

    def run(self, job: AnyJob, folder: Path) -> Generator[CurvePoint]:
        """Run the job; yields its progress. Afterwards `self.result` has what came of it.

        `folder` gets `output.log`. Closing the iterator early kills the candidate. SlotError if no server starts,
        SettingsError if the isolation is strict and cannot be had.
        """
        self.result = Result("", "lost")
        job = job.ask_at(time.monotonic())
        self.cold = not self.await_ready(0)
        if not self.await_ready(SERVER_START_SECONDS):
            raise SlotError(f"{sys.executable} -m {self._server_module} did not start; see its output above")
        check_reached(self._isolation, self.walls)
        folder.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=self._scratch))
        self._under_way = execution = Execution(self, job, folder / OUTPUT_FILE, work)
        try:
            yield from execution.follow()
        finally:
            self._under_way = None
            execution.close()
            self.result = execution.result()
            shutil.rmtree(work, ignore_errors=True)

    def stop(self, reason: str) -> None:
        """Kill the candidate of the job under way, as at a deadline: its result is `stopped`, for this reason."""
        if self._under_way is not None:
            self._under_way.stop(reason)

    def close(self) -> None:
        """End the server and everything below it."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

    def interrupt(self) -> None:
        """End the server, from any thread: a job under way ends as lost."""
        server = self._server
        if server is not None:
            server.kill()

    def __enter__(self) -> "Slot":
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    @property
    def server_pid(self) -> int:
        """The outermost process of the server; everything that runs here is below it."""
        assert self._server is not None
        return self._server.pid

    @property
    def control(self) -> socket.socket:
        assert self._control is not None
        return self._control

    def ask(self, message: dict[str, Any], descriptors: list[int]) -> None:
        """Send a request to the server; a dead server is seen when its answer is awaited."""
        try:
            socket.send_fds(self.control, [json.dumps(message).encode()], descriptors)
        except (BrokenPipeError, ConnectionResetError):
            return

    def answer(self, timeout_seconds: float) -> dict[str, Any] | None:
        """The server's next message; None if none came in time. EOFError when the server is gone."""
        if not select.select([self.control], [], [], timeout_seconds)[0]:
            return None
        try:
            data = self.control.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            raise EOFError
        answer: dict[str, Any] = json.loads(data)
        return answer

    def restart(self) -> None:
        """A fresh server in the place of one that is gone or does not answer."""
        self.close()
        self.start()

    def await_ready(self, seconds: float) -> bool:
        """Whether the process server can take a job, at the latest after so long. SlotError if it ended instead."""
        if self._server is None:
            self.start()
        if self._ready:
            return True
        try:
            answer = self.answer(seconds)
        except EOFError:
            if seconds == 0:
                return False
            raise SlotError("the process server of a slot ended at its start; see its output above") from None
        if answer is not None and "ready" in answer:
            self._ready, self.walls = True, from_json(Walls, answer["walls"])
        return self._ready

    def _prepare_server(self) -> None:
        if syscalls.SUPPORTED:
            syscalls.die_with_parent()
        if self._cores:
            os.sched_setaffinity(0, self._cores)
