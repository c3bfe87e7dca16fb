"""The learning curves that a run remembers, so that screens which have lost already can be ended (`--early-stop`).

Made from results alone, so a run that goes on after a crash knows what it knew. Bounded, whatever the run's length.
One in ten screens runs to its end whatever its curve says: by these the rule goes on learning from losers, and
experiments/benchmarks/early_stop.py counts what it would have ended wrongly.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from autoresearch_ray.decide.early_stop import StopRule
from autoresearch_ray.decide.learning_curve import Curve, Pair, curve_of, fit_lines, gaps
from autoresearch_ray.records.trials import Result, Trial
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.board import Board

KEPT_RUNS = 512  # the latest and those that were compared with, of some 600 bytes each
AUDITED = 10  # one screen in so many runs to its end in any case
KEPT_PAIRS = 64  # the latest, by the number of the child's trial


@dataclass(frozen=True, slots=True)
class _Run:
    curve: Curve
    val_bpb: float


class Curves:
    """Finished runs on numbered seeds and the pairs among them; nothing while early stopping is off."""

    def __init__(self, settings: RunSettings) -> None:
        self._settings, self._rules = settings, settings.rules
        self.is_on = settings.early_stop == "paired"
        self._budget = settings.experiment.budget_seconds
        self._runs: OrderedDict[tuple[str, int], _Run] = OrderedDict()  # by source and number of the seed
        self._pairs: dict[int, Pair] = {}  # by the number of the child's trial

    def add(self, trial: Trial, result: Result) -> None:
        """Remember a result. A screen whose parent ran on its seed makes a pair with it."""
        if not self.is_on or result.status != "ok" or trial.seed_number < 0:
            return
        run = _Run(curve_of(result.curve, self._budget), result.val_bpb)
        parent = self._parent(trial)
        if parent is not None:
            self._pairs[number_of(trial)] = Pair(
                _name(trial), gaps(run.curve, parent.curve), run.val_bpb - parent.val_bpb
            )
            if len(self._pairs) > KEPT_PAIRS:
                del self._pairs[min(self._pairs)]
        self._runs[trial.proposal.source_sha, trial.seed_number] = run
        self._runs.move_to_end((trial.proposal.source_sha, trial.seed_number))
        if len(self._runs) > KEPT_RUNS:
            self._runs.popitem(last=False)

    def recover(self, board: Board, trials: Iterable[Trial]) -> None:
        """Remember what is stored: `trials` are all of the run, in the order of their ids."""
        if not self.is_on:
            return
        numbered = {(t.proposal.source_sha, t.seed_number): t for t in trials if t.seed_number >= 0}
        wanted = {trial.trial_id: trial for trial in list(numbered.values())[-KEPT_RUNS:]}
        for trial in list(wanted.values()):
            parent = numbered.get((trial.proposal.parent_sha, trial.seed_number))
            if parent is not None:
                wanted[parent.trial_id] = parent
        for trial in sorted(wanted.values(), key=number_of):
            result = board.result(trial.trial_id)
            if result is not None:
                self.add(trial, result)

    def stop_rule(self, trial: Trial, noise_sd: float, price: float) -> StopRule | None:
        """What this trial is judged by while it runs; None if it runs to its end whatever its curve says.

        `noise_sd` (bpb) is that of one run, `price` (bpb) what its lines of code cost more than its parent's.
        """
        if not self.is_on or trial.purpose != "screen" or trial.proposal.kind == "merge" or not noise_sd > 0:
            return None
        parent = self._parent(trial)
        if parent is None:
            return None
        pairs = [self._pairs[number] for number in sorted(self._pairs)]
        lines = fit_lines(pairs, _name(trial), noise_sd, self._rules.early_stop_pairs)
        if not any(lines):
            return None
        return StopRule(
            self._budget,
            parent.curve,
            parent.val_bpb,
            noise_sd,
            -self._rules.worthwhile_sd * noise_sd - price,
            self._rules.early_stop_below,
            lines,
        )

    def is_audited(self, trial: Trial) -> bool:
        """Whether this trial is one of the few that run on in any case; by its id, so again after a crash."""
        digest = hashlib.sha256(f"{self._settings.seed}:audit {trial.trial_id}".encode()).digest()
        return int.from_bytes(digest[:4], "big") % AUDITED == 0

    def _parent(self, trial: Trial) -> _Run | None:
        key = (trial.proposal.parent_sha, trial.seed_number)
        if trial.purpose != "screen" or key not in self._runs:
            return None
        self._runs.move_to_end(key)
        return self._runs[key]


def number_of(trial: Trial) -> int:
    """The trial's number in the run."""
    return int(trial.trial_id.lstrip("t"))


def _name(trial: Trial) -> str:
    """Of the run of its parent that it is compared with."""
    return f"{trial.proposal.parent_sha} {trial.seed_number}"
