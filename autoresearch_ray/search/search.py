"""The search itself: what runs next, what follows from each result, and how a killed run goes on. Knows no Ray.

The Tune searcher and the simulation drive the same object. Every method is short and safe to repeat: first the
result is stored, then the decision in one transaction against the state that it was made from, then git. After any
crash `Search(...)` restores itself from the board, decides what is undecided and hands out unfinished trials again
under their own ids.
"""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from autoresearch_ray.decide.decide import decide
from autoresearch_ray.decide.early_stop import StopRule
from autoresearch_ray.decide.estimate import Estimate
from autoresearch_ray.decide.panel import screen_seed
from autoresearch_ray.decide.plan import Replicate, Screen, plan, plan_overtime
from autoresearch_ray.decide.portfolio import Portfolio, choose
from autoresearch_ray.decide.staleness import is_fresh
from autoresearch_ray.decide.state import Outcome, SearchState
from autoresearch_ray.records.codec import to_json
from autoresearch_ray.records.decisions import Decision, Step
from autoresearch_ray.records.trials import Candidate, Proposal, Purpose, Result, Trial
from autoresearch_ray.records.unproven import Unproven
from autoresearch_ray.search.commits import Commits
from autoresearch_ray.search.early_stop import Curves
from autoresearch_ray.search.limits import Limits
from autoresearch_ray.search.lineage import Lineage
from autoresearch_ray.search.merging import Merging
from autoresearch_ray.search.new_trials import make_trial, propose_replicate
from autoresearch_ray.search.stored_state import read_state
from autoresearch_ray.settings.proposer_spec import ABLATION
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.board import Board

BASELINE_ATTEMPTS = 2  # failures of the starting candidate before the run gives up
IDLE_SHARE = 0.5  # of the budget that a slot waits for a proposal before it replicates instead
ABLATION_WEIGHT = 0.5  # of a proposer's
IDLE_SECONDS = 2.0  # instead, on a share of a GPU: its neighbours train faster while it waits


@dataclass(frozen=True, slots=True)
class Finished:
    """There is nothing more to start; `failure` says why if it is not the run's limit."""

    failure: str = ""


Listener = Callable[[Trial, Result, tuple[Decision, ...], tuple[Step, ...]], None]


