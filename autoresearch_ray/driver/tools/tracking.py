"""A run told to an experiment tracker, beside the search: `--log wandb`, `--log mlflow`, `--log tensorboard`.

A thread tells what the store has of decided trials and of wins, in the order of their decisions. A tracker that fails
is said once and tried again, ever more seldom; nothing is lost meanwhile, for the store has it. At the end of the
search it has a while for what is left, and is given up after that.
"""

import importlib
import math
import threading
import time
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Self

from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.common.repeating import pause_after
from autoresearch_ray.common.text import one_line
from autoresearch_ray.driver.tools.news import TrialNews, read_wins, scores_at, tell_win
from autoresearch_ray.driver.tools.tracker import TrackedRun, Tracker, describe_run
from autoresearch_ray.propose.llm.spending import Spending
from autoresearch_ray.records.decisions import Decision
from autoresearch_ray.records.proposers import MICROS
from autoresearch_ray.records.trials import Result
from autoresearch_ray.settings.request import TrackerName
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.told import Mark, StepAt, decisions_after, put_mark, read_mark, read_row, steps_after

PACKAGES: dict[TrackerName, str] = {"wandb": "wandb", "mlflow": "mlflow", "tensorboard": "tensorboardX"}
LOOK_SECONDS = 1.0  # between looks at the store
RETRY_SECONDS = (5.0, 300.0)  # pause after a failure: from the first, doubled, up to the second
LAST_SECONDS = 30.0  # time for the rest at a run's end
WORDS = 200  # characters of a failure's message

Open = Callable[[TrackedRun], Tracker]


def check_tracker(name: TrackerName) -> None:
    """SettingsError unless the tool's package is there, with what it needs to be told anything."""
    try:
        importlib.import_module(PACKAGES[name])
    except ImportError as error:
        raise SettingsError(
            f"--log {name}: the Python package {PACKAGES[name]} cannot be imported ({error}); "
            f'pip install "autoresearch_ray[{name}]"'
        ) from None
    if name == "wandb":
        from autoresearch_ray.driver.tools.wandb import check_key

        check_key()


def open_tracker(name: TrackerName, run: TrackedRun) -> Tracker:
    """The tool's run, new or as an earlier launch has left it. Raises what the tool raises."""
    if name == "wandb":
        from autoresearch_ray.driver.tools.wandb import WeightsAndBiases

        return WeightsAndBiases(run)
    if name == "mlflow":
        from autoresearch_ray.driver.tools.mlflow import MLflow

        return MLflow(run)
    from autoresearch_ray.driver.tools.tensorboard import TensorBoard

    return TensorBoard(run)


class Tracking:
    """Tells one tracker until the end of `with`."""

    def __init__(
        self,
        name: TrackerName,
        board: Board,
        settings: RunSettings,
        folder: Path,
        slots: Callable[[], int],
        say: Callable[[str], None],
        open_run: Open | None = None,
    ) -> None:
        """`slots`: how many there are now."""
        self._name, self._board, self._settings, self._folder, self._say = name, board, settings, folder, say
        self._open: Open = open_run or (lambda run: open_tracker(name, run))
        self._busy = _Busy(slots)
        self._mark = Mark()
        self._steps: list[StepAt] = []
        self._tracker: Tracker | None = None
        self._failure = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=f"log {name}", daemon=True)

    def __enter__(self) -> Self:
        self._mark = read_mark(self._board.store, self._name)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join(LAST_SECONDS)
        failure = self._failure
        if self._thread.is_alive():
            failure, tracker = f"no end after {LAST_SECONDS:.0f} s", self._tracker
            if tracker is not None:
                tracker.abandon()
        if failure:
            self._say(
                f"--log {self._name}: not everything is there ({failure}); "
                f"--resume --tag {self._settings.tag} --log {self._name} tells the rest"
            )

    def _follow(self) -> None:
        failures, wait, is_last = 0, LOOK_SECONDS, False
        while not is_last:
            is_last = self._ended.wait(wait)
            try:
                self._tell()
                if is_last and self._tracker is not None:
                    self._tracker.close()
            except Exception as error:  # noqa: BLE001  # the border to a foreign package, which may raise anything
                failures += 1
                wait = pause_after(failures, RETRY_SECONDS)
                self._note_failure(error, wait)
                continue
            if self._failure and not is_last:
                self._say(f"--log {self._name}: works again, everything is there")
            self._failure, failures, wait = "", 0, LOOK_SECONDS

    def _note_failure(self, error: Exception, wait: float) -> None:
        first = not self._failure
        self._failure = one_line(f"{type(error).__name__}: {error}", WORDS)
        if first and not self._ended.is_set():
            self._say(f"--log {self._name} failed ({self._failure}); again in {wait:.0f} s, the search goes on")
        if self._tracker is not None:
            self._tracker.abandon()
        self._tracker = None  # opened anew the next time

    def _tell(self) -> None:
        store = self._board.store
        if self._tracker is None:
            self._tracker = self._open(describe_run(self._settings, self._folder))
        decided = decisions_after(store, self._mark.revision)
        if not decided:
            return
        self._steps += steps_after(store, self._steps[-1].step.index if self._steps else 0)
        try:
            for revision, group in groupby(decided, key=lambda at: at.revision):
                self._tell_revision(self._tracker, revision, [at.decision for at in group])
        finally:
            put_mark(store, self._name, self._mark)

    def _tell_revision(self, tracker: Tracker, revision: int, decisions: list[Decision]) -> None:
        """Tell the trials and wins that were settled at one revision."""
        scores = scores_at(self._steps, revision)
        dollars = Spending(self._board.store).sum_spent_micros() / MICROS
        for number, decision in enumerate(decisions, self._mark.number + 1):
            row = read_row(self._board.store, decision)
            assert row.result is not None, f"{decision.trial_id} was decided without a result"
            share = self._busy.add(row.result)
            now = (scores.best, scores.frontier, scores.wins, share, dollars)
            tracker.note_trial(TrialNews(number, row, *now, self._settings.experiment.scoring))
        kept = {at.step.index for at in self._steps if at.step.kind == "keep"}
        new = {at.step.index for at in self._steps if self._mark.revision < at.revision <= revision} & kept
        if new:
            wins, baseline = read_wins(self._board)
            for win in wins:
                if win.step.index in new:
                    news = tell_win(win, baseline, self._board, self._settings, self._folder)
                    tracker.note_win(news, self._board.candidates.get(win.step.source_sha))
        self._mark = Mark(revision, self._mark.number + len(decisions))


class _Busy:
    """How busy the slots have been since this launch began; trials of earlier launches do not count."""

    def __init__(self, slots: Callable[[], int]) -> None:
        self._slots, self._began_at = slots, time.time()
        self._first, self._last, self._seconds = math.inf, 0.0, dict[str, float]()
        self._sum = 0.0

    def add(self, result: Result) -> float:
        """The share up to this result, 0 to 1; NaN before the first."""
        if result.started_at >= self._began_at and result.trial_id not in self._seconds:
            self._seconds[result.trial_id] = result.training_seconds
            self._sum += result.training_seconds
            self._first, self._last = min(self._first, result.started_at), max(self._last, result.finished_at)
        span = self._slots() * (self._last - self._first)
        return min(1.0, self._sum / span) if span > 0 else math.nan
