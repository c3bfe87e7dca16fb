"""What an exception of a candidate's code is called: the status of its trial, and one line with the place."""

import traceback
from typing import get_args

import torch

from autoresearch_ray.benchmark.score.metric import InvalidModelError
from autoresearch_ray.benchmark.trial.candidate_module import FILE
from autoresearch_ray.records import FailureStatus
from autoresearch_ray.text import one_line

MEMORY_WORDS = ("out of memory", "can't allocate memory", "cannot allocate memory")
STATUSES: tuple[FailureStatus, ...] = get_args(FailureStatus)  # that a candidate's process may name
LENGTH = 2000  # of the line, characters


def described(error: BaseException) -> tuple[FailureStatus, str]:
    """Status and line."""
    if isinstance(error, InvalidModelError):
        return "invalid", one_line(str(error), LENGTH)
    text = f"{type(error).__name__}: {error}"
    out_of_memory = isinstance(error, (MemoryError, torch.OutOfMemoryError))
    status: FailureStatus = "oom" if out_of_memory or any(words in text.lower() for words in MEMORY_WORDS) else "crash"
    place = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == FILE]
    return status, one_line(text + (f" ({FILE}:{place[-1].lineno})" if place else ""), LENGTH)
