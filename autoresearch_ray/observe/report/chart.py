"""What the page's script draws: every trial's score with best and frontier as steps, and who ran when on which slot.

Plain SVG by the script, no library: uPlot would add 50 kB to every report, and draws on a canvas, which has neither
elements to click nor a text to read aloud. 3,000 circles are drawn in some 20 ms.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from autoresearch_ray.common.text import one_line
from autoresearch_ray.observe import facts
from autoresearch_ray.records.history import History, TrialRow
from autoresearch_ray.settings.score_words import ScoreWords

SHOWN_POINTS = 3_000  # a longer run shows every n-th point, and all that the lineage names
SHOWN_RUNS = 600  # on the slots, the latest
WORDS = 90  # characters of a hypothesis

Point = tuple[int, float, float]  # trial number, seconds since the start, score


@dataclass(frozen=True, slots=True)
class ChartTrial:
    """A trial as a point and as a bar; `start` is None where it has not begun."""

    trial: str
    number: int  # 1 for the first
    elapsed: float  # seconds from the run's start to its end
    score: float | None
    mark: str  # outcome: keep, advance, ok, stopped, running, failed
    words: str
    lane: int  # index into `lanes`; -1: the bar is not shown
    start: float | None = None  # seconds since the run's start
    end: float | None = None  # None while it runs


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that is drawn."""

    trials: list[ChartTrial]
    every: int  # a point for each trial of so many, and for all that the lineage names; bars for all of the latest
    best: list[Point]
    frontier: list[Point]
    lanes: list[str]  # slots by name, with their node where there are several
    rises: bool  # higher scores are better
    decimals: int | None  # digits of scores; None: each by its own magnitude


def chart(history: History) -> Chart:
    """The chart of a run so far."""
    elapsed = facts.measure_elapsed(history)
    begin = min((moment for row in history.rows if (moment := _start(row)) is not None), default=0.0)
    first_run = max(0, len(history.rows) - SHOWN_RUNS)
    lanes = sorted({_slot(row) for row in history.rows[first_run:] if row.result})
    steps, tried = facts.steps_by_trial(history), facts.describe_trials(history)
    words = facts.score_words(history)
    every = math.ceil(len(history.rows) / SHOWN_POINTS) or 1
    trials = []
    for index, row in enumerate(history.rows):
        if index % every and index < first_run and row.trial.trial_id not in steps:
            continue
        lane = lanes.index(_slot(row)) if row.result and index >= first_run else -1
        trials.append(_trial(row, index + 1, elapsed[index], tried[index], lane, begin, words))
    one_node = len({node for node, _ in lanes}) < 2
    return Chart(
        trials,
        every,
        _points(facts.best_levels(history), elapsed, words),
        _points(facts.frontier_levels(history), elapsed, words),
        [f"slot {slot}" if one_node else f"{one_line(node, 20)} {slot}" for node, slot in lanes],
        words.rises,
        words.decimals,
    )


def _trial(
    row: TrialRow, number: int, elapsed: float, tried: str, lane: int, begin: float, words: ScoreWords
) -> ChartTrial:
    value, start, result = facts.score(row), _start(row), row.result
    return ChartTrial(
        trial=one_line(row.trial.trial_id, 100),
        number=number,
        elapsed=round(elapsed, 1),
        score=words.rounded(words.shown(value)) if math.isfinite(value) else None,
        mark=_mark(row),
        words=one_line(tried, WORDS),
        lane=lane,
        start=round(start - begin, 1) if start is not None and lane >= 0 else None,
        end=round(result.finished_at - begin, 1) if result and lane >= 0 else None,
    )


def _mark(row: TrialRow) -> str:
    status = facts.status(row)
    if status not in ("ok", "stopped", "running"):
        return "failed"
    verdict = row.decision.verdict if row.decision else ""
    return verdict if status == "ok" and verdict in ("keep", "advance") else status


def _start(row: TrialRow) -> float | None:
    return row.result.started_at if row.result and row.result.started_at else None


def _slot(row: TrialRow) -> tuple[str, int]:
    return (row.result.node, row.result.slot) if row.result else ("", -1)


def _points(levels: Sequence[facts.Level], elapsed: Sequence[float], words: ScoreWords) -> list[Point]:
    return [
        (number, round(elapsed[number - 1], 1) if number else 0.0, words.shown(level.val_bpb))
        for number, level in ((level.trial_number, level) for level in levels)
        if math.isfinite(level.val_bpb) and number <= len(elapsed)
    ]
