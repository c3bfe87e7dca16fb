"""One job under way on a slot: deadlines, memory and output from outside, and what is known so far."""

import math
import os
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from autoresearch_ray.benchmark.sandbox import cgroup, limits, processes, root_folder
from autoresearch_ray.benchmark.sandbox.walls import Walls
from autoresearch_ray.benchmark.trial.job import MEMORY_WORDS, STATUSES, AnyJob, Event
from autoresearch_ray.common.text import last_line
from autoresearch_ray.records.codec import from_json
from autoresearch_ray.records.trials import CurvePoint, Result, Status

END_SECONDS = 10.0  # time for the server to end a killed candidate
LOOK_SECONDS = 0.5  # between looks at memory, processes and disk
POLL_SECONDS = 0.05
OUTPUT_LIMIT = 1 << 20  # bytes of a candidate's output that are kept
OWN_THREADS = 64  # the server's threads, in addition to a candidate's
LEAK = 0.1  # growth in a late phase's second half, as a share of the limit: then memory took the time


class Asked(Protocol):
    """The slot, as far as a job under way needs it."""

    walls: Walls

    @property
    def server_pid(self) -> int: ...
    @property
    def control(self) -> socket.socket: ...
    def ask(self, message: dict[str, Any], descriptors: list[int]) -> None: ...
    def answer(self, timeout_seconds: float) -> dict[str, Any] | None: ...
    def restart(self) -> None: ...


