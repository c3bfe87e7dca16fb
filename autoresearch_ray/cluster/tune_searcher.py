"""The bridge between the search and Ray Tune: a Tune searcher that asks `Search` and tells it what came of a trial.

Tune's results are dicts and become records here, once. Tune's own state is a cache: the run's store is the truth, so
saving and restoring this object keeps nothing.

A slot that becomes free while nothing is ready gets a placeholder trial (`rests.py`).
"""

import itertools
import logging
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray.tune import Callback, Stopper
from ray.tune.search import Searcher

from autoresearch_ray.cluster.rests import Rests
from autoresearch_ray.common.text import last_line, one_line
from autoresearch_ray.observe.screen import SlotView
from autoresearch_ray.records.codec import from_json, to_json
from autoresearch_ray.records.trials import Result, Trial
from autoresearch_ray.search.search import Finished, Search
from autoresearch_ray.settings.run_settings import RunSettings

DEATHS = 2  # of a trial's slot, before the trial itself counts as lost
MOST_SLOTS = 4096  # of one run; Tune wants to know

logger = logging.getLogger(__name__)


class RunSearcher(Searcher):  # type: ignore[misc]  # Ray ships no types
    """Suggests trials of one run. `stopping` makes it finish and ignore what is cut off."""

    def __init__(
        self,
        search: Search,
        settings: RunSettings,
        folder: Path,
        address: str,
        capacity: Callable[[], int] | None = None,
    ) -> None:
        """`capacity` counts the slots that there is room for: the run takes them when they are more than it has."""
        super().__init__()
        self._search, self._capacity = search, capacity
        home = ray.get_runtime_context().get_node_id()
        self._common = {"run": settings.model_dump_json(), "address": address, "folder": str(folder), "home": home}
        self._ours: dict[str, str] = {}  # Tune's trial id -> ours
        self._unstarted: set[str] = set()  # Tune's ids of those whose slot still starts
        self._rests = Rests(search.next)
        self._freed = False  # its last trial left a slot just now: what is suggested next runs there
        self._yields = False  # that slot runs what has no slot yet: Tune gives it that, if nothing is suggested
        self._stops_told = False  # a screen may end early since then
        self._order = itertools.count()  # of what was suggested: Tune's ids are random
        self._deaths = Counter[str]()
        self.reasons: dict[str, str] = {}  # our trial ids: why a slot of theirs died
        self.stopping = False
        self.failure = ""

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """The number of slots is this object's affair, for it may grow."""
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """A config of a trial or placeholder; None if no slot is free or nothing is ready; FINISHED at the end."""
        freed, yields = self._freed, self._yields
        self._freed = self._yields = False
        if self._starts_no_more():
            return str(Searcher.FINISHED)
        if not freed and (self._rests or len(self._ours) >= self._slots()):
            return None  # what is next is for a slot that rests
        trial = self._rests.take_claimed() or self._search.next()
        if isinstance(trial, Trial):
            return self._start(trial_id, trial)
        rests = freed and not yields and not isinstance(trial, Finished)
        return self._config(**self._rests.begin(trial_id)) if rests else None

    def _starts_no_more(self) -> bool:
        """Whether the end is sure. It is not while a trial runs: if its slot dies, it is to start again."""
        over = self._search.over()
        return self.stopping or self.is_over() or (over is not None and bool(over.failure))

    def _start(self, trial_id: str, trial: Trial) -> dict[str, Any]:
        self._ours[trial_id] = trial.trial_id
        self._unstarted.add(trial_id)
        return self._config(trial=to_json(trial), stop_rule=self._rule_of(trial))

    def _config(self, **more: Any) -> dict[str, Any]:
        return self._common | more | {"order": next(self._order)}

    def claim_ahead(self, trial_id: str) -> None:
        """Where this slot rests, claim what it runs next, if something is ready."""
        if trial_id in self._rests and not self.is_over():
            self._rests.claim_ahead()

    def ends_rest(self, trial_id: str) -> bool:
        """Whether this slot rests and has rested enough: there is a trial for it, or never again one."""
        return trial_id in self._rests and (self.is_over() or self._rests.is_enough(trial_id, bool(self._unstarted)))

    def has_started(self, trial_id: str) -> None:
        """Tune's trial has a slot."""
        self._unstarted.discard(trial_id)

    def is_over(self) -> bool:
        """Whether nothing runs and nothing will: slots that rest, or never started, may end."""
        over = self._search.over()
        if over is None or self._ours or self._rests.has_claimed:
            return False
        self.failure = self.failure or over.failure
        return True

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell the search: a result, or a trial that was cut off."""
        self._freed, self._yields = not error, self._rests.end(trial_id)
        self._unstarted.discard(trial_id)
        ours = self._ours.pop(trial_id, None)
        if ours is None:
            return
        if result is not None and "val_bpb" in result:
            self._search.finish_stored(ours)
        elif self.stopping:
            self._search.give_up(ours)
        else:
            self._cut_off(ours)

    def _cut_off(self, ours: str) -> None:
        """The slot died, also while it started: Tune itself would try only those again that had got going."""
        self._deaths[ours] += 1
        if self._deaths[ours] <= DEATHS:
            self._search.again(ours)
        else:
            reason = f" ({self.reasons[ours]})" if ours in self.reasons else ""
            self._search.finish(Result(ours, "lost", error=f"its slot died {self._deaths[ours]} times{reason}"))

    def _rule_of(self, trial: Trial) -> str:
        """What the slot may end this trial by, as JSON; empty for one that runs to its end in any case."""
        rule = self._search.stop_rule(trial)
        if rule is None:
            return ""
        if not self._stops_told:
            self._stops_told = True
            logger.warning(
                "enough pairs of learning curves are known: from now on a screen that has less than %g %% left to be "
                "worthwhile is ended early",
                100 * rule.threshold,
            )
        return to_json(rule)

    def _slots(self) -> int:
        capacity = self._capacity() if self._capacity is not None else 0
        if capacity > self._search.slots:
            logger.warning(
                "the cluster has room for %d slots now: the run takes them, it had %d", capacity, self._search.slots
            )
            self._search.widen(min(capacity, MOST_SLOTS))
        return self._search.slots

    def stop(self) -> None:
        """Suggest nothing more, and end what runs."""
        self.stopping = True

    def give_way(self) -> None:
        """Another head goes on with the run: end, and say so."""
        self.failure = "another head goes on with this run"
        self.stop()

    def save(self, checkpoint_path: str) -> None:
        """Nothing to keep."""
        Path(checkpoint_path).write_text("the run's store is the truth\n")

    def restore(self, checkpoint_path: str) -> None:
        """Nothing was kept."""

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its configuration beside the run


class RunStopper(Stopper):  # type: ignore[misc]  # Ray ships no types
    """Ends a placeholder when there is a trial for its slot, and everything once the searcher stops or has ended."""

    def __init__(self, searcher: RunSearcher) -> None:
        self._searcher = searcher

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Asked at each report of a slot."""
        self._searcher.claim_ahead(trial_id)
        return self._searcher.ends_rest(trial_id)

    def stop_all(self) -> bool:
        return self._searcher.stopping or self._searcher.is_over()

    def __getstate__(self) -> dict[str, Any]:
        return {}


