"""Several runs side by side, a line each, for a terminal."""

import math
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

from autoresearch_ray.observe import facts
from autoresearch_ray.records import History, dollars
from autoresearch_ray.text import one_line

HEADER = (
    *("tag", "experiment", "trials", "wins", "baseline", "best", "gain", "95 % interval", "noise sd", "slots", "hours"),
    "dollars",
)
NAMES = 2  # columns of words, which begin at the left; the others end at the right
NAME_LIMIT = 30  # characters
UNKNOWN = "-"


def compare_runs(histories: Sequence[History]) -> list[str]:
    """A header and a line a run, in fixed columns; scores and gains in bits per byte, `-` for what is not known."""
    rows = [HEADER, *(_describe(history) for history in histories)]
    widths = [max(cell_len(row[column]) for row in rows) for column in range(len(HEADER))]
    return ["  ".join(_fit(cell, width, column) for column, (cell, width) in enumerate(zip(row, widths, strict=True)))
            for row in rows]  # fmt: skip


def _describe(history: History) -> tuple[str, ...]:
    summary = facts.summarise(history)
    proven = summary.wins > 0
    interval = f"{_score(summary.gain_low)} to {_score(summary.gain_high)}" if proven else UNKNOWN
    return (
        one_line(summary.tag, NAME_LIMIT),
        one_line(summary.experiment, NAME_LIMIT),
        f"{summary.trials:,}",
        str(summary.wins),
        _score(summary.baseline),
        _score(summary.best),
        _score(summary.gain) if proven else UNKNOWN,
        interval,
        _score(summary.noise_sd),
        str(summary.slots),
        f"{summary.wall_seconds / 3600:.2f}",
        _price(history),
    )


def _price(history: History) -> str:
    """What the run's models cost; at least so much where the price of one is not known."""
    costs = facts.model_costs(history)
    priced = [cost for cost in costs if cost.priced]
    if not priced:
        return UNKNOWN
    total = dollars(sum(cost.micros for cost in priced))
    return total if len(priced) == len(costs) else f">={total}"


def _score(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else UNKNOWN


def _fit(cell: str, width: int, column: int) -> str:
    return set_cell_size(cell, width) if column < NAMES else cell.rjust(width)
