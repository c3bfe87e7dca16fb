"""A slot seen from outside: owns the process server, feeds it jobs, holds deadlines, turns what happens into results.

    with Slot(threads=1) as slot:
        for point in slot.run(job, folder): ...      # progress; the result is slot.result when it ends

Everything that a candidate can do to its process ends here as a `Result` with its kind of failure: crash, timeout,
oom, invalid, or lost (the process or its server was killed by somebody else). One thread, which must outlive the slot:
the kernel ends the processes when it ends.
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
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from autoresearch_ray.benchmark import isolate
from autoresearch_ray.benchmark.job import Event, Job
from autoresearch_ray.errors import AutoresearchError
from autoresearch_ray.records import CurvePoint, Result, Status, from_json

OUTPUT_LIMIT = 1 << 20  # bytes of a candidate's output that are kept
EVENTS_LIMIT = 1 << 20  # bytes on the private pipe, far above what an honest trial sends
SERVER_START_SECONDS = 120.0
END_SECONDS = 10.0  # for the server to end a killed candidate
MEMORY_LOOK_SECONDS = 0.5
POLL_SECONDS = 0.05


class SlotError(AutoresearchError):
    """The slot's process server cannot be started."""


class Slot:
    """One slot of this machine. `run` one job at a time."""

    def __init__(self, threads: int, cores: tuple[int, ...] = ()) -> None:
        """`cores` (if any) are the CPU cores that the slot's processes are bound to."""
        self._threads, self._cores = threads, cores
        self._scratch = Path(tempfile.mkdtemp(prefix="autoresearch-slot-"))
        self._server: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._ready = False
        self.result = Result("", "lost")
        self.cold = True  # the server was not yet ready when the last job was asked for

    def start(self) -> None:
        """Start the process server without waiting for it."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "autoresearch_ray.benchmark.server", str(theirs.fileno())]
        self._server = subprocess.Popen(
            [*isolate.namespace_prefix(), *command],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            cwd=self._scratch,
            env=isolate.clean_environment(self._threads, self._scratch),
            start_new_session=True,
            preexec_fn=self._prepare_server,  # one thread outlives it, see the module's docstring
        )
        theirs.close()
        self._control, self._ready = ours, False

    def run(self, job: Job, folder: Path) -> Iterator[CurvePoint]:
        """Run the job; yields its progress. Afterwards `self.result` has what came of it.

        `folder` gets `output.log`. Closing the iterator early kills the candidate. SlotError if no server starts.
        """
        self.result = Result("", "lost")
        job = replace(job, asked_at=job.asked_at or time.monotonic())
        self.cold = not self._wait_ready(0)
        if not self._wait_ready(SERVER_START_SECONDS):
            raise SlotError(
                f"{sys.executable} -m autoresearch_ray.benchmark.server did not start; see its output above"
            )
        folder.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=self._scratch))
        execution = _Execution(self, job, folder / "output.log", work)
        try:
            yield from execution.follow()
        finally:
            execution.close()
            self.result = execution.result()
            shutil.rmtree(work, ignore_errors=True)

    def close(self) -> None:
        """End the server and everything below it."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

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

    def ask(self, message: dict[str, Any], descriptors: list[int]) -> None:
        """Send a request to the server; a dead server is seen when its answer is awaited."""
        assert self._control is not None
        try:
            socket.send_fds(self._control, [json.dumps(message).encode()], descriptors)
        except (BrokenPipeError, ConnectionResetError):
            return

    def answer(self, timeout_seconds: float) -> dict[str, Any] | None:
        """The server's next message; None if none came in time. EOFError when the server is gone."""
        assert self._control is not None
        if not select.select([self._control], [], [], timeout_seconds)[0]:
            return None
        try:
            data = self._control.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            raise EOFError
        answer: dict[str, Any] = json.loads(data)
        return answer

    @property
    def control(self) -> socket.socket:
        assert self._control is not None
        return self._control

    def restart(self) -> None:
        """A fresh server in the place of one that is gone or does not answer."""
        self.close()
        self.start()

    def _wait_ready(self, seconds: float) -> bool:
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
        self._ready = answer is not None and "ready" in answer
        return self._ready

    def _prepare_server(self) -> None:
        isolate.die_with_parent()
        if self._cores:
            os.sched_setaffinity(0, self._cores)


