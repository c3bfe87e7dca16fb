"""Means with their intervals."""

import math
import statistics
from collections.abc import Sequence

from scipy.stats import t as student_t

CONFIDENCE = 0.95


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and its 95 % bounds by Student's t; NaN for what too few values do not tell."""
    if not values:
        return math.nan, math.nan, math.nan
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, math.nan, math.nan
    reach = float(student_t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * statistics.stdev(values) / len(values) ** 0.5
    return mean, mean - reach, mean + reach


def interval_words(mean: float, low: float, high: float) -> str:
    """A gain with its bounds as people read it; "–" for none."""
    if not math.isfinite(mean):
        return "–"
    return f"{mean:+.4f}" + (f" ({low:+.4f} to {high:+.4f})" if math.isfinite(low) else "")
