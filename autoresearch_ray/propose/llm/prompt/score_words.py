"""Scores, differences and gains as a prompt writes them.

Records hold the number that decisions read, where lower is better. A model is told scores and differences of scores as
the metric has them; gains, noise and bounds are above 0 in both directions. Bits per byte have four decimals, and any
other metric as many as its size wants.
"""

import math
from dataclasses import dataclass

from autoresearch_ray.intervals import interval_words
from autoresearch_ray.scoring import Scoring

SCORE_DIGITS, DIFFERENCE_DIGITS = 6, 3  # significant ones
UNKNOWN = "unknown"
MOST_DECIMALS = 12


BITS = Scoring()


@dataclass(frozen=True, slots=True)
class ScoreWords:
    """How the numbers of one metric are written."""

    scoring: Scoring = BITS

    @property
    def name(self) -> str:
        """The metric's."""
        return self.scoring.name

    @property
    def way(self) -> str:
        """Which way is better."""
        return f"{self.scoring.direction} is better"

    def score(self, val_bpb: float) -> str:
        """What decisions read, as the metric has it."""
        return f"{val_bpb:.4f}" if self.scoring.is_ours else plain(self.scoring.sign * val_bpb, SCORE_DIGITS)

    def change(self, difference: float) -> str:
        """A difference of what decisions read, as a signed change of the metric."""
        return self.gain(self.scoring.sign * difference)

    def gain(self, gain: float) -> str:
        """With its sign."""
        if self.scoring.is_ours:
            return f"{gain:+.4f}"
        told = plain(gain, DIFFERENCE_DIGITS)
        return told if told.startswith("-") or not math.isfinite(gain) else f"+{told}"

    def amount(self, amount: float) -> str:
        """A gain, a noise or a bound, without a sign."""
        return f"{amount:.4f}" if self.scoring.is_ours else plain(amount, DIFFERENCE_DIGITS)

    def gain_interval(self, mean: float, low: float, high: float) -> str:
        """A gain with its bounds."""
        if self.scoring.is_ours or not math.isfinite(mean):
            return interval_words(mean, low, high)
        return self.gain(mean) + (f" ({self.gain(low)} to {self.gain(high)})" if math.isfinite(low) else "")


OURS = ScoreWords()


def plain(value: float, digits: int) -> str:
    """A number with so many significant digits, and no exponent unless it is far from 1: 0.9733, 1234567, 3.2e-09."""
    if not math.isfinite(value):
        return UNKNOWN
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    decimals = digits - 1 - magnitude
    if not -MOST_DECIMALS < magnitude < MOST_DECIMALS or decimals > MOST_DECIMALS:
        return f"{value:.{digits - 1}e}"
    told = f"{value:.{max(0, decimals)}f}"
    return told.rstrip("0").rstrip(".") if "." in told else told
