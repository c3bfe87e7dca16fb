"""What a job goes through, as its process server sees it: training behind walls, then scoring by a judge.

    training   one process runs the candidate; it gets the training rows when its clock and ours start
    saved      all processes of the training are killed; only the bytes of a model are left
    scoring    one or two fresh processes behind walls load the model; the judge asks them and computes the score
    kept       if the run keeps weights: another such process takes the model apart, this one copies both files

All times that count are taken here. Messages of the training process are checked, and more of them than an honest
process sends make the job invalid. The slot enforces deadlines and memory.
"""

import fcntl
import os
import secrets
import socket
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np

from autoresearch_ray.benchmark.sandbox import processes, syscalls
from autoresearch_ray.benchmark.sandbox.root_folder import Cover
from autoresearch_ray.benchmark.sandbox.walls import Walls
from autoresearch_ray.benchmark.score.plausible import Reference, too_fast, too_many
from autoresearch_ray.benchmark.trial import shared_logits
from autoresearch_ray.benchmark.trial.confined import Host, confinement_of, fork_confined, kill
from autoresearch_ray.benchmark.trial.events import check_event
from autoresearch_ray.benchmark.trial.job import (
    DataShape,
    Event,
    Job,
    late_saving,
    overtime,
    too_many_cores,
)
from autoresearch_ray.benchmark.trial.judge import Files, Remote, judge
from autoresearch_ray.benchmark.trial.model_process import run_model
from autoresearch_ray.benchmark.trial.process_server import End
from autoresearch_ray.benchmark.trial.shared_logits import Exchange
from autoresearch_ray.benchmark.trial.split_model import split
from autoresearch_ray.benchmark.trial.training_process import run_candidate
from autoresearch_ray.records.codec import from_json, to_json

MOST_MESSAGES = 64  # limit for a candidate's process; an honest one sends 25
MOST_KEPT, SPARE_KEPT = 2, 1 << 20  # largest kept file: so many times the saved model, plus so many bytes
ORDER = {"training": "", "progress": "training", "trained": "training", "saved": "trained", "unsaved": "trained"}


