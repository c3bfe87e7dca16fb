"""The search itself: what runs next, what follows from each result, and how a killed run goes on. Knows no Ray.

The Tune searcher and the simulation drive the same object. Every method is short and safe to repeat: first the
result is stored, then the decision in one transaction against the state that it was made from, then git. After any
crash `Search(...)` restores itself from the board, decides what is undecided and hands out unfinished trials again
under their own ids.
"""

import hashlib
import logging
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from autoresearch_ray.codec import from_json, to_json
from autoresearch_ray.decide.decide import decide
from autoresearch_ray.decide.early_stop import StopRule
from autoresearch_ray.decide.estimate import Estimate
from autoresearch_ray.decide.panel import screen_seed
from autoresearch_ray.decide.plan import Replicate, Screen, plan
from autoresearch_ray.decide.portfolio import Portfolio, choose
from autoresearch_ray.decide.staleness import is_fresh
from autoresearch_ray.decide.state import Outcome, SearchState
from autoresearch_ray.errors import LineageError
from autoresearch_ray.proposer_spec import ABLATION
from autoresearch_ray.records import OWN_SEED, Candidate, Decision, Proposal, Purpose, Result, Step, Trial
from autoresearch_ray.search.early_stop import Curves
from autoresearch_ray.search.lineage import Lineage
from autoresearch_ray.search.merging import Merging
from autoresearch_ray.search.older_state import is_older, read_older
from autoresearch_ray.settings import RunSettings
from autoresearch_ray.store.board import Board
from autoresearch_ray.unproven import Unproven

BASELINE_ATTEMPTS = 2  # failures of the starting candidate before the run gives up
IDLE_SHARE = 0.5  # of the budget that a slot waits for a proposal before it replicates instead
ABLATION_WEIGHT = 0.5  # of a proposer's
IDLE_SECONDS = 2.0  # instead, on a share of a GPU: its neighbours train faster while it waits

