"""One candidate in its own process: load, train on the harness's clock, score, report over the private pipe.

Whatever the candidate raises becomes a failure event with its kind; whatever it prints goes to its output. Deadlines
and limits are held from outside, in `slot.py`.
"""

import gc
import linecache
import os
import sys
import time
import traceback
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from autoresearch_ray import records
from autoresearch_ray.benchmark import device as devices
from autoresearch_ray.benchmark.cache import Dataset, open_dataset
from autoresearch_ray.benchmark.job import Event, Job
from autoresearch_ray.benchmark.metric import InvalidModelError, probe_causality, score
from autoresearch_ray.benchmark.task import Task

CANDIDATE_FILE = "train.py"
OVERTIME = 0.02  # of the budget that `train` may take after the last batch, plus two of its slowest steps
MEMORY_WORDS = ("out of memory", "can't allocate memory", "cannot allocate memory")


def run_candidate(job: Job, events: int) -> None:
    """Run the job and write its events, one JSON line each, to the descriptor `events`."""
    emit = _emitter(events)
    try:
        emit(_measured(job, emit))
    except BaseException as error:  # noqa: BLE001  # the trial's border: a crash of the candidate is a result
        traceback.print_exc()
        emit(_failure(error))


def _emitter(descriptor: int) -> Callable[[Event], None]:
    def emit(event: Event) -> None:
        os.write(descriptor, records.to_json(event).encode() + b"\n")

    return emit


def _measured(job: Job, emit: Callable[[Event], None]) -> Event:
    dataset = open_dataset(Path(job.dataset_folder), verify=False)
    device = devices.choose_device(job.device)
    amp_dtype = devices.choose_amp(job.amp, device)
    torch.set_num_threads(job.threads)
    if device.type == "cuda" and 0 < job.gpu_fraction < 1:
        torch.cuda.set_per_process_memory_fraction(job.gpu_fraction)
    torch.manual_seed(job.seed)
    gc.freeze()  # what the server imported is never garbage: collections stay short
    task = Task(
        dataset,
        device,
        amp_dtype,
        job.seed,
        job.budget_seconds,
        on_training=lambda: emit(Event("training", time.monotonic())),
        on_progress=lambda point: emit(Event("progress", time.monotonic(), point=point)),
    )
    model = _trained(job, task)
    training_seconds = _training_seconds(task, job)
    event = Event("scoring", time.monotonic(), training_seconds=training_seconds, steps=task.steps, tokens=task.tokens)
    emit(event)
    return _scored(model, dataset, task, event)


def _trained(job: Job, task: Task) -> torch.nn.Module:
    module = _loaded(job.source)
    model = module.train(task)
    if task.device.type == "cuda":
        torch.cuda.synchronize()
    if not isinstance(model, torch.nn.Module):
        raise InvalidModelError(f"train returned {type(model).__name__}, expected a torch.nn.Module")
    return model


def _loaded(source: str) -> Any:
    """The candidate as a module; its lines show in tracebacks."""
    module = types.ModuleType("candidate")
    module.__file__ = CANDIDATE_FILE
    linecache.cache[CANDIDATE_FILE] = (len(source), None, source.splitlines(keepends=True), CANDIDATE_FILE)
    sys.modules["candidate"] = module
    exec(compile(source, CANDIDATE_FILE, "exec"), module.__dict__)
    return module


class OvertimeError(Exception):
    """`train` went on after its batches had ended."""


def _training_seconds(task: Task, job: Job) -> float:
    if not task.clock.started:
        raise InvalidModelError("train returned without asking for a batch")
    seconds = task.clock.elapsed
    allowed = job.budget_seconds * (1 + OVERTIME) + 2 * task.slowest_step
    if seconds > allowed:
        raise OvertimeError(f"train returned after {seconds:.1f} s, allowed were {allowed:.1f} s")
    return seconds


def _scored(model: torch.nn.Module, dataset: Dataset, task: Task, scoring: Event) -> Event:
    begin = time.monotonic()
    val, holdout = dataset.rows("val"), dataset.rows("holdout")
    probe_causality(model, val, dataset.vocab_size, task.device, task.amp_dtype, seed=task.seed)
    scores = [score(model, rows, dataset.token_bytes, task.device, task.amp_dtype).bpb for rows in (val, holdout)]
    return replace(
        scoring,
        kind="result",
        at=time.monotonic(),
        val_bpb=scores[0],
        holdout_bpb=scores[1],
        eval_seconds=time.monotonic() - begin,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        peak_memory_mb=devices.peak_memory_mb(task.device),
        device_name=devices.device_name(task.device),
    )


def _failure(error: BaseException) -> Event:
    text = f"{type(error).__name__}: {error}"
    status = "crash"
    if isinstance(error, InvalidModelError):
        status, text = "invalid", str(error)
    elif isinstance(error, OvertimeError):
        status, text = "timeout", str(error)
    elif isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(w in text.lower() for w in MEMORY_WORDS):
        status = "oom"
    place = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == CANDIDATE_FILE]
    if place and status in ("crash", "oom"):
        text += f" ({CANDIDATE_FILE}:{place[-1].lineno})"
    return Event("failure", time.monotonic(), status=status, error=" ".join(text.split())[:2000])
