"""A run's win at other settings: pairs of start and best on equal seeds, kept in the run's folder.

transfers.jsonl: one Transfer a line, in the order in which they were measured
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autoresearch_ray.common.paths import TRANSFERS_FILE
from autoresearch_ray.observe.pairs import Pair, count_words, gain_words, mean_gain, whole_pairs
from autoresearch_ray.observe.record_file import add_record, read_records
from autoresearch_ray.settings.score_words import ScoreWords

HEADS = ("settings", "pairs", "start", "best", "gain", "does it hold")


@dataclass(frozen=True, slots=True)
class Transfer:
    """Start and best of a run under settings that need not be the run's."""

    settings: str  # for example "budget_seconds 60, DEPTH 8"
    best_sha: str
    run_gain: float  # the gain that the run has proven; NaN without one
    pairs: tuple[Pair, ...]  # the start's run is the other one
    failures: tuple[str, ...]  # errors of sides without a score
    at: float  # seconds since the epoch

    def verdict(self) -> str:
        """Does it hold, in words."""
        _, low, high = mean_gain(self.pairs)
        if not whole_pairs(self.pairs):
            return "nothing to compare: no pair has two scores"
        if low > 0:
            return "holds"
        if high < 0:
            return "does not hold: the start is better there"
        return "not certain: more pairs would tell"


def read_transfers(run_dir: Path) -> list[Transfer]:
    """All of a run, in order; [] without any. RecordError or StoreError for a file that cannot be read."""
    return read_records(run_dir / TRANSFERS_FILE, Transfer)


def keep_transfer(run_dir: Path, transfer: Transfer) -> None:
    """Add one."""
    add_record(run_dir / TRANSFERS_FILE, transfer)


def transfer_rows(transfers: Sequence[Transfer], words: ScoreWords) -> list[tuple[str, ...]]:
    """A row each, under HEADS."""
    return [_row(transfer, words) for transfer in transfers]


def _row(transfer: Transfer, words: ScoreWords) -> tuple[str, ...]:
    whole = whole_pairs(transfer.pairs)
    start, best = (
        words.score(statistics.fmean(values)) if values else "–"
        for values in ([pair.other for pair in whole], [pair.best for pair in whole])
    )
    pairs = transfer.pairs
    return transfer.settings, count_words(pairs), start, best, gain_words(pairs, words), transfer.verdict()
