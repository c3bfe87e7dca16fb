"""A model of the objective that ranks moves: a Gaussian process that is a sum of one smooth function a knob.

The covariance of two points is SPREAD^2 times the mean over knobs of exp(-0.5 (distance / WIDTH)^2), for a choice of 1
if equal else 0; all in units of the noise's sd. Additive, because most knobs hardly matter and two dozen trials cannot
show interactions (Duvenaud et al. 2011, https://arxiv.org/abs/1112.4394). Moves are ranked by one draw from the
posterior (Thompson sampling), so that parallel slots differ. The constants were chosen by
experiments/benchmarks/tuner_mix.py; 64 or 128 moves, SPREAD 6 or 10, WIDTH 0.3 or 0.5, and counting what is in flight
or not, differ by less than the simulation's error.
"""

from collections.abc import Sequence

import numpy as np

from autoresearch_ray.candidate.knobs import Knob
from autoresearch_ray.candidate.ranges import Choice

SPREAD = 6.0  # sd of the noise: what the objective varies by over the space
WIDTH = 0.3  # of a knob's range: how far a result speaks for its neighbours
WORST = 8.0  # sd above the frontier: failures, and whatever is worse; further up nothing more is learned
NOISE_SHARE = 0.25  # of the results' own spread: the noise's sd while no point was measured twice


def best_move(
    knobs: Sequence[Knob],
    units: np.ndarray,
    objectives: np.ndarray,
    frontier: np.ndarray,
    moves: np.ndarray,
    rng: np.random.Generator,
) -> int:
    """The index of the move that one posterior draw likes best.

    units (n, knobs) and objectives (n,), nan where a trial failed, are the results so far; frontier (knobs,) and
    moves (m, knobs) are places in unit space.
    """
    choices = np.array([isinstance(knob.range, Choice) for knob in knobs])
    scores = _standardised(units, objectives, frontier)
    prior = _covariance(units, units, choices) + np.eye(len(units))
    across = _covariance(moves, units, choices)
    solved = np.linalg.solve(prior, np.column_stack([scores, across.T]))
    spread = _covariance(moves, moves, choices) - across @ solved[:, 1:]
    lower = np.linalg.cholesky(spread + 1e-6 * SPREAD**2 * np.eye(len(moves)))
    return int(np.argmin(across @ solved[:, 0] + lower @ rng.normal(size=len(moves))))


def noise_sd(units: np.ndarray, objectives: np.ndarray) -> float:
    """The sd of results at equal places, pooled; a guess from their spread where there are none. Always above 0."""
    _, place = np.unique(units.round(9), axis=0, return_inverse=True)
    place = place.reshape(-1)
    squares, freedom = 0.0, 0
    for index in range(place.max(initial=-1) + 1):
        group = objectives[(place == index) & np.isfinite(objectives)]
        if len(group) > 1:
            squares += float(((group - group.mean()) ** 2).sum())
            freedom += len(group) - 1
    finite = objectives[np.isfinite(objectives)]
    guess = NOISE_SHARE * float(np.subtract(*np.percentile(finite, [75, 25]))) if len(finite) else 0.0
    return max(float(np.sqrt(squares / freedom)) if freedom else guess, 1e-9)


def _standardised(units: np.ndarray, objectives: np.ndarray, frontier: np.ndarray) -> np.ndarray:
    """(n,) sd above the frontier's own results, or above the median while it has none; capped at WORST."""
    finite = np.isfinite(objectives)
    at_frontier = finite & (np.abs(units - frontier).max(axis=1) < 1e-9)
    known = objectives[at_frontier] if at_frontier.any() else objectives[finite]
    level = float(np.mean(known) if at_frontier.any() else np.median(known)) if len(known) else 0.0
    scores = np.where(finite, (objectives - level) / noise_sd(units, objectives), WORST)
    return np.asarray(np.minimum(scores, WORST))


def _covariance(one: np.ndarray, other: np.ndarray, choices: np.ndarray) -> np.ndarray:
    """(len(one), len(other)); summed knob by knob, so that memory stays small."""
    total = np.zeros((len(one), len(other)))
    for index, is_choice in enumerate(choices):
        distance = one[:, index, None] - other[None, :, index]
        total += np.abs(distance) < 1e-9 if is_choice else np.exp(-0.5 * (distance / WIDTH) ** 2)
    return SPREAD**2 * total / max(1, len(choices))
