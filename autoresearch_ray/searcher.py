"""The bridge between the search and Ray Tune: a Tune searcher that asks `Search` and tells it what came of a trial.

Tune's results are dicts and become records here, once. Tune's own state is a cache: the run's store is the truth, so
saving and restoring this object keeps nothing.
"""

import logging
from collections import Counter
from pathlib import Path
from typing import Any

import ray
from ray.tune import Callback, Stopper
from ray.tune.search import Searcher

from autoresearch_ray.observe.screen import SlotView
from autoresearch_ray.observe.text import last_line
from autoresearch_ray.records import Result, Trial, from_json, to_json
from autoresearch_ray.search import Finished, Search
from autoresearch_ray.settings import RunSettings

DEATHS = 2  # of a trial's slot, before the trial itself counts as lost

logger = logging.getLogger(__name__)


class RunSearcher(Searcher):  # type: ignore[misc]  # Ray ships no types
    """Suggests trials of one run. `stopping` makes it finish and ignore what is cut off."""

    def __init__(self, search: Search, settings: RunSettings, folder: Path, state: str) -> None:
        super().__init__()
        self._search = search
        home = ray.get_runtime_context().get_node_id()
        self._common = {"run": settings.model_dump_json(), "state": state, "folder": str(folder), "home": home}
        self._ours: dict[str, str] = {}  # Tune's trial id -> ours
        self._deaths = Counter[str]()
        self.stopping = False
        self.failure = ""

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial's config; None if nothing is ready; FINISHED at the run's limits."""
        if self.stopping:
            return str(Searcher.FINISHED)
        trial = self._search.next()
        if isinstance(trial, Finished) and (trial.failure or not self._ours):
            self.failure = trial.failure
            return str(Searcher.FINISHED)
        if trial is None or isinstance(trial, Finished):
            return None  # not finished while one runs: its slot may die, and Tune asks nobody who has finished
        self._ours[trial_id] = trial.trial_id
        return self._common | {"trial": to_json(trial)}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell the search: a result, a trial that its scheduler stopped, or one whose node was lost for good."""
        ours = self._ours.pop(trial_id, None)
        if ours is None:
            return
        if result is not None and "result" in result:
            self._search.finished(from_json(Result, result["result"]))
        elif self.stopping:
            self._search.given_up(ours)
        elif error:
            self._cut_off(ours)
        else:
            seconds = float((result or {}).get("seconds", 0.0))
            self._search.finished(
                Result(ours, "stopped", training_seconds=seconds, error="stopped early by the scheduler")
            )

    def _cut_off(self, ours: str) -> None:
        """The slot died, also while it started: Tune itself would try only those again that had got going."""
        self._deaths[ours] += 1
        if self._deaths[ours] <= DEATHS:
            self._search.again(ours)
        else:
            self._search.finished(Result(ours, "lost", error=f"its slot died {self._deaths[ours]} times"))

    def superseded(self) -> None:
        """Another head goes on with the run: end, and say so."""
        self.failure = "another head goes on with this run"
        self.stopping = True

    def save(self, checkpoint_path: str) -> None:
        """Nothing to keep."""
        Path(checkpoint_path).write_text("the run's store is the truth\n")

    def restore(self, checkpoint_path: str) -> None:
        """Nothing was kept."""

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its configuration beside the run


class RunStopper(Stopper):  # type: ignore[misc]  # Ray ships no types
    """Ends all trials once the searcher is told to stop."""

    def __init__(self, searcher: RunSearcher) -> None:
        self._searcher = searcher

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._searcher.stopping

    def __getstate__(self) -> dict[str, Any]:
        return {}


class SlotWatch(Callback):  # type: ignore[misc]  # Ray ships no types
    """What every slot does now, from Tune's reports, for the live screen."""

    def __init__(self, search: Search, budget_seconds: float) -> None:
        self._search, self._budget = search, budget_seconds
        self.views: dict[str, SlotView] = {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._see(trial, {})

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self._see(trial, result)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.views.pop(trial.trial_id, None)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.views.pop(trial.trial_id, None)
        ours, error = from_json(Trial, trial.config["trial"]).trial_id, trial.get_pickled_error()
        logger.warning("%s: its slot was lost (%s)", ours, last_line(str(error)) or type(error).__name__)

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def _see(self, trial: Any, result: dict[str, Any]) -> None:
        ours = next(
            (t for t in list(self._search.in_flight.values()) if f'"{t.trial_id}"' in trial.config["trial"]), None
        )
        if ours is None or result.get("done"):
            self.views.pop(trial.trial_id, None)
            return
        seconds = float(result.get("seconds", 0.0))
        self.views[trial.trial_id] = SlotView(
            trial_id=ours.trial_id,
            kind=ours.proposal.kind,
            hypothesis=ours.proposal.hypothesis,
            progress=min(1.0, seconds / self._budget),
            train_bpb=float(result.get("curve_bpb", float("nan"))),
            seconds=seconds,
        )
