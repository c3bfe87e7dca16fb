"""Tune's scheduler, told which waiting trial may take a slot that has become free.

Tune starts a slot (an actor) for each trial that waits. As soon as another slot is free, its scheduler hands that one
to the trial that waits longest, and kills the actor that was starting for it: where trials end more often than a slot
takes to start, a node that joins is never used. Here only a trial whose own slot has no room to start in gets
another's.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

PATIENCE_SECONDS = 300.0  # that a slot with room may take to start, data included; somebody else may have the room


class Stranded:
    """Finds the trials that wait without a slot on its way."""

    def __init__(self, capacity: Callable[[], int], now: Callable[[], float] = time.monotonic) -> None:
        self._capacity, self._now = capacity, now
        self._since: dict[Any, float] = {}

    def among(self, waiting: Sequence[Any], running: int) -> list[Any]:
        """Those without room for their slot, or out of all patience; both lists in the order in which slots start.

        A trial that was not here at the last call takes a slot that is free, if one is: that one has no room to give.
        """
        now = self._now()
        known = [trial for trial in waiting if trial in self._since]
        new = len(waiting) - len(known)
        self._since = {trial: self._since.get(trial, now) for trial in waiting}
        starting = max(0, self._capacity() - running - new) if known else 0
        return [trial for i, trial in enumerate(known) if i >= starting or now - self._since[trial] > PATIENCE_SECONDS]


class PatientScheduler(FIFOScheduler):  # type: ignore[misc]  # Ray ships no types
    """First in, first out; a trial whose own slot is on its way waits for that one."""

    def __init__(self, capacity: Callable[[], int]) -> None:
        """`capacity` counts the slots that the cluster has room for now, busy ones included."""
        super().__init__()
        self._stranded = Stranded(capacity)

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """The trial that gets the next free slot, in preference to those just suggested; asked ten times a second."""
        live = tune_controller.get_live_trials()
        waiting = sorted((t for t in live if t.status == Trial.PENDING), key=lambda trial: trial.config["order"])
        stranded = self._stranded.among(waiting, sum(trial.status == Trial.RUNNING for trial in live))
        return next((trial for trial in stranded if trial.config["trial"]), None)  # a rest can wait

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its configuration beside the run, which never reads it again