class SlotWatch(Callback):  # type: ignore[misc]  # Ray ships no types
    """What every slot does now, from Tune's reports, for the searcher and the live screen."""

    def __init__(self, search: Search, searcher: RunSearcher, budget_seconds: float, silent_seconds: float) -> None:
        """A slot that says nothing for `silent_seconds` is ended: its own deadlines did not hold, it hangs."""
        self._search, self._searcher, self._budget = search, searcher, budget_seconds
        self._silent_seconds, self._heard = silent_seconds, dict[Any, float]()  # Tune's trials
        self.views: dict[str, SlotView] = {}

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        now = time.monotonic()
        for trial in [trial for trial, heard in self._heard.items() if now - heard > self._silent_seconds]:
            logger.warning(
                "%s: a slot said nothing for %.0f s; it is ended", _name(trial), now - self._heard.pop(trial)
            )
            ray.kill(trial.temporary_state.ray_actor)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._searcher.has_started(trial.trial_id)
        self._heard[trial] = time.monotonic()
        self._see(trial, {})

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self._heard[trial] = time.monotonic()
        self._see(trial, result)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._heard.pop(trial, None)
        self.views.pop(trial.trial_id, None)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._heard.pop(trial, None)
        self.views.pop(trial.trial_id, None)
        self._searcher.reasons[_name(trial)] = reason = _reason(trial)  # Tune has told the searcher of the end already
        logger.warning("%s: its slot was lost (%s)", _name(trial), reason)

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def _see(self, trial: Any, result: dict[str, Any]) -> None:
        if not trial.config["trial"]:
            return
        ours = self._search.in_flight.get(from_json(Trial, trial.config["trial"]).trial_id)
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


def _name(trial: Any) -> str:
    return from_json(Trial, trial.config["trial"]).trial_id if trial.config["trial"] else "no trial"


def _reason(trial: Any) -> str:
    """What Tune wrote down of a failure: a line with its number and date, then words of Ray or a traceback."""
    text = Path(trial.error_file).read_text(errors="replace") if trial.error_file else ""
    words = last_line(text) if '  File "' in text else " ".join(text.splitlines()[1:3])
    return one_line(words, 160) or "no reason given"
