"""A model of the objective that ranks moves: a Gaussian process that is a sum of one smooth function a knob.

The covariance of two points is SPREAD^2 times the mean over knobs of exp(-0.5 (distance / WIDTH)^2). For a choice this
term is 1 if equal, else 0. All is in units of the noise's sd. The model is additive because most knobs hardly matter
and two dozen trials cannot show interactions (Duvenaud et al. 2011, https://arxiv.org/abs/1112.4394). Moves are ranked
by one draw from the posterior (Thompson sampling), so that parallel slots differ.

The constants were chosen by experiments/benchmarks/tuner_mix.py. These differ by less than the simulation's error: 64
or 128 moves, SPREAD 6 or 10, WIDTH 0.3 or 0.5, and whether candidates in flight count.

It is computed as Bayesian linear regression on features whose products are that covariance: ten of a numeric knob (to
2e-8: Nystroem's, https://papers.nips.cc/paper/1866, on Chebyshev's nodes), one of each option of a choice. So its time
grows with the results and not with their cube, and 400 of them take 2 ms where the covariance took 15.
"""

from collections.abc import Sequence

import numpy as np

from autoresearch_ray.candidate.knobs import Knob
from autoresearch_ray.candidate.ranges import Choice

SPREAD = 6.0  # prior sd of the objective over the space, in sd of the noise
WIDTH = 0.3  # length scale, as a share of a knob's range
WORST = 8.0  # failures and worse results count as so many sd above the frontier: more teaches nothing
NOISE_SHARE = 0.25  # noise sd over the results' sd while no point was measured twice

NODES = 0.5 - 0.5 * np.cos(np.pi * (np.arange(10) + 0.5) / 10)  # Chebyshev nodes of the unit interval


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
    moves (m, knobs) are points in unit space.
    """
    seen = features(knobs, units)
    told = seen.T @ _standardise(units, objectives, frontier)
    root = np.linalg.cholesky(seen.T @ seen + np.eye(seen.shape[1]))  # Cholesky factor of the weights' precision
    weights = np.linalg.solve(root.T, np.linalg.solve(root, told) + rng.normal(size=len(told)))
    return int(np.argmin(features(knobs, moves) @ weights))


def features(knobs: Sequence[Knob], units: np.ndarray) -> np.ndarray:
    """(n, features) of n points in unit space; the product of two rows is the covariance of their points."""
    blocks = []
    for column, knob in zip(units.T, knobs, strict=True):
        if isinstance(knob.range, Choice):
            count = len(knob.range.options)
            blocks.append(np.minimum(count - 1, column * count).astype(int)[:, None] == np.arange(count))
        else:
            blocks.append(_kernel(column, NODES) @ _HALF)
    return np.asarray(np.hstack(blocks) * (SPREAD / max(1, len(knobs)) ** 0.5))


def noise_sd(units: np.ndarray, objectives: np.ndarray) -> float:
    """The sd of results at equal points, pooled; a guess from their spread where there are none. Always above 0."""
    is_finite = np.isfinite(objectives)
    finite = objectives[is_finite]
    _, group = np.unique(units[is_finite].round(9), axis=0, return_inverse=True)
    group = group.reshape(-1)
    count = np.bincount(group)
    freedom = len(finite) - len(count)
    if freedom:
        repeated = count[group] > 1
        mean = np.bincount(group, np.where(repeated, finite, 0.0)) / count
        return max(float(np.sqrt(((finite - mean[group])[repeated] ** 2).sum() / freedom)), 1e-9)
    guess = NOISE_SHARE * float(np.subtract(*np.percentile(finite, [75, 25]))) if len(finite) else 0.0
    return max(guess, 1e-9)


def _standardise(units: np.ndarray, objectives: np.ndarray, frontier: np.ndarray) -> np.ndarray:
    """(n,) sd above the frontier's own results, or above the median while it has none; capped at WORST."""
    finite = np.isfinite(objectives)
    at_frontier = finite & (np.abs(units - frontier).max(axis=1) < 1e-9)
    known = objectives[at_frontier] if at_frontier.any() else objectives[finite]
    level = float(np.mean(known) if at_frontier.any() else np.median(known)) if len(known) else 0.0
    scores = np.where(finite, (objectives - level) / noise_sd(units, objectives), WORST)
    return np.asarray(np.minimum(scores, WORST))


def _kernel(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(len(one), len(other)): the covariance of one knob's points, apart from its scale."""
    return np.asarray(np.exp(-0.5 * ((one[:, None] - other[None, :]) / WIDTH) ** 2))


_EIGENVALUES, _EIGENVECTORS = np.linalg.eigh(_kernel(NODES, NODES))
_HALF = np.asarray(_EIGENVECTORS / np.sqrt(_EIGENVALUES))  # times its transpose: the inverse of the kernel
