"""What a training process says, as an event that can be trusted in form: every field of its declared type."""

import math
import time

from autoresearch_ray.benchmark.trial.job import LENGTH, STATUSES, Event
from autoresearch_ray.benchmark.trial.learned import plain_parameters
from autoresearch_ray.benchmark.trial.line_profile import MOST_LINES
from autoresearch_ray.common.text import one_line
from autoresearch_ray.records.trials import CurvePoint

LARGEST = 1e15  # steps, tokens, seconds and megabytes above it are refused


def check_event(event: Event) -> Event:
    """A copy of what a training process may say, each field of its declared type; JSON may hold anything.

    Raises ValueError, TypeError or AttributeError if one is not.
    """
    point = event.point
    if (event.kind == "progress") != (point is not None) or not isinstance(event.kind, str):
        raise ValueError("a point belongs to progress, and to nothing else")
    if point is not None:
        bpb = point.train_bpb if abs(point.train_bpb) < LARGEST else math.nan
        point = CurvePoint(_number(point.seconds), int(_number(point.step)), int(_number(point.tokens)), bpb)
    return Event(
        event.kind,
        time.monotonic(),
        point=point,
        status=event.status if event.status in STATUSES else "crash",
        error=one_line(event.error, LENGTH),
        training_seconds=_number(event.training_seconds),
        slowest_step=_number(event.slowest_step),
        steps=int(_number(event.steps)),
        tokens=int(_number(event.tokens)),
        peak_memory_mb=_number(event.peak_memory_mb),
        profile=tuple((int(_number(line)), _number(share)) for line, share in event.profile[:MOST_LINES]),
        learned=plain_parameters(event.learned),
    )


def _number(value: float) -> float:
    if not 0 <= value < LARGEST:
        raise ValueError(f"{value} is no count or time")
    return value