class Stages:
    """One job."""

    def __init__(self, message: dict[str, Any], descriptors: list[int], walls: Walls, host: Host) -> None:
        job = {field.name: message["job"][field.name] for field in fields(Job)}
        self._job = Job(**job | {"reference": Reference(**job["reference"])})
        self._shape = DataShape(**message["shape"])
        covers = tuple(Cover(*cover) for cover in message["covers"])
        self._behind, self._host = confinement_of(self._job, walls, message["folder"], covers), host
        self._output, self._train, *scoring = descriptors
        self._files, self._kept = Files(*scoring[:3]), scoring[3:]
        self._model = os.memfd_create("model", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        rows = max(self._shape.val_rows, self._shape.holdout_rows)
        self._layout = shared_logits.layout_for(rows, self._shape.seq_len, self._shape.vocab_size, self._job.device)
        self._opened = [*descriptors, self._model]
        self._said: dict[str, Event] = {}  # the first message of each kind, at this process's time
        self._messages = 0
        self._cpu_seconds = 0.0  # used before the clock started
        self._failed = self._scored = False

    def run(self) -> End:
        """Train, and score what came of it; the end of the process that decided."""
        channel, theirs = shared_logits.channel()
        with channel:
            pid = self._fork(
                [theirs.fileno(), self._model],
                lambda kept: run_candidate(
                    self._job, self._shape, socket.socket(fileno=kept[0]), kept[1], self._layout
                ),
            )
            theirs.close()
            end = self._host.follow(pid, channel, lambda message: self._heard(message, channel))
            if "unsaved" not in self._said or self._failed:
                end = end or kill(pid)
                processes.kill_everything_else()
            if self._failed or not {"saved", "unsaved"} & set(self._said):
                return end or End(0, 0.0)
            scoring = self._score(channel)
        if self._kept and self._scored and "saved" in self._said:
            self._keep()
        return replace(scoring, peak_mb=max(scoring.peak_mb, end.peak_mb if end else 0.0))

    def close(self) -> None:
        """Close what this job had open."""
        for descriptor in self._opened:
            os.close(descriptor)

    def _fork(self, descriptors: list[int], run: Callable[[list[int]], None]) -> int:
        """A process of the candidate: behind the walls, with these descriptors and no other."""
        return fork_confined(self._host, self._behind, self._output, descriptors, run)

    def _heard(self, message: bytes, channel: socket.socket) -> bool:
        """Take in a message of the training process; True when it is not to be heard any more."""
        event = self._check_message(message)
        if event is None:
            return self._fail("invalid", "wrote on the result pipe")
        if event.kind == "failure":
            return self._fail(event.status, event.error)
        self._said.setdefault(event.kind, event)
        if event.kind == "training":
            socket.send_fds(channel, [b"rows"], [self._train])
            self._cpu_seconds = processes.cpu_seconds()
        if event.kind in ("training", "progress"):
            self._host.tell(self._with_own_time(event))
            return False
        if event.kind == "trained":
            return self._check_training(event)
        return self._check_saving(event)

    def _with_own_time(self, event: Event) -> Event:
        """The event with the time of its curve point by this process's clock; a dry run's clock counts steps."""
        if event.point is None or self._job.dry:
            return event
        return replace(event, point=replace(event.point, seconds=event.at - self._said["training"].at))

    def _check_message(self, message: bytes) -> Event | None:
        """The message as an event; None for one that an honest process does not send."""
        self._messages += 1
        try:
            event = check_event(from_json(Event, message))
        except (ValueError, TypeError, AssertionError, KeyError, AttributeError, RecursionError):
            return None
        expected = event.kind == "failure" or ORDER.get(event.kind, event.kind) in ("", *self._said)
        again = event.kind in self._said and event.kind != "progress"
        return event if expected and not again and self._messages <= MOST_MESSAGES else None

    def _check_training(self, trained: Event) -> bool:
        if self._job.dry:  # its clock counts steps
            return False
        outside = trained.at - self._said["training"].at
        status, reason = overtime(self._job, trained.training_seconds, outside, trained.slowest_step)
        if reason:
            return self._fail(status, reason)
        used = processes.cpu_seconds() - self._cpu_seconds
        if reason := too_many_cores(self._job, used, outside):
            return self._fail("invalid", reason)
        doubt = too_many(trained.steps, trained.tokens, outside)
        return self._fail("invalid", doubt, held=True) if doubt else False

    def _check_saving(self, event: Event) -> bool:
        late = late_saving(event.at - self._said["trained"].at, os.fstat(self._model).st_size)
        if late and not self._job.dry:
            return self._fail("timeout", late)
        if event.kind == "unsaved" and (self._job.dry or self._job.strength == "full"):  # no proof can use such a model
            return self._fail(
                "invalid", f"the model cannot be saved ({event.error}), and a proof loads it in fresh processes"
            )
        return True

    def _fail(self, status: str, error: str, held: bool = False) -> bool:
        self._failed = True
        self._host.tell(Event("failure", time.monotonic(), status=status, error=error, held=held))
        return True

    def _score(self, training: socket.socket) -> End:
        """Let the judge ask the model's processes; its end."""
        trained = self._said["trained"]
        self._host.tell(replace(trained, kind="scoring", at=time.monotonic()))
        count = 2 if self._job.strength == "full" else 1
        asked = [self._model_process(training) for _ in range(count)]
        report, theirs = shared_logits.channel()
        with report:
            pid = self._host.fork()
            if pid == 0:
                self._run_judge(theirs, asked)
            theirs.close()
            for channel, memory in asked:
                channel.close()
                os.close(memory)
            return self._host.follow(pid, report, self._heard_judge) or kill(pid)

    def _model_process(self, training: socket.socket) -> tuple[socket.socket, int]:
        """Start a process that answers for the model: the judge's end of its channel, and the memory they share."""
        channel, theirs = shared_logits.channel()
        memory = shared_logits.new_memory(self._layout.size)
        with theirs:
            if "unsaved" in self._said:
                socket.send_fds(training, [b"score"], [theirs.fileno(), memory])
                return channel, memory
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
            fcntl.fcntl(self._model, fcntl.F_ADD_SEALS, seals)
            saved = os.open(f"/proc/self/fd/{self._model}", os.O_RDONLY)  # has a file offset of its own
            self._fork(
                [theirs.fileno(), saved, memory],
                lambda kept: run_model(
                    self._job, kept[1], socket.socket(fileno=kept[0]), Exchange(kept[2], self._layout)
                ),
            )
            os.close(saved)
        return channel, memory

    def _run_judge(self, report: socket.socket, asked: list[tuple[socket.socket, int]]) -> None:
        """Judge in a process of its own, which runs no candidate's code."""
        try:
            if syscalls.SUPPORTED:
                syscalls.die_with_parent()
            rng = np.random.default_rng(secrets.randbits(128))
            remotes = [Remote(channel, Exchange(memory, self._layout), rng) for channel, memory in asked]
            event = judge(self._job, self._shape, self._files, remotes, rng)
            report.send(to_json(event).encode())
        except BaseException:  # noqa: BLE001  # a fault of ours; the trial then ends without a result
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(0)

    def _heard_judge(self, message: bytes) -> bool:
        event = from_json(Event, message)
        trained = self._said["trained"]
        rate = trained.tokens / max(trained.training_seconds, 1e-9)
        compares = event.kind == "result" and not self._job.metric_source
        doubt = too_fast(rate, event.val_bpb, self._job.reference) if compares else ""
        if doubt:
            return self._fail("invalid", doubt, held=True)
        if event.kind == "result":
            event = replace(
                event,
                training_seconds=trained.training_seconds,
                steps=trained.steps,
                tokens=trained.tokens,
                peak_memory_mb=trained.peak_memory_mb,
                profile=trained.profile,
                learned=trained.learned,
                checks=f"clock cores speed {event.checks}",
            )
        self._scored = event.kind == "result"
        self._host.tell(event)
        return False

    def _keep(self) -> None:
        """Take the model apart in a process behind the walls, and copy its files if their sizes are right."""
        processes.kill_everything_else()
        made = [os.memfd_create("kept", os.MFD_CLOEXEC) for _ in self._kept]
        saved = os.open(f"/proc/self/fd/{self._model}", os.O_RDONLY)
        ours, theirs = shared_logits.channel()
        try:
            pid = self._fork([saved, *made], lambda kept: split(self._job, *kept))
            theirs.close()
            end = self._host.follow(pid, ours, lambda message: False) or kill(pid)
            processes.kill_everything_else()  # nothing is left that could still write
            most = MOST_KEPT * os.fstat(self._model).st_size + SPARE_KEPT
            if end.status == 0 and all(0 < os.fstat(file).st_size <= most for file in made):
                for file, target in zip(made, self._kept, strict=True):
                    _copy(file, target)
                self._host.tell(Event("kept", time.monotonic()))
        finally:
            for descriptor in (*made, saved):
                os.close(descriptor)
            ours.close()


def _copy(source: int, target: int) -> None:
    size, done = os.fstat(source).st_size, 0
    while done < size:
        done += os.sendfile(target, source, done, size - done)
