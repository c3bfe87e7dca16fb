"""What an exception of a candidate's code is called: the status of its trial, and one line with the place."""

import mmap
import traceback

import torch

from autoresearch_ray.benchmark.score.metric import InvalidModelError
from autoresearch_ray.benchmark.trial.candidate_module import FILE
from autoresearch_ray.benchmark.trial.job import LENGTH, MEMORY_WORDS
from autoresearch_ray.common.text import one_line
from autoresearch_ray.records.trials import FailureStatus

SPARE_BYTES = 16 << 20  # reserve, to report a failure after a candidate used up its memory
_spare: mmap.mmap | None = None


def keep_spare_memory() -> None:
    """Set memory aside for `describe`; nothing of it is touched, so it costs no more than room under the limit."""
    global _spare
    _spare = mmap.mmap(-1, SPARE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def describe(error: BaseException) -> tuple[FailureStatus, str]:
    """Status and line."""
    if _spare is not None:
        _spare.close()  # no loop and no list here: they would take memory
    if isinstance(error, InvalidModelError):
        return "invalid", one_line(str(error), LENGTH)
    text = f"{type(error).__name__}: {error}"
    out_of_memory = isinstance(error, (MemoryError, torch.OutOfMemoryError))
    status: FailureStatus = "oom" if out_of_memory or any(words in text.lower() for words in MEMORY_WORDS) else "crash"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == FILE]
    return status, one_line(text + (f" ({FILE}:{frames[-1].lineno})" if frames else ""), LENGTH)
