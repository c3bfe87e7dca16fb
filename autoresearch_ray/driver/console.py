"""What a person sees of a run while it goes and when it ends: a live screen, or one line a decision.

The live screen needs a terminal (or a notebook with ipywidgets); `--plain`, a pipe or a log file get lines. A process
of its own, at the lowest priority, refreshes the run's files (table, picture, report), so that it does not slow trials.
"""

import contextlib
import importlib.util
import math
import os
import shlex
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from autoresearch_ray.common.errors import StoreError
from autoresearch_ray.common.output import STDOUT
from autoresearch_ray.common.paths import python_command, shorten
from autoresearch_ray.common.repeating import beside
from autoresearch_ray.common.text import one_line
from autoresearch_ray.observe.facts import find_lead
from autoresearch_ray.observe.lines import COLUMNS, OURS, page_line
from autoresearch_ray.observe.screen import Snapshot, decision_line, render, summary_lines
from autoresearch_ray.records.decisions import Decision, Step
from autoresearch_ray.records.guidance import NO_DIRECTIVES, STATISTICS
from autoresearch_ray.records.history import History, TrialRow
from autoresearch_ray.records.kept_model import look_at_kept
from autoresearch_ray.records.proposers import ProposerStatus
from autoresearch_ray.records.trials import Result, Trial
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.settings.score_words import ScoreWords
from autoresearch_ray.settings.scoring import Scoring
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.connect import read_run

REFRESH_SECONDS = 120.0  # interval to refresh the run's files; each win refreshes them too
SCREEN_SECONDS = 0.5
HEAR_SECONDS = 2.0
SHOWN_DECISIONS = 8
PAGE_WORDS = "page  "  # begin the line that comes when the search begins, see `page_line`