class _Execution:
    """One job under way: pipes, deadlines, and what is known so far."""

    def __init__(self, slot: Slot, job: Job, output: Path, work: Path) -> None:
        self._slot, self._job = slot, job
        self._started_at, self._sent_at = time.time(), time.monotonic()
        self._output = _CappedLog(output)
        self._output_end, output_write = os.pipe()
        self._events_end, events_write = os.pipe()
        os.set_blocking(self._output_end, False)
        os.set_blocking(self._events_end, False)
        self._line, self._line_bytes = b"", 0
        self._events_closed = False
        self._events: dict[str, Event] = {}
        self._curve: list[CurvePoint] = []
        self._killed: tuple[Status, str] | None = None
        self._ended: int | None = None  # exit status; None: the server itself was lost
        self._peak_mb = 0.0
        self._ended_at = 0.0
        slot.ask({"job": asdict(job), "folder": str(work)}, [output_write, events_write])
        os.close(output_write)
        os.close(events_write)

    def follow(self) -> Iterator[CurvePoint]:
        """Progress, until the candidate's process has ended or is killed."""
        look_at = 0.0
        pipes = [self._events_end, self._output_end]
        while True:
            readable, _, _ = select.select([self._slot.control.fileno(), *pipes], [], [], POLL_SECONDS)
            if self._output_end in readable and not self._output.drain(self._output_end):
                pipes.remove(self._output_end)
            if self._events_end in readable:
                yield from self._read_events()
                if self._events_closed:
                    pipes.remove(self._events_end)
            if self._slot.control.fileno() in readable and self._has_ended():
                yield from self._read_events()
                return
            if time.monotonic() >= look_at:
                look_at = time.monotonic() + MEMORY_LOOK_SECONDS
                self._look_at_memory()
            if self._killed is None and (late := self._overdue()):
                self._kill("timeout", late)

    def close(self) -> None:
        """Make sure that nothing is left, and collect what was printed last."""
        if self._ended_at == 0.0:
            self._kill("stopped", "stopped before its end")
            self._await_end()
        self._output.drain(self._output_end)
        self._output.close()
        os.close(self._output_end)
        os.close(self._events_end)

    def result(self) -> Result:
        """What came of it, as a record without trial, slot and node."""
        status, error = self._status()
        training, done = self._events.get("training"), self._events.get("result")
        measured = done or self._events.get("scoring") or Event("none", 0.0)
        last = self._curve[-1] if self._curve else CurvePoint(0.0, 0, 0, 0.0)
        ok = status == "ok"
        assert not ok or done is not None
        return Result(
            trial_id="",
            status=status,
            val_bpb=measured.val_bpb if ok else float("nan"),
            holdout_bpb=measured.holdout_bpb if ok else float("nan"),
            training_seconds=measured.training_seconds or last.seconds,
            startup_seconds=training.at - self._job.asked_at if training else 0.0,
            eval_seconds=measured.eval_seconds,
            total_seconds=self._ended_at - self._job.asked_at,
            steps=measured.steps or last.step,
            tokens=measured.tokens or last.tokens,
            parameters=measured.parameters,
            peak_memory_mb=measured.peak_memory_mb or self._peak_mb,
            device_name=measured.device_name,
            isolation=isolate.isolation_level(),
            started_at=self._started_at,
            finished_at=time.time(),
            error=error,
            curve=tuple(self._curve),
        )

    def _status(self) -> tuple[Status, str]:
        done, failed = self._events.get("result"), self._events.get("failure")
        if done is not None:
            if done.val_bpb == done.val_bpb and done.holdout_bpb == done.holdout_bpb:
                return "ok", ""
            return "invalid", "the score is nan, expected a finite number"
        if failed is not None:
            statuses: dict[str, Status] = {"invalid": "invalid", "oom": "oom", "timeout": "timeout"}
            return statuses.get(failed.status, "crash"), failed.error
        if self._killed is not None:
            return self._killed
        if self._ended is None:
            return "lost", "its process server was killed"
        if self._ended == -9:
            return "lost", "killed by signal 9 from elsewhere"
        return "crash", f"ended with exit status {self._ended} in {self._phase()}, without a result"

    def _phase(self) -> str:
        if "scoring" in self._events:
            return "scoring"
        return "training" if "training" in self._events else "start-up"

    def _read_events(self) -> Iterator[CurvePoint]:
        while chunk := _read(self._events_end):
            self._line_bytes += len(chunk)
            if self._line_bytes > EVENTS_LIMIT:
                self._kill("invalid", "wrote more than an honest trial on the result pipe")
                return
            self._line += chunk
        self._events_closed = chunk == b""
        *lines, self._line = self._line.split(b"\n")
        for line in lines:
            try:
                event = from_json(Event, line)
            except (ValueError, TypeError, AssertionError, KeyError):
                self._kill("invalid", "wrote on the result pipe")
                return
            if event.point is not None:
                self._curve.append(event.point)
                yield event.point
            else:
                self._events.setdefault(event.kind, event)

    def _has_ended(self) -> bool:
        try:
            answer = self._slot.answer(0)
        except EOFError:
            self._ended_at = time.monotonic()
            self._slot.restart()
            return True
        if answer is None or "ended" not in answer:
            return False
        self._ended, self._ended_at = int(answer["ended"]), time.monotonic()
        self._peak_mb = max(self._peak_mb, float(answer["peak_mb"]))
        return True

    def _await_end(self) -> None:
        deadline = time.monotonic() + END_SECONDS
        while time.monotonic() < deadline:
            if select.select([self._slot.control], [], [], POLL_SECONDS)[0] and self._has_ended():
                return
            self._output.drain(self._output_end)
        self._slot.restart()
        self._ended_at = time.monotonic()

    def _overdue(self) -> str:
        now = time.monotonic()
        training, scoring = self._events.get("training"), self._events.get("scoring")
        if training is None:
            limit, since, phase = self._job.startup_limit, self._sent_at, "start-up"
        elif scoring is None:
            limit, since, phase = self._job.training_limit, training.at, "training"
        else:
            limit, since, phase = self._job.scoring_limit, scoring.at, "scoring"
        return f"{phase} took longer than {limit:.0f} s" if now - since > limit else ""

    def _look_at_memory(self) -> None:
        used = isolate.tree_memory_mb(self._slot.server_pid)
        self._peak_mb = max(self._peak_mb, used)
        if self._job.memory_mb and used > self._job.memory_mb and self._killed is None:
            self._kill("oom", f"used {used:.0f} MB, allowed are {self._job.memory_mb} MB")

    def _kill(self, status: Status, error: str) -> None:
        if self._killed is None:
            self._killed = (status, error)
            self._slot.ask({"kill": True}, [])


class _CappedLog:
    """A file that takes the first bytes of an output and counts the rest."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._left, self._dropped = OUTPUT_LIMIT, 0

    def drain(self, descriptor: int) -> bool:
        """Take what can be read now, at most a few megabytes, so that the caller goes on. False: it is closed."""
        for _ in range(64):
            chunk = _read(descriptor)
            if not chunk:
                self._file.flush()
                return chunk is None
            kept = chunk[: self._left]
            self._file.write(kept)
            self._left -= len(kept)
            self._dropped += len(chunk) - len(kept)
        return True

    def close(self) -> None:
        if self._dropped:
            self._file.write(f"\n[{self._dropped} more bytes were not kept]\n".encode())
        self._file.close()


def _read(descriptor: int) -> bytes | None:
    """What is there: None for nothing yet, empty when the other end is closed."""
    try:
        return os.read(descriptor, 1 << 16)
    except BlockingIOError:
        return None
