"""A score of one's own under our contract: a function of what the harness knows of each target.

    def error_rate(log_probabilities, targets, token_bytes):
        return float((log_probabilities < math.log(0.5)).mean())

It gets three arrays of shape (rows, T):

    log_probabilities   natural logarithm of each target's probability by the model, given the tokens before it; float64
    targets             the targets' token ids; int64
    token_bytes         bytes of text that each target stands for, 0 for one that does not count; int64

It returns one finite number. It runs in the judge, where no candidate's code is.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from autoresearch_ray.benchmark.score.metric import InvalidModelError

Metric = Callable[[np.ndarray, np.ndarray, np.ndarray], float]


def score_with(
    source: str, name: str, log_probabilities: np.ndarray, rows: np.ndarray, token_bytes: np.ndarray
) -> float:
    """The score of a split, rows (N, T + 1), by the function `name` of this source; InvalidModelError if it is none."""
    targets = np.asarray(rows[:, 1:], dtype=np.int64)
    try:
        value = float(_load(source, name)(log_probabilities, targets, np.asarray(token_bytes, dtype=np.int64)[targets]))
    except Exception as error:  # noqa: BLE001  # a user's function may fail in any way, and its trial with it
        raise InvalidModelError(f"the metric {name} failed ({type(error).__name__}: {error})") from None
    if not math.isfinite(value):
        raise InvalidModelError(f"the metric {name} is {value}, expected a finite number")
    return value


@lru_cache(maxsize=4)
def _load(source: str, name: str) -> Metric:
    module: dict[str, Any] = {"__name__": f"metric_{name}"}
    exec(compile(source, f"{name} (metric)", "exec"), module)
    metric: Metric = module[name]
    return metric
