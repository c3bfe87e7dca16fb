"""Scores and gains as people read them: the metric's name and unit, the right sign, as many digits as say something.

    words = ScoreWords(settings.experiment.scoring, noise_sd)
    words.score(result.val_bpb)     # "0.9712": as the script printed it, whichever way is better
    words.gain(step.gain)           # "+0.0131": above 0 is better, in both directions

Scores of our contract have four decimals. Others have the digits that the noise of the run leaves: three of its
standard deviation. Where the noise is not known, a number is written by its own magnitude.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from autoresearch_ray.common.text import one_line
from autoresearch_ray.settings.scoring import OURS, Scoring

NAME_LIMIT = 40  # characters of a metric's name, and of a unit
DECIMALS = 4  # of bits per byte
DIGITS, GAIN_DIGITS = 6, 4  # of a score, and of a difference, whose noise is not known
MOST_DIGITS = 12
MOST_DECIMALS, LARGEST = 6, 1e9  # beyond these a number is written with an exponent


@dataclass(frozen=True, slots=True)
class ScoreWords:
    """How the scores of one run are written. What comes in is what decisions read: lower is better."""

    scoring: Scoring = OURS
    noise_sd: float = math.nan  # of the run
    missing: str = "–"  # for a number that is not there

    @property
    def name(self) -> str:
        """The metric's name, in one line."""
        return one_line(self.scoring.name, NAME_LIMIT)

    @property
    def is_ours(self) -> bool:
        """Whether these are bits per byte as the harness counts them."""
        return self.scoring.is_ours

    @property
    def rises(self) -> bool:
        """Whether higher is better."""
        return self.scoring.direction == "higher"

    @property
    def way(self) -> str:
        """Which way is better, in words."""
        return f"{self.scoring.direction} is better"

    @property
    def title(self) -> str:
        """The name, and which way is better where a reader could take it for the other."""
        return f"{self.name}, {self.way}" if self.rises else self.name

    @property
    def decimals(self) -> int | None:
        """Of scores and gains; None: each number by its own magnitude."""
        if self.is_ours:
            return DECIMALS
        known = math.isfinite(self.noise_sd) and self.noise_sd > 0
        return 2 - math.floor(math.log10(self.noise_sd)) if known else None

    def unit(self, before: str = " ") -> str:
        """The unit with this before it; "" where there is none."""
        unit = one_line(self.scoring.unit, NAME_LIMIT)
        return f"{before}{unit}" if unit else ""

    def heads(self, heads: Sequence[str]) -> tuple[str, ...]:
        """Heads of a table in which {unit} stands for the unit, behind a comma."""
        return tuple(head.replace("{unit}", self.unit(", ")) for head in heads)

    def shown(self, value: float) -> float:
        """The score as it was printed, of the number that decisions read."""
        return self.scoring.sign * value + 0.0  # no -0.0

    def rounded(self, value: float) -> float:
        """A number with all digits that may be shown, and hardly more."""
        return round(value, DECIMALS) if self.is_ours else float(f"{value:.{MOST_DIGITS}g}")

    def score(self, value: float, missing: str | None = None) -> str:
        """An absolute score, of the number that decisions read."""
        return write_number(self.shown(value), self.decimals) if math.isfinite(value) else self._missing(missing)

    def amount(self, value: float, missing: str | None = None) -> str:
        """A difference of scores, or its standard deviation."""
        return (
            write_number(value, self.decimals, digits=GAIN_DIGITS) if math.isfinite(value) else self._missing(missing)
        )

    def gain(self, value: float, missing: str | None = None) -> str:
        """A difference with its sign: above 0 is better."""
        return write_number(value, self.decimals, "+", GAIN_DIGITS) if math.isfinite(value) else self._missing(missing)

    def change(self, difference: float) -> str:
        """A difference of what decisions read, as a signed change of the metric."""
        return self.gain(self.scoring.sign * difference)

    def bounds(self, low: float, high: float, missing: str | None = None) -> str:
        """The ends of a gain's interval."""
        return f"{self.amount(low, missing)} to {self.amount(high, missing)}"

    def gain_interval(self, mean: float, low: float, high: float) -> str:
        """A gain with its bounds; "–" for none."""
        if not math.isfinite(mean):
            return "–"
        return self.gain(mean) + (f" ({self.gain(low)} to {self.gain(high)})" if math.isfinite(low) else "")

    def _missing(self, said: str | None) -> str:
        return self.missing if said is None else said


def words_for_models(scoring: Scoring = OURS, noise_sd: float = math.nan) -> ScoreWords:
    """How a prompt writes scores."""
    return ScoreWords(scoring, noise_sd, missing="nan" if scoring.is_ours else "unknown")


def write_number(value: float, decimals: int | None, sign: str = "", digits: int = DIGITS) -> str:
    """A finite number with so many decimals, fewer than 0 counting as none; None: with so many digits.

    Very small and very large ones have an exponent: 3.2e-5. `sign` is "+" where a number above 0 has one, else "".
    """
    if decimals is None:
        is_whole = value.is_integer() and abs(value) < LARGEST
        return _shorten(f"{value:{sign}.0f}" if is_whole else f"{value:{sign}.{digits}g}")
    exponent = math.floor(math.log10(abs(value))) if value else 0
    if value and (decimals > MOST_DECIMALS or abs(value) >= LARGEST):
        return _shorten(f"{value:{sign}.{min(max(exponent + decimals, 0), MOST_DIGITS)}e}")
    return f"{value:{sign}.{min(max(decimals, 0), MOST_DECIMALS)}f}"


def _shorten(number: str) -> str:
    """3.2e-05 as 3.2e-5."""
    return re.sub(r"e\+?(-?)0*(\d)", r"e\1\2", number)