logger = logging.getLogger(__name__)


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
        self._now, self._began_at = now, now()
        self._lineage, self._git_failure = Lineage(lineage_folder, settings.tag, settings.experiment.scoring), ""
        self._baseline_sha = board.candidates.put(Candidate.of(settings.baseline))
        text, self._revision = board.search_state()
        self._state = self._read(text) if text is not None else SearchState(scoring=settings.experiment.scoring)
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
        self._trial_seconds: deque[float] = deque(maxlen=32)
        self._recover()

    def _read(self, text: bytes) -> SearchState:
        if not is_older(text):
            return from_json(SearchState, text)
        logger.warning(
            "this run began under earlier rules: its best and its frontier stay, the ledger decides from here"
        )
        return read_older(text, {trial.trial_id: trial for trial in self._board.trials()})

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
        if self._again or self.trials_left() >= 1 or self._owes_weights():
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
        self._trial_seconds.append(result.total_seconds)
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
        left = self._settings.trials - self._claimed if self._settings.trials else float("inf")
        if self._settings.hours is not None:
            seconds = self.seconds_left()
            typical = sum(self._trial_seconds) / len(self._trial_seconds) if self._trial_seconds else 0.0
            typical = max(typical, self._settings.experiment.budget_seconds)
            left = min(left, 0 if seconds <= 0 else max(1, int(self._settings.slots * seconds / typical)))
        return left

    def seconds_left(self) -> float:
        """Of this launch's hours; infinite without a limit."""
        if self._settings.hours is None:
            return float("inf")
        return self._settings.hours * 3600 - (self._now() - self._began_at)

    def _owes_weights(self) -> bool:
        """Whether the best is to be run now for its weights: before anything else of a launch, or after all of it."""
        if self._lacks_weights is None or self._state.best is None:
            return False
        is_last = self.trials_left() < 1 and not self.in_flight
        return (self._is_first or is_last) and self._lacks_weights()

    def _run_for_weights(self) -> Trial | None:
        assert self._state.best is not None
        self._lacks_weights = None
        sha = self._state.best.source_sha
        return self._start(Replicate("idle", sha, sha), "best again, for its weights")

    def _plan_next(self, left: float) -> Trial | None:
        queued = self._fresh_queue()
        self.queue_depth = len(queued)
        waited = 0.0 if self._idle_since is None else self._now() - self._idle_since
        what = plan(
            self._state,
            self._estimate,
            self._rules,
            list(self.in_flight.values()),
            baseline_sha=self._baseline_sha,
            started=self._claimed,
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
        proposal = Proposal(
            proposal_id=f"r{self._claimed + 1:05d}",
            kind="baseline" if what.purpose == "baseline" else "replicate",
            proposer="search",
            source_sha=what.source_sha,
            parent_sha=what.other_sha,
            parent_version=self._state.frontier.version if self._state.frontier else 1,
            hypothesis=words or self._replicate_words(what),
        )
        trial = self._trial(proposal, what.purpose, what.seed_number)
        return trial if self._board.start(trial) else None

    def _replicate_words(self, what: Replicate) -> str:
        if what.purpose == "baseline":
            return "starting candidate"
        entry, best = self._state.ledger.get(what.source_sha), self._state.best
        if what.purpose == "remove":
            other = self._state.ledger.get(what.other_sha)
            removal = entry if entry and other and entry.code_lines < other.code_lines else other
            return f"{'with' if removal is entry else 'without'} the removal: {removal.hypothesis if removal else ''}"
        if what.purpose == "confirm" and entry is not None:
            return f"again: {entry.hypothesis}"
        side = "best" if best is not None and best.source_sha == what.source_sha else "frontier"
        return f"{side} again, {'for its proof' if what.purpose == 'prove' else 'the queue was empty'}"

    def _trial(self, proposal: Proposal, purpose: Purpose, seed_number: int | None) -> Trial:
        trial_id = f"t{self._claimed + 1:05d}"
        which = trial_id if seed_number is None else f"panel {seed_number}"
        digest = hashlib.sha256(f"{self._settings.seed}:{which}".encode()).digest()
        return Trial(
            trial_id,
            proposal,
            purpose,
            seed=int.from_bytes(digest[:4], "big") >> 1,
            claimed_at=self._now(),
            staleness=self._state.frontier.version - proposal.parent_version if self._state.frontier else 0,
            max_staleness=self._settings.max_staleness,
            seed_number=OWN_SEED if seed_number is None else seed_number,
        )

    def _settle(self, trial: Trial, result: Result) -> None:
        best = self._state.best
        settled = decide(self._state, self._outcome(trial, result), self._rules, self._now(), self._estimate)
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
            self._commit()
        for idea in settled.merges:
            self._merging.queue_merge(idea)
        self._listener(trial, result, settled.decisions, steps)

    def _note_step(self, step: Step) -> Step:
        if step.kind == "start":
            self.baseline_bpb = step.val_bpb
        self._unproven = self._unproven.after(step)
        return step

    def _commit(self) -> None:
        """Bring git up to the steps; a failure is told once and mended at the next step or start."""
        try:
            steps = self._board.steps(self._lineage.done + 1)
            made = self._lineage.replay(steps, self._board.candidates.get, self._board.commits())
        except LineageError as error:
            if str(error) != self._git_failure:
                logger.warning("%s; the search goes on: what is not committed is stored, and tried again", error)
            self._git_failure = str(error)
            return
        self._git_failure = ""
        for index, commit in made.items():
            self._board.put_commit(index, commit)

    def _outcome(self, trial: Trial, result: Result) -> Outcome:
        proposal = trial.proposal
        return Outcome(
            trial_id=trial.trial_id,
            purpose=trial.purpose,
            proposal_id=proposal.proposal_id,
            kind=proposal.kind,
            proposer=proposal.proposer,
            hypothesis=proposal.hypothesis,
            source_sha=proposal.source_sha,
            parent_sha=proposal.parent_sha,
            status=result.status,
            val_bpb=result.val_bpb,
            holdout_bpb=result.holdout_bpb,
            code_lines=self._merging.code_lines(proposal.source_sha),
            error=result.error,
            checks=result.checks if result.strength == "full" else (),
            seed_number=trial.seed_number,
            merged=proposal.merged,
        )

    def _recover(self) -> None:
        """Git up to the steps, a decision for every result, and the trials that were cut off."""
        self._commit()
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
