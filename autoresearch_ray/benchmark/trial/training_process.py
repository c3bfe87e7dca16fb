"""One candidate in its own process: load, train on the harness's clock, hand over the model.

Whatever the candidate raises becomes a failure event with its kind; whatever it prints goes to its output. Training
data comes over the channel when the clock starts, validation and held-out data never. Deadlines and limits are held
from outside, in `slot.py` and `server.py`; what is said here is checked there. Scoring is in `judge.py`.
"""

import gc
import os
import socket
import sys
import time
import traceback
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from autoresearch_ray.benchmark.score.metric import InvalidModelError
from autoresearch_ray.benchmark.trial import candidate_module, model_process, shared_logits
from autoresearch_ray.benchmark.trial import device as devices
from autoresearch_ray.benchmark.trial.drytask import DryTask
from autoresearch_ray.benchmark.trial.failures import describe, keep_spare_memory
from autoresearch_ray.benchmark.trial.job import LENGTH, DataShape, Event, Job
from autoresearch_ray.benchmark.trial.learned import read_small_parameters
from autoresearch_ray.benchmark.trial.line_profile import LineProfile, Profile
from autoresearch_ray.benchmark.trial.shared_logits import Exchange, Layout
from autoresearch_ray.benchmark.trial.task import Task
from autoresearch_ray.common.text import one_line
from autoresearch_ray.records import codec


@dataclass(frozen=True)
class HandedData:
    """The data set as a candidate's process has it: its shape, and the training rows when the clock starts."""

    shape: DataShape
    channel: socket.socket

    @property
    def vocab_size(self) -> int:
        return self.shape.vocab_size

    @property
    def seq_len(self) -> int:
        return self.shape.seq_len

    @property
    def train_bytes_per_token(self) -> float:
        return self.shape.train_bytes_per_token

    def rows(self, split: Literal["train"]) -> np.ndarray:
        """Wait for the rows; the process server sends them upon the event `training`."""
        descriptors = receive(self.channel, 1)
        with os.fdopen(descriptors[0], "rb") as file:
            return np.memmap(file, np.uint16, "r", shape=(self.shape.train_rows, self.shape.seq_len + 1))


def run_candidate(job: Job, shape: DataShape, channel: socket.socket, saved: int, layout: Layout) -> None:
    """Run the job: say its events over `channel`, write the model to the descriptor `saved`.

    Where the model cannot be saved, answer the judge from here.
    """
    try:
        keep_spare_memory()
        task, model, profile = _train(job, shape, channel)
        trained = Event(
            "trained",
            time.monotonic(),
            training_seconds=task.clock.elapsed,
            slowest_step=task.slowest_step,
            steps=task.steps,
            tokens=task.tokens,
            peak_memory_mb=devices.peak_memory_mb(task.device),
            profile=profile,
            learned=read_small_parameters(model),
        )
        _say(channel, trained)
        if _save(model, saved, channel):
            return
        judge_end, memory = receive(channel, 2)
        with socket.socket(fileno=judge_end) as judge:
            shared_logits.hear(judge)
            shared_logits.tell(judge, model_process.facts(model, task.device))
            model_process.serve(job, model, judge, Exchange(memory, layout))
    except BaseException as error:  # noqa: BLE001  # the trial's border: a crash of the candidate is a result
        status, line = describe(error)
        traceback.print_exc()
        _say(channel, Event("failure", time.monotonic(), status=status, error=line))


def receive(channel: socket.socket, count: int) -> list[int]:
    """So many descriptors from the process server. EOFError when it is gone."""
    message, descriptors, _, _ = socket.recv_fds(channel, shared_logits.MESSAGE, count)
    if not message or len(descriptors) != count:
        raise EOFError("the process server is gone")
    return descriptors


def _train(job: Job, shape: DataShape, channel: socket.socket) -> tuple[Task, torch.nn.Module, Profile]:
    device = model_process.prepare_device(job)
    gc.freeze()  # the server's imports are never garbage: collections stay short
    task = (DryTask if job.dry else Task)(
        HandedData(shape, channel),
        device,
        devices.choose_amp(job.amp, device),
        job.seed,
        job.budget_seconds,
        on_training=lambda: _say(channel, Event("training", time.monotonic())),
        on_progress=lambda point: _say(channel, Event("progress", time.monotonic(), point=point)),
    )
    profile = LineProfile(task.clock) if device.type == "cpu" and not job.dry else None
    module = candidate_module.load_module(job.source)
    if profile:
        profile.start()
    model = module.train(task)
    lines = profile.stop() if profile else ()
    if device.type == "cuda":
        torch.cuda.synchronize()
    if not isinstance(model, torch.nn.Module):
        raise InvalidModelError(f"train returned {type(model).__name__}, expected a torch.nn.Module")
    if not task.clock.started:
        raise InvalidModelError("train returned without asking for a batch")
    return task, model, lines


def _save(model: torch.nn.Module, saved: int, channel: socket.socket) -> bool:
    try:
        with os.fdopen(saved, "wb") as file:
            candidate_module.save(model, file)
    except Exception as error:  # noqa: BLE001  # a model's own methods may raise anything; then it stays here
        sys.stderr.write(
            f"the model cannot be saved, it is scored where it was trained: {one_line(str(error), LENGTH)}\n"
        )
        _say(channel, Event("unsaved", time.monotonic(), error=describe(error)[1]))
        return False
    _say(channel, Event("saved", time.monotonic()))
    return True


def _say(channel: socket.socket, event: Event) -> None:
    channel.send(codec.to_json(event).encode())
