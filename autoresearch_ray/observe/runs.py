"""Several runs side by side, a line each, for a terminal; those of one metric in one table."""

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

from autoresearch_ray.common.text import one_line
from autoresearch_ray.observe import facts, headline
from autoresearch_ray.records.history import History
from autoresearch_ray.records.proposers import dollars

HEADER = (
    *("tag", "experiment", "trials", "wins", "baseline", "best", "gain", "95 % interval", "noise sd", "slots", "hours"),
    "dollars",
)
NAMES = 2  # columns of words, which begin at the left; the others end at the right
NAME_LIMIT = 30  # characters
UNKNOWN = "-"


def compare_runs(histories: Sequence[History]) -> list[str]:
    """A header and a line a run, in fixed columns, `-` for what is not known.

    Runs of different metrics do not compare: each metric has a table of its own, under a line that names it.
    """
    groups: dict[tuple[str, str], list[History]] = {}
    for history in histories:
        words = facts.score_words(history)
        groups.setdefault((f"{words.name}{words.unit(', ')}", words.scoring.direction), []).append(history)
    if len(groups) == 1 and facts.score_words(histories[0]).is_ours:
        return _compare(histories)
    lines = [f"{len(groups)} metrics, which do not compare with each other:", ""] if len(groups) > 1 else []
    for (name, direction), group in groups.items():
        lines += [f"{name}, {direction} is better", *_compare(group), ""]
    return lines[:-1]


def _compare(histories: Sequence[History]) -> list[str]:
    rows = [HEADER, *(_describe(history) for history in histories)]
    widths = [max(cell_len(row[column]) for row in rows) for column in range(len(HEADER))]
    return [
        "  ".join(
            set_cell_size(cell, width) if column < NAMES else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def _describe(history: History) -> tuple[str, ...]:
    summary = headline.summarise(history)
    proven = summary.wins > 0
    words, doubt = summary.words, summary.words.scoring.doubt
    return (
        one_line(summary.tag, NAME_LIMIT),
        one_line(summary.experiment, NAME_LIMIT),
        f"{summary.trials:,}",
        f"{summary.wins} {doubt}" if proven and doubt else str(summary.wins),
        words.score(summary.baseline, UNKNOWN),
        words.score(summary.best, UNKNOWN),
        words.amount(summary.gain, UNKNOWN) if proven else UNKNOWN,
        words.bounds(summary.gain_low, summary.gain_high, UNKNOWN) if proven else UNKNOWN,
        words.amount(summary.noise_sd, UNKNOWN),
        str(summary.slots),
        f"{summary.wall_seconds / 3600:.2f}",
        _price(history),
    )


def _price(history: History) -> str:
    """The cost of the run's models; a lower bound where the price of one is not known."""
    costs = facts.model_costs(history)
    priced = [cost for cost in costs if cost.priced]
    if not priced:
        return UNKNOWN
    total = dollars(sum(cost.micros for cost in priced))
    return total if len(priced) == len(costs) else f">={total}"
