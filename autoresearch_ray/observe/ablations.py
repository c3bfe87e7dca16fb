"""What a run's best is made of: each part taken out alone, as pairs with the whole on equal seeds.

ablations.jsonl: one Ablation a line; the report shows the latest
"""

from dataclasses import dataclass
from pathlib import Path

from autoresearch_ray.common.paths import ABLATIONS_FILE
from autoresearch_ray.observe.pairs import Pair, count_words, gain_words, mean_gain
from autoresearch_ray.observe.record_file import add_record, read_records
from autoresearch_ray.settings.score_words import ScoreWords

HEADS = ("part of the best", "code lines", "pairs", "worth{unit}", "what that says")  # {unit}: see `ScoreWords.heads`


@dataclass(frozen=True, slots=True)
class AblatedPart:
    """One part of the best, and what is lost without it."""

    what: str  # the change that brought it, and why
    code_lines: int  # code lines removed with it; below 0 if removing it adds lines
    pairs: tuple[Pair, ...]  # the run without the part is the other one
    fault: str = ""  # why it cannot go alone

    def verdict(self, price: float) -> str:
        """The verdict in words; `price` is that of a code line, in the score's unit."""
        _, low, high = mean_gain(self.pairs)
        if self.fault:
            return self.fault
        if low > price * self.code_lines:
            return "earns its lines" if self.code_lines > 0 else "helps"
        if high < price * self.code_lines:
            return "costs more than it gives: take it out"
        return "not certain: more pairs would tell"


@dataclass(frozen=True, slots=True)
class Ablation:
    """Every part of one best."""

    best_sha: str
    price: float  # price of one code line, in units of the score
    parts: tuple[AblatedPart, ...]
    at: float  # seconds since the epoch


def read_ablations(run_dir: Path) -> list[Ablation]:
    """All of a run, in order; [] without any. RecordError or StoreError for a file that cannot be read."""
    return read_records(run_dir / ABLATIONS_FILE, Ablation)


def keep_ablation(run_dir: Path, ablation: Ablation) -> None:
    """Add one."""
    add_record(run_dir / ABLATIONS_FILE, ablation)


def ablation_rows(ablation: Ablation, words: ScoreWords) -> list[tuple[str, ...]]:
    """A row for each part, what is worth most first, under HEADS."""
    return [
        (
            part.what,
            str(part.code_lines),
            count_words(part.pairs),
            gain_words(part.pairs, words),
            part.verdict(ablation.price),
        )
        for part in sorted(ablation.parts, key=_order)
    ]


def _order(part: AblatedPart) -> tuple[bool, float]:
    mean, _, _ = mean_gain(part.pairs)
    return mean != mean, -mean if mean == mean else 0.0
