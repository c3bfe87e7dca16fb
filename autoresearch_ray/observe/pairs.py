"""Pairs of runs on equal seeds: one of a run's best, one of something else that it is compared with."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from autoresearch_ray.common.intervals import mean_interval
from autoresearch_ray.settings.score_words import ScoreWords


@dataclass(frozen=True, slots=True)
class Pair:
    """The scores of both on one seed, lower is better; NaN where that side failed."""

    seed: int
    other: float
    best: float

    @property
    def gain(self) -> float:
        """How much better the best is; NaN where a side failed."""
        return self.other - self.best


def whole_pairs(pairs: Sequence[Pair]) -> list[Pair]:
    """Those in which both have a score."""
    return [pair for pair in pairs if math.isfinite(pair.gain)]


def mean_gain(pairs: Sequence[Pair]) -> tuple[float, float, float]:
    """Mean gain and its 95 % bounds by Student's t, over complete pairs; NaN where there are too few."""
    return mean_interval([pair.gain for pair in whole_pairs(pairs)])


def gain_words(pairs: Sequence[Pair], words: ScoreWords) -> str:
    """The mean gain with its bounds, as people read it; "–" for none."""
    return words.gain_interval(*mean_gain(pairs))


def count_words(pairs: Sequence[Pair]) -> str:
    """How many pairs are whole, and how many are not."""
    whole = len(whole_pairs(pairs))
    return f"{whole}" + (f" ({len(pairs) - whole} failed)" if whole < len(pairs) else "")
