"""What a run learns of itself: how noisy pairs are, and what changes are worth. Pure.

A grid of hypotheses, each a variance of pairs and a prior of effects. Every candidate's comparisons with its parent
have a likelihood under each; the grid's posterior averages the hypotheses. Selection does no harm: a candidate that was
run again because it was lucky counts with all its runs, the lucky one too. Sums of logs, so the order does not matter.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from scipy.special import log_ndtr

from autoresearch_ray.decide.effects import Component, Prior

Vector = np.ndarray[tuple[int], np.dtype[np.float64]]
Grid = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

# In units of the baseline's sd and variance over seeds.
PAIR_VARIANCES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)  # the unit comes from three runs, and may be far too small
PAIR_WEIGHTS = (3, 12, 24, 24, 4, 1, 0.5)
NULLS = (0.2, 0.5, 0.8)  # shares of changes that do nothing
GOODS = (0.1, 0.25, 0.5)  # shares of improvements among the others
SIZES = (0.4, 1.0, 2.5)  # mean improvement
BAD_SIZES = (1.0, 3.0, 9.0)  # mean loss
NULL_SIZE = 0.1
# A few changes do far more than all others: without these a single jump of 40 sd passed for noisy pairs, and the
# candidate was expected 2 sd above the mean of its own four runs.
JUMPS, JUMP_SIZE = 0.02, 30.0  # share of changes, half of them for the better, and their mean size

_AXES = (PAIR_VARIANCES, NULLS, GOODS, SIZES, BAD_SIZES)
_SHAPE = [len(axis) for axis in _AXES]
_GRID = np.array(list(product(*_AXES)))
_VARIANCE, _NULL, _GOOD, _SIZE, _BAD = _GRID.T
_USUAL = np.stack([(1 - _NULL) * _GOOD, _NULL, (1 - _NULL) * (1 - _GOOD)])
_SHARES = np.log(np.concatenate([(1 - JUMPS) * _USUAL, np.full((2, len(_GRID)), JUMPS / 2)]))
# The parameters that a comparison's likelihood depends on, each along its own axis of the grid.
_VARIANCES, _SIZES, _BADS = (
    np.array(values).reshape([-1 if axis == at else 1 for axis in range(5)])
    for values, at in ((PAIR_VARIANCES, 0), (SIZES, 3), (BAD_SIZES, 4))
)
_JUMP_SIZES = np.array(JUMP_SIZE)
_LOG_VARIANCE, _LOG_SIZE, _LOG_BAD = np.log(_VARIANCE), np.log(_SIZE), np.log(_BAD)
_GOOD_OF_ALL = (1 - _NULL) * _GOOD
_PRIOR = np.log(np.repeat(PAIR_WEIGHTS, len(_GRID) // len(PAIR_VARIANCES)) / len(_GRID))


@dataclass(frozen=True, slots=True)
class Learned:
    """The posterior's means. `pair_variance` in units of the scale's square, sizes in units of the scale."""

    pair_variance: float
    null: float
    good: float  # of all changes
    size: float
    bad: float  # mean loss

    def prior(self, scale: float) -> Prior:
        """Of a change's effect on J."""
        usual = 1 - JUMPS
        return (
            Component(usual * self.good, -self.size * scale),
            Component(usual * self.null, 0.0, NULL_SIZE * scale),
            Component(usual * (1 - self.good - self.null), self.bad * scale),
            Component(JUMPS / 2, -JUMP_SIZE * scale),
            Component(JUMPS / 2, JUMP_SIZE * scale),
        )


def learn(evidence: Vector) -> Learned:
    """From the summed evidence of all candidates."""
    logs = _PRIOR + evidence
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    return Learned(
        pair_variance=_coarse(float(weights @ _LOG_VARIANCE)),
        null=round(float(weights @ _NULL), 2),
        good=round(float(weights @ _GOOD_OF_ALL), 2),
        size=_coarse(float(weights @ _LOG_SIZE)),
        bad=_coarse(float(weights @ _LOG_BAD)),
    )


def _coarse(log: float) -> float:
    """To about 5 %: what follows from it is computed anew only when it has changed by that."""
    return _twentieths_exp(round(log * 20))


@lru_cache(256)
def _twentieths_exp(twentieths: int) -> float:
    return float(np.exp(twentieths / 20))


def nothing() -> Vector:
    """The evidence of no candidate."""
    return np.zeros(len(_GRID))


@lru_cache(8192)
def evidence_of_mean(mean: float, runs: int, growth: float) -> Vector:
    """Log likelihood of the mean of a candidate's differences from its parent, in units of the scale."""
    variance = _VARIANCES * growth / runs
    sd = np.sqrt(variance)
    total = NULL_SIZE**2 + variance
    null = -0.5 * (mean**2 / total + np.log(2 * np.pi * total))
    parts = [
        _exponential(-mean, _SIZES, variance, sd),
        null,
        _exponential(mean, _BADS, variance, sd),
        _exponential(-mean, _JUMP_SIZES, variance, sd),
        _exponential(mean, _JUMP_SIZES, variance, sd),
    ]
    logs = _SHARES.copy()
    for log, part in zip(logs.reshape(-1, *_SHAPE), parts, strict=True):
        log += part
    return np.asarray(np.logaddexp.reduce(logs, axis=0))


@lru_cache(8192)
def evidence_of_scatter(squares: float, degrees: int) -> Vector:
    """Log likelihood of a sum of squares of differences about their mean, for one change in between."""
    return np.asarray(-0.5 * (degrees * _LOG_VARIANCE + squares / _VARIANCE))


def _exponential(seen: float, size: Grid, variance: Grid, sd: Grid) -> Grid:
    return np.asarray(variance / (2 * size**2) - seen / size - np.log(size) + log_ndtr((seen - variance / size) / sd))