class Progress:
    """Tells a person how a run goes. The search calls `decided`; a thread draws."""

    def __init__(self, plain: bool) -> None:
        self._console = Console(file=STDOUT.as_it_is(), highlight=False, soft_wrap=True, emoji=False)  # type: ignore[arg-type]  # a file as rich needs it
        self._live = not plain and can_draw(self._console)
        self._lines: deque[str] = deque(maxlen=SHOWN_DECISIONS)
        self._rows: dict[str, tuple[Trial, Result]] = {}
        self._refresher: subprocess.Popen[bytes] | None = None
        self._refreshed_at = time.monotonic()
        self._folder: Path | None = None
        self._busy_seconds = 0.0
        self._words = OURS

    def say(self, line: str) -> None:
        """A line about what is being set up."""
        self._console.print(line, markup=False)

    def name_scores(self, scoring: Scoring) -> None:
        """How scores are told, from now on: a run that is resumed decides before it is shown."""
        self._words = ScoreWords(scoring)

    def note_decisions(
        self, trial: Trial, result: Result, decisions: tuple[Decision, ...], steps: tuple[Step, ...]
    ) -> None:
        """A result came in; `decisions` may be about earlier trials too, or none yet."""
        self._rows[trial.trial_id] = (trial, result)
        self._busy_seconds += result.training_seconds
        for decision in decisions:
            if decision.trial_id in self._rows:
                self._tell(decision_line(TrialRow(*self._rows.pop(decision.trial_id), decision), words=self._words))
        if any(step.kind == "keep" for step in steps) or time.monotonic() - self._refreshed_at > REFRESH_SECONDS:
            self._refresh()

    @contextlib.contextmanager
    def showing(self, folder: Path, settings: RunSettings, search: Any, watch: Any) -> Iterator[None]:
        """While the run goes: the screen, or the lines alone."""
        self._folder, begin = folder, time.monotonic()
        self.say(_headline(folder, settings))
        self.say(page_line(shorten(folder)))
        try:
            if self._live:
                with self._screen(lambda: self._snapshot(settings, search, watch, begin)):
                    yield
            else:
                yield
        finally:
            if self._refresher is not None:
                self._refresher.wait()

    @contextlib.contextmanager
    def hearing(self, board: Board) -> Iterator[None]:
        """Tell of models that pause, stop or answer again, of new advice, and of new directions."""
        try:
            with beside("hearing", partial(self._hear, board)):
                yield
        finally:
            for status in board.notes.proposers():
                self._console.print(_model_line(status), markup=False)

    def _hear(self, board: Board, ended: threading.Event) -> None:
        told: dict[str, tuple[str, str]] = {}
        advice, directives, is_last = "", NO_DIRECTIVES, False
        with contextlib.suppress(StoreError):  # directives of an earlier launch are no news
            directives = board.notes.directives()
        while not is_last:
            is_last = ended.wait(HEAR_SECONDS)
            with contextlib.suppress(StoreError):
                for status in board.notes.proposers():
                    news = status.state, status.detail if status.state == "ok" else ""
                    if told.get(status.name, ("ok", "")) != news:
                        self._tell(_model_news(status))
                    told[status.name] = news
                findings, newest = board.notes.findings(), board.notes.directives(directives)
                if findings is not None and findings.advice not in (advice, "wait"):
                    self._tell(f"after {findings.results} candidates: {findings.advice}; {findings.reason}")
                    advice = findings.advice
                if newest.version > directives.version and newest.author != STATISTICS:
                    titles = "; ".join(direction.title for direction in newest.directions) or "none"
                    self._tell(one_line(f"directions by {newest.author}: {titles}", COLUMNS))
                directives = newest

    def summary(self, folder: Path, settings: RunSettings, interrupted: bool) -> tuple[str, ...]:
        """Bring all files up to date and say how the run ended."""
        from autoresearch_ray.driver.files import (
            rebuild,  # imports matplotlib: late, when no slot is waiting
        )

        rebuild(folder)
        history = read_run(folder)
        resume = resume_command(folder, settings) if interrupted else resume_to_prove(history, folder, settings)
        return tuple(summary_lines(history, shorten(folder), resume, look_at_kept(folder)))

    @contextlib.contextmanager
    def _screen(self, snapshot: Any) -> Iterator[None]:
        def draw(ended: threading.Event) -> None:
            while not ended.wait(SCREEN_SECONDS):
                live.update(render(snapshot()))

        screen = Live(render(snapshot()), console=self._console, auto_refresh=True, refresh_per_second=2)
        with screen as live, beside("screen", draw):
            yield

    def _snapshot(self, settings: RunSettings, search: Any, watch: Any, begin: float) -> Snapshot:
        state, elapsed = search.state, time.monotonic() - begin
        views = tuple(sorted(dict(watch.views).values(), key=lambda view: view.trial_id))
        running = sum(view.seconds for view in views)
        return Snapshot(
            tag=settings.tag,
            experiment=settings.experiment.name,
            elapsed_seconds=elapsed,
            limit_seconds=settings.hours * 3600 if settings.hours is not None else math.nan,
            trials_done=search.claimed - len(search.in_flight),
            trials_total=max(settings.trials, search.claimed) if settings.trials else 0,  # more in overtime
            slots=views,
            baseline=search.baseline_bpb,
            best=state.best.val_bpb if state.best else math.nan,
            frontier=state.frontier.val_bpb if state.frontier else math.nan,
            noise_sd=state.ledger.sd,
            decisions=tuple(self._lines),
            utilisation=min(1.0, (self._busy_seconds + running) / max(1e-9, search.slots * elapsed)),
            queue_depth=search.queue_depth,
            wins=state.best.version - 1 if state.best else 0,
            words=replace(self._words, noise_sd=state.ledger.sd),
        )

    def _tell(self, line: str) -> None:
        self._lines.append(line)
        if not self._live:
            self._console.print(line, markup=False)

    def _refresh(self) -> None:
        if self._folder is None or (self._refresher is not None and self._refresher.poll() is None):
            return
        self._refreshed_at = time.monotonic()
        self._refresher = subprocess.Popen(
            [sys.executable, "-m", "autoresearch_ray.report", str(self._folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: os.nice(19) and None,
        )


def can_draw(console: Console) -> bool:
    """Whether a screen can be drawn over itself there: in a terminal, or in a notebook with the widgets for it."""
    return console.is_terminal or (console.is_jupyter and importlib.util.find_spec("ipywidgets") is not None)


def resume_command(folder: Path, settings: RunSettings) -> str:
    """The command that continues this run."""
    runs_dir = shlex.quote(shorten(folder.parent))
    return f"{python_command()} -m autoresearch_ray.launch --resume --tag {settings.tag} --runs-dir {runs_dir}"


def resume_to_prove(history: History, folder: Path, settings: RunSettings) -> str:
    """The command that continues a run whose trials ended before the frontier was proven; else nothing."""
    if find_lead(history) is None or not settings.trials or len(history.rows) < settings.trials:
        return ""
    return f"{resume_command(folder, settings)} --trials {len(history.rows) + 2 * settings.rules.max_pairs}"


def _model_news(status: ProposerStatus) -> str:
    if status.state == "ok":
        return f"{status.name}: {status.detail or 'answers again'}"
    way = "asked again later" if status.state == "pausing" else "not asked again in this launch"
    return f"{status.detail or status.name}; {way}, the others go on"


def _model_line(status: ProposerStatus) -> str:
    return (
        f"{status.name}: {status.conversations} conversations, {status.ideas} ideas, {status.rejected} rejected, "
        f"{status.tokens} tokens, ${status.dollars:.2f} in this launch"
    )


def _headline(folder: Path, settings: RunSettings) -> str:
    trials = f"{settings.trials} trials" if settings.trials else "trials without end"
    hours = f", {settings.hours:g} h" if settings.hours is not None else ""
    hardware = f"{settings.hardware['device']}, {settings.hardware['isolation']}"
    return (
        f"run {settings.tag}: {settings.experiment.name}, {trials}{hours} of {settings.experiment.budget_seconds:g} s "
        f"on {settings.slots} slots ({hardware}); {shorten(folder)}"
    )
