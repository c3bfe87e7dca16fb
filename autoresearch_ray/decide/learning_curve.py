"""Learning curves side by side: what a gap between a child's and its parent's says of their scores. Pure.

With the same seed both see the same batches, so their losses can be compared as they go. What a gap is worth at the
end is learned from a run's own finished pairs: for each twentieth of the budget a line from the gap (the child's loss
minus its parent's) to the final difference of their scores, both as asinh of the noise's sd. (That is linear near 0 and
logarithmic far from it: a child that diverged weighs no more than one that is merely bad.) Pairs with the same run of a
parent share its luck, which has a coefficient of its own; parent and child are runs alike, so its prior has the spread
of what the line leaves open. The fit is the EM of Student's t with 4 degrees of freedom (Lange, Little and Taylor 1989,
https://doi.org/10.2307/2290063) from a prior that expects nine tenths of a gap to stay: one curve that lies moves it
little, and many make it uncertain.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autoresearch_ray.records.trials import CurvePoint

TWENTIETHS = 20  # of the budget, at which curves are compared
WINDOW = 0.2  # of the budget before such a moment, over which the losses are averaged
REPORTED = 0.9  # of a window that must have losses
FREEDOM = 4.0  # of Student's t: tails for children whose curves mislead
PRIOR_SLOPE, PRIOR_SLOPE_SD, PRIOR_OFFSET_SD = 0.9, 0.5, 0.3
PRIOR_SCALE, PRIOR_PAIRS = 1.0, 4.0  # of what the line leaves open, and how many pairs that guess counts for
FIT_ROUNDS = 20
FARTHEST = 100.0  # sd of the noise: further off nothing more is learned, so that no lie has more leverage

Curve = tuple[float, ...]  # mean losses before each twentieth, in bits per byte; NaN where too few are known


@dataclass(frozen=True, slots=True)
class Pair:
    """A child and its parent, both finished on the same seed."""

    parent: str  # which run of the parent: its luck is in all pairs with it
    gaps: Curve  # of the losses, child minus parent
    difference: float  # of val_bpb, child minus parent


@dataclass(frozen=True, slots=True)
class Line:
    """What gaps at one moment say of final differences, both as asinh of noise sds.

    The coefficients are those of 1, the gap, and the parent's luck, in this order.
    """

    coefficients: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    scale: float  # of the t distribution around it


def curve_of(points: Sequence[CurvePoint], budget_seconds: float) -> Curve:
    """The reported losses, averaged over the window before each twentieth of the budget; NaN where too few are known.

    A point is the mean since the point before it. (Its time and that averaging are the harness's.)
    """
    ends = np.array([0.0, *(point.seconds / budget_seconds for point in points)])
    losses = np.array([point.train_bpb for point in points])
    lengths = np.diff(ends)
    if not len(losses) or not (lengths > 0).all():
        return (math.nan,) * TWENTIETHS
    known = np.where(np.isfinite(losses), lengths, 0.0)
    reported = np.concatenate([[0.0], known.cumsum()])
    total = np.concatenate([[0.0], (known * np.nan_to_num(losses)).cumsum()])
    moments = np.arange(1, TWENTIETHS + 1) / TWENTIETHS
    starts = np.maximum(0.0, moments - WINDOW)
    times = np.interp(moments, ends, reported) - np.interp(starts, ends, reported)
    sums = np.interp(moments, ends, total) - np.interp(starts, ends, total)
    usable = (moments <= ends[-1]) & (times >= REPORTED * (moments - starts))
    return tuple(np.where(usable, sums / np.maximum(times, 1e-12), math.nan).tolist())


def gaps(child: Curve, parent: Curve) -> Curve:
    """Child minus parent."""
    return tuple(c - p for c, p in zip(child, parent, strict=True))


def fit_lines(pairs: Sequence[Pair], parent: str, unit: float, least: int) -> tuple[Line | None, ...]:
    """For children of this run of a parent, a line for each twentieth that `least` finished pairs reach.

    `unit` is the sd of the run's noise, in bpb. The offsets of parents are integrated out: the cost grows with the
    number of pairs alone.
    """
    if len(pairs) < least:
        return (None,) * TWENTIETHS
    x = asinh_of([pair.gaps for pair in pairs], unit).T  # (twentieths, pairs)
    y = np.broadcast_to(asinh_of([pair.difference for pair in pairs], unit), x.shape)
    known = np.isfinite(x) & np.isfinite(y)
    x, y = np.where(known, x, 0.0), np.where(known, y, 0.0)
    luck = 1 / np.cosh(x)  # how much a shift of the parent's score moves an asinh there
    design = np.stack([np.ones_like(x), x], axis=-1)  # (twentieths, pairs, 2)
    names = sorted({pair.parent for pair in pairs} | {parent})
    groups = np.array([[pair.parent == name for name in names] for pair in pairs], float)  # (pairs, parents)
    own = names.index(parent)
    prior = np.diag([PRIOR_OFFSET_SD**-2, PRIOR_SLOPE_SD**-2])
    expected = prior @ np.array([0.0, PRIOR_SLOPE])
    weights, variance = known.astype(float), np.full(TWENTIETHS, PRIOR_SCALE**2)
    for _ in range(FIT_ROUNDS):
        share = weights / variance[:, None]
        luck_precision = 1 / variance[:, None] + (share * luck**2) @ groups  # (twentieths, parents)
        across = np.swapaxes(_times(share * luck, design) @ groups, 1, 2) / luck_precision[..., None]
        precision = _times(share, design) @ design + prior
        covariance = np.linalg.inv(precision - _times(luck_precision, across) @ across)
        seen = (share * luck * y) @ groups
        pull = _along(_times(share, design), y) - _along(np.swapaxes(across, 1, 2), seen)
        line = _along(covariance, pull + expected)
        offsets = seen / luck_precision - _along(across, line)
        left = (y - _along(design, line) - luck * (offsets @ groups.T)) ** 2
        weights = known * (FREEDOM + 1) / (FREEDOM + left / variance[:, None])
        spread = PRIOR_PAIRS * PRIOR_SCALE**2 + (weights * left).sum(axis=1) + (offsets**2).sum(axis=1)
        variance = spread / (PRIOR_PAIRS + np.maximum(known.sum(axis=1) - 2, 0))
    return tuple(
        _line(line[k], offsets[k, own], covariance[k], across[k, own], luck_precision[k, own], variance[k])
        if known[k].sum() >= least
        else None
        for k in range(TWENTIETHS)
    )


def asinh_of(bpb: object, unit: float) -> np.ndarray:
    """Differences as asinh of so many units, within what counts."""
    return np.arcsinh(np.clip(np.asarray(bpb, float) / unit, -FARTHEST, FARTHEST))


def _times(weights: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(k, columns, n): rows (k, n, columns) times weights (k, n), turned."""
    return np.swapaxes(weights[..., None] * rows, 1, 2)


def _along(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """(k, rows): matrices (k, rows, columns) by vectors (k, columns)."""
    return np.asarray((matrices @ vectors[..., None])[..., 0])


def _line(
    line: np.ndarray, offset: float, covariance: np.ndarray, across: np.ndarray, luck_precision: float, variance: float
) -> Line:
    """With the parent's luck as a third coefficient, its uncertainty from that of the other two."""
    mixed = -covariance @ across
    full = np.block([[covariance, mixed[:, None]], [mixed[None, :], np.array([[1 / luck_precision - across @ mixed]])]])
    return Line((*line.tolist(), float(offset)), tuple(map(tuple, full.tolist())), math.sqrt(variance))
