"""When a screen has lost already: its learning curve beside its parent's on the same seed. Pure.

A candidate reports its own losses. One that reports too little runs to its end, which is no gain; one that reports too
much ends itself; one that reports nothing, or what is no number, is not ended. What a gap between two curves is worth
is in `learning_curve.py`: an uncertain line ends nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from scipy.special import stdtr  # Student's t

from autoresearch_ray.decide.learning_curve import FREEDOM, TWENTIETHS, Curve, Line, asinh_of, curve_of, gaps
from autoresearch_ray.records.trials import CurvePoint

EARLIEST = 0.2  # share of the budget before which nothing ends


@dataclass(frozen=True, slots=True)
class StopRule:
    """All that a running screen is judged by; made when it starts."""

    budget_seconds: float
    parent: Curve
    parent_bpb: float  # val_bpb on this seed
    unit: float  # sd of the run's noise, bpb
    needed: float  # difference of val_bpb below which the child is worthwhile; below 0, but for removals
    threshold: float  # probability of that, under which the screen ends
    lines: tuple[Line | None, ...]  # by twentieth; None where too few pairs are known


@dataclass(frozen=True, slots=True)
class Outlook:
    """How a child stands at its latest point."""

    progress: float  # share of the budget
    gap: float
    probability: float  # of being worthwhile
    expected_bpb: float  # val_bpb at the end
    is_lost: bool = False

    def words(self) -> str:
        """Why it ends here."""
        where = f"{abs(self.gap):.4f} bpb {'above' if self.gap > 0 else 'below'} its parent's"
        when = f"ended at {100 * self.progress:.0f} % of its time"
        return f"{when}: P(worthwhile) {self.probability:.3f}, its loss is {where}"


def outlook(rule: StopRule, points: Sequence[CurvePoint]) -> Outlook | None:
    """How the child stands at its latest point; None as long as there is nothing to compare.

    It has lost when it stood below the threshold at the point before too: in 14 made-up worlds where half of the
    children bloom late or early (those of the tests) 3 of 177 contenders were ended, for 21 % of the screens' time;
    after one such point 6 of 186, for 24 %.
    """
    seen = _look(rule, points)
    before = _look(rule, points[:-1]) if seen is not None else None
    if seen is None or before is None:
        return seen
    is_lost = max(seen.probability, before.probability) < rule.threshold and before.progress >= EARLIEST
    return replace(seen, is_lost=is_lost)


def _look(rule: StopRule, points: Sequence[CurvePoint]) -> Outlook | None:
    differences = gaps(curve_of(points, rule.budget_seconds), rule.parent)
    latest = int(TWENTIETHS * points[-1].seconds / rule.budget_seconds) if points else 0
    index = min(latest, TWENTIETHS) - 1
    line = rule.lines[index] if index >= 0 else None
    if line is None or not math.isfinite(differences[index]):
        return None
    x = float(asinh_of(differences[index], rule.unit))
    at = (1.0, x, 1 / math.cosh(x))
    expected = sum(c * a for c, a in zip(line.coefficients, at, strict=True))
    unsure = sum(a * c * b for a, row in zip(at, line.covariance, strict=True) for c, b in zip(row, at, strict=True))
    error = math.sqrt(line.scale**2 + max(0.0, unsure))
    probability = float(stdtr(FREEDOM, (math.asinh(rule.needed / rule.unit) - expected) / error))
    expected_bpb = rule.parent_bpb + rule.unit * math.sinh(expected)
    return Outlook(points[-1].seconds / rule.budget_seconds, differences[index], probability, expected_bpb)