class Search:
    """One run's search. One thread; the only decider of its board."""

    def __init__(
        self,
        board: Board,
        settings: RunSettings,
        lineage_folder: Path,
        *,
        listener: Listener | None = None,
        lacks_weights: Callable[[], bool] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`lacks_weights` says that the best's trained model was to be kept and is not there: the best runs again."""
        self._board, self._settings, self._rules = board, settings, settings.rules
        self._listener = listener or (lambda *_: None)
        self._lacks_weights = lacks_weights  # None as soon as the best was run for them: once a launch
        self._is_first = True  # nothing was planned yet in this launch
        self._now, self._limits = now, Limits(now)
        self._commits = Commits(board, Lineage(lineage_folder, settings.tag, settings.experiment.scoring))
        self._baseline_sha = board.candidates.put(Candidate.of(settings.baseline))
        text, self._revision = board.search_state()
        self._state = SearchState(scoring=settings.experiment.scoring)
        if text is not None:
            self._state = read_state(text, board.trials)
        self._estimate = Estimate(self._state.ledger) if self._state.best else None
        self._claimed = int((board.last_trial_id() or "t0").lstrip("t"))
        self.in_flight: dict[str, Trial] = {}
        self.queue_depth = 0  # at the last look
        self.baseline_bpb, self._unproven = math.nan, Unproven()
        for step in board.steps():
            self._note_step(step)
        self._merging = Merging(board, settings)
        self._curves = Curves(settings)
        self._weights = {spec.label: spec.weight for spec in settings.proposers} | {ABLATION: ABLATION_WEIGHT}
        self._portfolio = Portfolio()
        self._idle_since: float | None = None
        self._recover()

    @property
    def state(self) -> SearchState:
        """What the decisions stand on now."""
        return self._state

    @property
    def claimed(self) -> int:
        """Trials started so far, over all launches."""
        return self._claimed

    @property
    def slots(self) -> int:
        """Trials at once."""
        return self._settings.slots

    def widen(self, slots: int) -> None:
        """More slots than before, from now on, for everybody who follows the board."""
        self._settings = self._settings.replace(slots=slots)
        self._board.put_settings(self._settings.model_dump_json().encode())

    def over(self) -> Finished | None:
        """Whether there is nothing more to start, unless a slot dies under its trial."""
        if len(self._state.baseline_failures) >= BASELINE_ATTEMPTS:
            return Finished(f"the starting candidate fails: {self._state.baseline_failures[-1]}")
        if self._again or self.trials_left() >= 1 or self._in_overtime() or self._owes_weights():
            return None
        return Finished()

    def next(self) -> Trial | Finished | None:
        """What a free slot runs next; None: nothing is ready now, ask again soon."""
        over = self.over()
        if over is not None:
            return over
        if self._again:
            again = self._again.popleft()
            self.in_flight[again.trial_id] = again
            return again
        trial = self._run_for_weights() if self._owes_weights() else self._plan_next(self.trials_left())
        self._is_first = False
        if trial is None:
            self._idle_since = self._idle_since or self._now()
            return None
        self._idle_since = None
        self._claimed += 1
        self._portfolio.note_trial(trial)
        self.in_flight[trial.trial_id] = trial
        return trial

    def finish(self, result: Result) -> None:
        """Store a result, decide what follows, commit it. A repeated result changes nothing."""
        self._board.finish(result)
        self.finish_stored(result.trial_id)

    def finish_stored(self, trial_id: str) -> None:
        """The same with the result that a trial's slot has stored."""
        trial, result = self.in_flight.pop(trial_id, None), self._board.result(trial_id)
        assert result is not None, f"{trial_id} ended, but its slot has stored no result"
        self._limits.note_trial(result.total_seconds)
        if trial is not None:
            self._curves.add(trial, result)
            self._portfolio.note_result(result)
            self._settle(trial, result)

    def stop_rule(self, trial: Trial) -> StopRule | None:
        """What a trial that starts now is judged by while it runs; None if it runs to its end in any case."""
        if not self._curves.is_on or trial.purpose != "screen" or self._curves.is_audited(trial):
            return None
        lines = [self._merging.code_lines(sha) for sha in (trial.proposal.source_sha, trial.proposal.parent_sha)]
        price = self._rules.complexity_price * (lines[0] - lines[1])
        return self._curves.stop_rule(trial, self._state.ledger.sd, price)

    def give_up(self, trial_id: str) -> None:
        """A trial that was stopped without a result: it is run again under its id when the run is resumed."""
        self.in_flight.pop(trial_id, None)

    def again(self, trial_id: str) -> None:
        """A trial that was cut off by no fault of its own: the next free slot runs it, under its id."""
        self._again.append(self.in_flight.pop(trial_id))

    def trials_left(self) -> float:
        """Trials that may still be started, by number and by time."""
        return self._limits.trials_left(self._settings, self._claimed)

    def _in_overtime(self) -> bool:
        """Whether a last proof goes on after the run's trials, or may once those that run have ended."""
        left = self._limits.overtime_left(self._settings, self._claimed)
        return left > 0 and (bool(self.in_flight) or self._plan_overtime() is not None)

    def _plan_overtime(self) -> Replicate | None:
        left, flight = self._limits.overtime_left(self._settings, self._claimed), list(self.in_flight.values())
        return plan_overtime(self._state, self._estimate, self._rules, flight, trials_left=left)

    def _owes_weights(self) -> bool:
        """Whether the best is to be run now for its weights: before anything else of a launch, or after all of it."""
        if self._lacks_weights is None or self._state.best is None:
            return False
        is_last = self.trials_left() < 1 and not self.in_flight and not self._in_overtime()
        return (self._is_first or is_last) and self._lacks_weights()

    def _run_for_weights(self) -> Trial | None:
        assert self._state.best is not None
        self._lacks_weights = None
        sha = self._state.best.source_sha
        return self._start(Replicate("idle", sha, sha), "best again, for its weights")

    def _plan_next(self, left: float) -> Trial | None:
        if left < 1:
            proof = self._plan_overtime()
            return None if proof is None else self._start(proof)
        queued = self._fresh_queue()
        self.queue_depth = len(queued)
        waited = 0.0 if self._idle_since is None else self._now() - self._idle_since
        what = plan(
            self._state,
            self._estimate,
            self._rules,
            list(self.in_flight.values()),
            baseline_sha=self._baseline_sha,
            trials_left=left,
            slots=self._settings.slots,
            ready=bool(queued),
            idle=waited > self._patience(),
        )
        if isinstance(what, Replicate):
            return self._start(what)
        return self._screen(queued) if isinstance(what, Screen) else None

    def _patience(self) -> float:
        """Seconds for which nothing may be ready."""
        if 0 < self._settings.gpu_share < 1:
            return IDLE_SECONDS
        return max(1.0, IDLE_SHARE * self._settings.experiment.budget_seconds)

    def _screen(self, queued: list[Proposal]) -> Trial | None:
        """The proposal of who is furthest behind its share of the slots."""
        while queued:
            proposal = choose(queued, self._weights, self._portfolio)
            trial = self._trial(proposal, "screen", screen_seed(self._state.ledger, proposal.parent_sha))
            if self._board.claim(trial):
                return trial
            queued.remove(proposal)
        return None

    def _fresh_queue(self) -> list[Proposal]:
        queued = self._board.queue()
        if self._estimate is None or self._state.frontier is None:
            return queued
        oldest = self._settings.oldest_parent(self._state.frontier.version)
        return [proposal for proposal in queued if is_fresh(proposal, self._state, self._estimate, oldest)]

    def _start(self, what: Replicate, words: str = "") -> Trial | None:
        proposal = propose_replicate(what, self._claimed + 1, self._state, words)
        trial = self._trial(proposal, what.purpose, what.seed_number)
        return trial if self._board.start(trial) else None

    def _trial(self, proposal: Proposal, purpose: Purpose, seed_number: int | None) -> Trial:
        number = self._claimed + 1
        return make_trial(number, proposal, purpose, seed_number, self._settings, self._state, self._now())

    def _settle(self, trial: Trial, result: Result) -> None:
        best = self._state.best
        outcome = Outcome.of(trial, result, self._merging.code_lines(trial.proposal.source_sha))
        settled = decide(self._state, outcome, self._rules, self._now(), self._estimate)
        steps = tuple([self._note_step(self._unproven.note_proven(step)) for step in settled.steps])
        frontier, new_best = settled.state.frontier, settled.state.best
        self._revision = self._board.settle(
            self._revision,
            to_json(settled.state).encode(),
            settled.decisions,
            frontier if frontier != self._state.frontier else None,
            new_best if new_best != best else None,
            steps,
        )
        assert self._revision, "somebody else decides on this run's board; the run's lock should have prevented it"
        self._state = settled.state
        self._estimate = settled.estimate
        for decision in settled.decisions:
            self._portfolio.note_decision(decision)
        if steps:
            self._commits.catch_up()
        for idea in settled.merges:
            self._merging.queue_merge(idea)
        self._listener(trial, result, settled.decisions, steps)

    def _note_step(self, step: Step) -> Step:
        if step.kind == "start":
            self.baseline_bpb = step.val_bpb
        self._unproven = self._unproven.after(step)
        return step

    def _recover(self) -> None:
        """Git up to the steps, a decision for every result, and the trials that were cut off."""
        self._commits.catch_up()
        trials = {trial.trial_id: trial for trial in self._board.trials()}
        for trial in trials.values():
            self._portfolio.note_trial(trial)
        for result in self._board.results():
            self._portfolio.note_result(result)
        for decision in self._board.decisions():
            self._portfolio.note_decision(decision)
        waiting = {outcome.trial_id for outcome in self._state.waiting}  # looked at already, decided with the noise
        undecided = [result for result in self._board.open_results() if result.trial_id not in waiting]
        for result in undecided:
            self._settle(trials[result.trial_id], result)
        self._curves.recover(self._board, trials.values())
        self._again = deque(self._board.open_trials())