class CappedLog:
    """A file that takes the first bytes of an output and counts the rest."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._left, self._dropped = OUTPUT_LIMIT, 0

    def drain(self, descriptor: int) -> bool:
        """Take what can be read now, at most a few megabytes, so that the caller goes on. False: it is closed."""
        for _ in range(64):
            try:
                chunk = os.read(descriptor, 1 << 16)
            except BlockingIOError:
                chunk = None
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


class Execution:
    """One job, from its request to its result."""

    def __init__(self, slot: Asked, job: AnyJob, output: Path, work: Path) -> None:
        self._slot, self._job, self._work = slot, job, work
        self._sent_at = time.monotonic()
        self._output, self._printed = CappedLog(output), output
        self._output_end, output_write = os.pipe()
        os.set_blocking(self._output_end, False)
        self._events: dict[str, Event] = {}
        self._curve: list[CurvePoint] = []
        self._killed_before = cgroup.count_memory_kills()
        self._killed: tuple[Status, str] | None = None
        self._ended: int | None = None  # exit status; None: the server itself was lost
        self._peak_mb = 0.0
        self._memory: list[tuple[float, float]] = []  # when, and how many megabytes
        self._ended_at = 0.0
        self._level = slot.walls.level
        self._send(output_write)
        os.close(output_write)

    def follow(self) -> Iterator[CurvePoint]:
        """Progress, until the job's processes have ended or are killed."""
        look_at = 0.0
        pipes = [self._output_end]
        while True:
            readable, _, _ = select.select([self._slot.control.fileno(), *pipes], [], [], POLL_SECONDS)
            if self._output_end in readable and not self._output.drain(self._output_end):
                pipes.remove(self._output_end)
            if self._slot.control.fileno() in readable:
                point = self._hear()
                if point is not None:
                    yield point
                if self._ended_at:
                    return
            if time.monotonic() >= look_at:
                look_at = time.monotonic() + LOOK_SECONDS
                self._look()
            if self._killed is None:
                self._end_late()

    def stop(self, reason: str) -> None:
        """Kill the candidate; `follow` goes on until it has ended."""
        self._kill("stopped", reason)

    def close(self) -> None:
        """Make sure that nothing is left, and collect what was printed last."""
        if self._ended_at == 0.0:
            self._kill("stopped", "stopped before its end")
            self._await_end()
        self._output.drain(self._output_end)
        self._output.close()
        os.close(self._output_end)
        self._settle_kept()

    def result(self) -> Result:
        """The job's result, a record without trial, slot and node."""
        status, error = self._status()
        training, done = self._events.get("training"), self._events.get("result")
        measured = done or self._events.get("scoring") or Event("none", 0.0)
        last = self._curve[-1] if self._curve else CurvePoint(0.0, 0, 0, 0.0)
        ok = status == "ok"
        assert not ok or done is not None
        now = time.time()  # time of day, read once: the clock may be set while a trial runs
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
            isolation=self._level,
            started_at=now - (time.monotonic() - self._sent_at),
            finished_at=now,
            error=error,
            held=status == "invalid" and "failure" in self._events and self._events["failure"].held,
            curve=tuple(self._curve),
            profile=measured.profile,
            learned=measured.learned,
            strength=self._job.strength,
            checks=tuple(done.checks.split()) if done is not None and ok else (),
        )

    def _send(self, output: int) -> None:
        message, paths = self._job.pack(str(self._work))
        with ExitStack() as files:
            opened = [files.enter_context(path.open("rb")).fileno() for path in paths]
            opened += [files.enter_context(partial.open("wb")).fileno() for partial in self._partials()]
            self._slot.ask(message, [output, *opened])

    def _partials(self) -> list[Path]:
        """The paths to which a model to be kept is written while it is incomplete."""
        return [self._printed.with_name(f".{name}.part") for name in self._job.kept_files]

    def _settle_kept(self) -> None:
        """Rename the kept model's files if they are whole and the trial has a score; else remove them."""
        is_kept = "kept" in self._events and self._status()[0] == "ok"
        for partial, name in zip(self._partials(), self._job.kept_files, strict=True):
            if is_kept:
                partial.replace(partial.with_name(name))
            else:
                partial.unlink(missing_ok=True)

    def _status(self) -> tuple[Status, str]:
        done, failed = self._events.get("result"), self._events.get("failure")
        if done is not None:
            scores = [done.val_bpb, *([done.holdout_bpb] if self._job.held_out else [])]
            if all(map(math.isfinite, scores)):
                return "ok", ""
            return "invalid", "the score is nan, expected a finite number"
        if failed is not None:
            where = f"in {self._phase()}: " if "scoring" in self._events else ""
            return next((status for status in STATUSES if status == failed.status), "crash"), where + failed.error
        if self._killed is not None:
            return self._killed
        if self._ended is None:
            return "lost", "its process server was killed"
        if self._ended == -9 and cgroup.count_memory_kills() > self._killed_before:
            have = cgroup.usable_memory() >> 20
            return "oom", f"the kernel ended it because memory ran out; {have} MB are there for all slots together"
        if self._ended == -9:
            return "lost", "killed by signal 9 from elsewhere"
        printed = last_line(self._printed.read_text(errors="replace")) if self._ended else ""
        words = f"; it printed: {printed}" if printed else ""
        status: Status = "oom" if any(word in printed.lower() for word in MEMORY_WORDS) else "crash"
        return status, f"ended with exit status {self._ended} in {self._phase()}, without a result{words}"

    def _phase(self) -> str:
        starting, running, scoring = self._job.phases
        if "scoring" in self._events:
            return scoring
        return running if "training" in self._events else starting

    def _hear(self) -> CurvePoint | None:
        """Take in the server's next message; progress is given back."""
        try:
            answer = self._slot.answer(0)
        except EOFError:
            self._ended_at = time.monotonic()
            self._slot.restart()
            return None
        if answer is not None and "ended" in answer:
            self._ended, self._ended_at = int(answer["ended"]), time.monotonic()
            self._peak_mb = max(self._peak_mb, float(answer["peak_mb"]))
        elif answer is not None and "event" in answer:
            event = from_json(Event, answer["event"])
            if event.point is not None:
                self._curve.append(event.point)
                return event.point
            self._events.setdefault(event.kind, event)
        return None

    def _await_end(self) -> None:
        deadline = time.monotonic() + END_SECONDS
        while time.monotonic() < deadline:
            if select.select([self._slot.control], [], [], POLL_SECONDS)[0]:
                self._hear()
            if self._ended_at:
                return
            self._output.drain(self._output_end)
        self._slot.restart()
        self._ended_at = time.monotonic()

    def _end_late(self) -> None:
        """End a job whose phase has taken too long: by its time, or by its memory where that only grew."""
        training, scoring = self._events.get("training"), self._events.get("scoring")
        if training is None:
            limit, since = self._job.startup_limit, self._sent_at
        elif scoring is None:
            limit, since = self._job.training_limit, training.at
        else:
            limit, since = self._job.scoring_limit, scoring.at
        now = time.monotonic()
        if now - since <= limit:
            return
        late = f"{self._phase()} took longer than {limit:.0f} s"
        sizes = [size for at, size in self._memory if at >= (since + now) / 2]
        if self._job.memory_mb and sizes and sizes[-1] - sizes[0] > LEAK * self._job.memory_mb:
            grown = f"its memory still grew, to {sizes[-1]:.0f} MB of {self._job.memory_mb} MB"
            self._kill("oom", f"{late}, and {grown}")
        else:
            self._kill("timeout", late)

    def _look(self) -> None:
        """Hold what no limit of one process holds: the memory, number and files of all of them together."""
        tree = processes.tree(self._slot.server_pid)
        self._peak_mb = max(self._peak_mb, tree.memory_mb)
        self._memory.append((time.monotonic(), tree.memory_mb))
        if self._job.memory_mb and tree.memory_mb > self._job.memory_mb:
            used = processes.memory_mb(self._slot.server_pid)
            if used > self._job.memory_mb:
                self._kill("oom", f"used {used:.0f} MB in {self._phase()}, allowed are {self._job.memory_mb} MB")
        if tree.threads > limits.PROCESSES + OWN_THREADS:
            self._kill("crash", f"had {tree.threads} processes and threads, allowed are {limits.PROCESSES}")
        written = processes.folder_mb(self._work)
        if written > root_folder.SCRATCH_MB:
            self._kill("crash", f"wrote {written:.0f} MB of files, allowed are {root_folder.SCRATCH_MB} MB")

    def _kill(self, status: Status, error: str) -> None:
        if self._killed is None:
            self._killed = (status, error)
            self._slot.ask({"kill": True}, [])
