"""What a team's tools are told of a run: a proven win, the end of a launch, a trial that was decided.

As JSON (`codec.to_json`) the first two are what --on-win and --on-end commands read; docs/tools.md lists their fields.
"""

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autoresearch_ray.common.paths import REPORT_FILE
from autoresearch_ray.common.text import encodable
from autoresearch_ray.observe import facts, headline
from autoresearch_ray.records.history import History, TrialRow
from autoresearch_ray.records.trials import Candidate
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.settings.scoring import OURS, Direction, Scoring
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.told import StepAt

How = Literal["finished", "interrupted", "failed"]


@dataclass(frozen=True, slots=True)
class WinNews:
    """A proven win."""

    event: Literal["win"]
    tag: str
    run_dir: str
    experiment: str
    number: int  # 1, 2, 3 ...
    hypothesis: str
    proposer: str
    metric: str
    direction: Direction  # which direction is better
    score: float  # in the metric's own direction
    val_bpb: float  # the score in bits per byte; NaN for another metric
    baseline: float  # score of the starting candidate
    gain: float  # gain over the best before, code lines priced in; above 0 is better
    gain_low: float  # 95 % interval
    gain_high: float
    probability: float  # probability that it beats the best before
    doubt: str  # "" where it is proven; else self-reported, one seed, or both
    removes: bool  # True: it removes code, and is not much worse
    commit: str  # "" if git has failed so far
    trial_id: str  # the trial that settled it
    diff: str  # diff to the best before it


@dataclass(frozen=True, slots=True)
class EndNews:
    """The end of a launch."""

    event: Literal["end"]
    tag: str
    run_dir: str
    experiment: str
    how: How
    failure: str  # "" where nothing failed
    trials: int  # trials with a result, over all launches
    wins: int
    metric: str
    direction: Direction  # which direction is better
    baseline: float  # scores as they were printed
    best: float
    gain: float  # gain of all wins together; above 0 is better
    gain_low: float  # 95 % interval
    gain_high: float
    doubt: str  # how sure the wins are, as in WinNews
    summary: tuple[str, ...]  # lines that the launch prints at its end
    report: str  # the path of report.html


@dataclass(frozen=True, slots=True)
class TrialNews:
    """A trial that was decided, and where the run stood then; NaN where nothing is known."""

    number: int  # 1, 2, 3 ... in the order of decisions, over all launches
    row: TrialRow
    best: float  # lower is better; the frontier's score too
    frontier: float
    wins: int
    utilisation: float  # the slots' utilisation in this launch
    dollars: float  # cost of all the run's model calls, reservations included
    scoring: Scoring = OURS

    def metrics(self) -> dict[str, float]:
        """The known values, by the names that trackers show."""
        result, sign = self.row.result, self.scoring.sign
        score = sign * facts.score(self.row) + 0.0
        values = {
            "score": score,
            "val_bpb": score if self.scoring.is_ours else math.nan,
            "best": sign * self.best + 0.0,
            "frontier": sign * self.frontier + 0.0,
            "wins": float(self.wins),
            "utilisation": self.utilisation,
            "dollars": self.dollars,
            "trial": float(self.row.trial.trial_id.lstrip("t")),
            "training_seconds": result.training_seconds if result else math.nan,
            "tokens_per_second": result.tokens_per_second if result else math.nan,
            "peak_memory_mb": result.peak_memory_mb if result else math.nan,
        }
        return {name: value for name, value in values.items() if math.isfinite(value)}


@dataclass(frozen=True, slots=True)
class ScoresAt:
    """The scores of best and frontier at some revision, and the wins up to it."""

    best: float = math.nan
    frontier: float = math.nan
    wins: int = 0


def scores_at(steps: Sequence[StepAt], revision: int) -> ScoresAt:
    """The scores after the steps up to this revision."""
    best = frontier = math.nan
    wins, source_sha = 0, ""
    for at in steps:
        if at.revision > revision:
            break
        kind, score = at.step.kind, at.step.val_bpb
        best = score if kind in ("start", "keep") else best
        if kind != "keep" or at.step.source_sha == source_sha:  # else it was found beside the frontier
            frontier, source_sha = score, at.step.source_sha
        wins += kind == "keep"
    return ScoresAt(best, frontier, wins)


def read_wins(board: Board) -> tuple[tuple[facts.Win, ...], float]:
    """All wins so far, and the baseline as decisions read it.

    From the steps alone, for a long history takes seconds to read.
    """
    steps = tuple(board.steps())
    history = History(settings={}, rows=(), steps=steps, commits=board.commits(), candidates={})
    return facts.wins(history), next((step.val_bpb for step in steps if step.kind == "start"), math.nan)


def tell_win(win: facts.Win, baseline: float, board: Board, settings: RunSettings, folder: Path) -> WinNews:
    """The news of this win."""
    step, scoring = win.step, settings.experiment.scoring
    score = scoring.sign * step.val_bpb + 0.0
    return WinNews(
        event="win",
        tag=settings.tag,
        run_dir=str(folder),
        experiment=settings.experiment.name,
        number=win.number,
        hypothesis=encodable(win.hypothesis),
        proposer=step.proposer,
        metric=scoring.name,
        direction=scoring.direction,
        score=score,
        val_bpb=score if scoring.is_ours else math.nan,
        baseline=scoring.sign * baseline + 0.0,
        gain=step.gain,
        gain_low=step.gain_low,
        gain_high=step.gain_high,
        probability=step.probability,
        doubt=scoring.doubt,
        removes=step.removes,
        commit=win.commit,
        trial_id=step.trial_id,
        diff=diff(board.candidates.get(win.parent_sha), board.candidates.get(step.source_sha)),
    )


def tell_end(
    history: History, settings: RunSettings, folder: Path, how: How, failure: str, summary: tuple[str, ...]
) -> EndNews:
    """The news of a launch's end."""
    numbers, scoring = headline.summarise(history), settings.experiment.scoring
    return EndNews(
        event="end",
        tag=settings.tag,
        run_dir=str(folder),
        experiment=settings.experiment.name,
        how=how,
        failure=failure,
        trials=numbers.trials,
        wins=numbers.wins,
        metric=scoring.name,
        direction=scoring.direction,
        baseline=scoring.sign * numbers.baseline + 0.0,
        best=scoring.sign * numbers.best + 0.0,
        gain=numbers.gain,
        gain_low=numbers.gain_low,
        gain_high=numbers.gain_high,
        doubt=scoring.doubt if numbers.wins else "",
        summary=summary,
        report=str(folder / REPORT_FILE),
    )


def diff(before: Candidate, after: Candidate) -> str:
    """A unified diff of all their files, as `git apply` takes it."""
    old, new = dict(before.files), dict(after.files)
    lines: list[str] = []
    for path in sorted({*old, *new}):
        texts = (old.get(path, "").splitlines(), new.get(path, "").splitlines())
        lines += difflib.unified_diff(*texts, f"a/{path}", f"b/{path}", lineterm="")
    return "".join(f"{line}\n" for line in lines)
