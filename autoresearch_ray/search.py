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
from itertools import pairwise
from pathlib import Path

from autoresearch_ray.decide.decide import decide
from autoresearch_ray.decide.plan import Replicate, Screen, plan
from autoresearch_ray.decide.state import Outcome, Rules, SearchState
from autoresearch_ray.errors import CandidateError, LineageError
from autoresearch_ray.lineage import Lineage
from autoresearch_ray.propose.merge import theirs_onto, three_way
from autoresearch_ray.propose.normalise import code_lines, line_diff, normal_sha
from autoresearch_ray.propose.rules import check_candidate
from autoresearch_ray.records import Decision, Proposal, Result, Step, Trial, from_json, to_json
from autoresearch_ray.settings import RunSettings
from autoresearch_ray.state.board import Board

BASELINE_ATTEMPTS = 2  # failures of the starting candidate before the run gives up
IDLE_SHARE = 0.5  # of the budget that a slot waits for a proposal before it replicates instead

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
        rules: Rules | None = None,
        listener: Listener | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._board, self._settings, self._rules = board, settings, rules or Rules()
        self._listener = listener or (lambda *_: None)
        self._now, self._began_at = now, now()
        self._lineage = Lineage(lineage_folder, settings.tag)
        self._program_lines = len(settings.program.splitlines())
        self._baseline_sha = board.put_source(settings.baseline)
        text, self._revision = board.search_state()
        self._state = from_json(SearchState, text) if text is not None else SearchState()
        self._claimed = int((board.last_trial_id() or "t0").lstrip("t"))
        self.in_flight: dict[str, Trial] = {}
        self.queue_depth = 0  # at the last look
        self.baseline_bpb = next((s.val_bpb for s in board.steps() if s.kind == "start"), math.nan)
        self._lines: dict[str, int] = {}
        self._merges = 0
        self._idle_since: float | None = None
        self._trial_seconds: deque[float] = deque(maxlen=32)
        self._recover()

    @property
    def state(self) -> SearchState:
        """What the decisions stand on now."""
        return self._state

    @property
    def claimed(self) -> int:
        """Trials started so far, over all launches."""
        return self._claimed

    def next(self) -> Trial | Finished | None:
        """What a free slot runs next; None: nothing is ready now, ask again soon."""
        if len(self._state.baseline_failures) >= BASELINE_ATTEMPTS:
            return Finished(f"the starting candidate fails: {self._state.baseline_failures[-1]}")
        if self._again:
            again = self._again.popleft()
            self.in_flight[again.trial_id] = again
            return again
        left = self.trials_left()
        if left < 1:
            return Finished()
        trial = self._planned(left)
        if trial is None:
            self._idle_since = self._idle_since or self._now()
            return None
        self._idle_since = None
        self._claimed += 1
        self.in_flight[trial.trial_id] = trial
        return trial

    def finished(self, result: Result) -> None:
        """Store a result, decide what follows, commit it. A repeated result changes nothing."""
        trial = self.in_flight.pop(result.trial_id, None)
        self._board.finish(result)
        self._trial_seconds.append(result.total_seconds)
        if trial is not None:
            self._settle(trial, result)

    def given_up(self, trial_id: str) -> None:
        """A trial that was stopped without a result: it is run again under its id when the run is resumed."""
        self.in_flight.pop(trial_id, None)

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

    def _planned(self, left: float) -> Trial | None:
        queued = self._fresh_queue()
        self.queue_depth = len(queued)
        waited = 0.0 if self._idle_since is None else self._now() - self._idle_since
        what = plan(
            self._state,
            self._rules,
            list(self.in_flight.values()),
            baseline_sha=self._baseline_sha,
            trials_left=left,
            slots=self._settings.slots,
            ready=bool(queued),
            idle=waited > max(1.0, IDLE_SHARE * self._settings.experiment.budget_seconds),
        )
        if isinstance(what, Replicate):
            return self._started(what)
        if isinstance(what, Screen):
            for proposal in queued:
                trial = self._trial(proposal, "screen")
                if self._board.claim(trial):
                    return trial
        return None

    def _fresh_queue(self) -> list[Proposal]:
        queued = self._board.queued()
        if self._state.frontier is None:
            return queued
        oldest = self._state.frontier.version - self._settings.max_staleness
        stale = [proposal.proposal_id for proposal in queued if proposal.parent_revision < oldest]
        if stale:
            self._board.drop(stale)
        return [proposal for proposal in queued if proposal.parent_revision >= oldest]

    def _started(self, what: Replicate) -> Trial | None:
        proposal = Proposal(
            proposal_id=f"r{self._claimed + 1:05d}",
            kind="baseline" if what.purpose == "baseline" else "replicate",
            proposer="search",
            source_sha=what.source_sha,
            parent_sha=what.other_sha,
            parent_revision=self._state.frontier.version if self._state.frontier else 1,
            hypothesis=self._replicate_words(what),
        )
        trial = self._trial(proposal, what.purpose)
        return trial if self._board.start(trial) else None

    def _replicate_words(self, what: Replicate) -> str:
        if what.purpose == "baseline":
            return "starting candidate"
        contender = next((c for c in self._state.contenders if c.outcome.source_sha == what.source_sha), None)
        if what.purpose == "confirm" and contender is not None:
            return f"again: {contender.outcome.hypothesis}"
        best = self._state.best
        side = "best" if best is not None and best.source_sha == what.source_sha else "frontier"
        return f"{side} again, for its proof" if what.purpose == "prove" else f"{side} again, the queue was empty"

    def _trial(self, proposal: Proposal, purpose: str) -> Trial:
        trial_id = f"t{self._claimed + 1:05d}"
        digest = hashlib.sha256(f"{self._settings.seed}:{trial_id}".encode()).digest()
        return Trial(trial_id, proposal, purpose, int.from_bytes(digest[:4], "big") >> 1, self._now())  # type: ignore[arg-type]  # a Purpose by its callers

    def _settle(self, trial: Trial, result: Result) -> None:
        stack, best = self._state.stack if self._state.best else (), self._state.best
        settled = decide(self._state, self._outcome(trial, result), self._rules, self._merged, self._now())
        frontier, new_best = settled.state.frontier, settled.state.best
        written = self._board.settle(
            self._revision,
            to_json(settled.state).encode(),
            settled.decisions,
            frontier if frontier != self._state.frontier else None,
            new_best if new_best != best else None,
            settled.steps,
        )
        assert written, "somebody else decides on this run's board; the run's lock should have prevented it"
        self._state, (_, self._revision) = settled.state, self._board.search_state()
        if settled.steps:
            self._commit()
        if settled.steps and settled.steps[0].kind == "start":
            self.baseline_bpb = settled.steps[0].val_bpb
        if settled.dropped and best is not None:
            self._queue_alone([best.source_sha, *(standing.source_sha for standing in stack)], trial)
        for screened in settled.retries:
            self._queue_merge(screened)
        self._listener(trial, result, settled.decisions, settled.steps)

    def _commit(self) -> None:
        """Bring git up to the steps; a failure is told and mended at the next step or start."""
        try:
            steps = self._board.steps(self._lineage.done + 1)
            made = self._lineage.replay(steps, self._board.source, self._board.commits())
        except LineageError as error:
            logger.warning("%s; the win is stored and is committed when git works again", error)
            return
        for index, commit in made.items():
            self._board.put_commit(index, commit)

    def _outcome(self, trial: Trial, result: Result) -> Outcome:
        proposal = trial.proposal
        return Outcome(
            trial_id=trial.trial_id,
            purpose=trial.purpose,
            proposal_id=proposal.proposal_id,
            proposer=proposal.proposer,
            hypothesis=proposal.hypothesis,
            source_sha=proposal.source_sha,
            parent_sha=proposal.parent_sha,
            status=result.status,
            val_bpb=result.val_bpb,
            holdout_bpb=result.holdout_bpb,
            code_lines=self._code_lines(proposal.source_sha),
            error=result.error,
        )

    def _code_lines(self, source_sha: str) -> int:
        if source_sha not in self._lines:
            self._lines[source_sha] = code_lines(self._board.source(source_sha))
        return self._lines[source_sha]

    def _merged(self, base: str, ours: str, theirs: str) -> tuple[str, int] | None:
        merged = three_way(*(self._board.source(sha) for sha in (base, ours, theirs)))
        if not merged.clean or not self._valid(merged.source):
            return None
        sha = self._board.put_source(merged.source)
        return sha, self._code_lines(sha)

    def _valid(self, source: str) -> bool:
        try:
            check_candidate(source, self._program_lines)
        except CandidateError:
            return False
        return True

    def _queue_alone(self, stack: list[str], trial: Trial) -> None:
        """After a dropped proof: each step of the stack by itself, on the best."""
        for parent, child in pairwise(stack):
            self._enqueue_merge(parent, stack[0], child, f"alone: a step of the stack that {trial.trial_id} ended")

    def _queue_merge(self, screened: Outcome) -> None:
        """A confirmed change that conflicts with the frontier: what merges of it is tested."""
        frontier = self._state.frontier
        assert frontier is not None
        words = f"merged: {screened.hypothesis}"
        self._enqueue_merge(screened.parent_sha, frontier.source_sha, screened.source_sha, words)

    def _enqueue_merge(self, base: str, ours: str, theirs: str, hypothesis: str) -> None:
        texts = [self._board.source(sha) for sha in (base, ours, theirs)]
        source = theirs_onto(*texts)
        if not self._valid(source):
            return
        self._merges += 1
        frontier = self._state.frontier
        assert frontier is not None
        added, removed = line_diff(texts[1], source)
        proposal = Proposal(
            proposal_id=f"m{self._claimed:05d}-{self._merges}",
            kind="merge",
            proposer="merge",
            source_sha=self._board.put_source(source),
            parent_sha=frontier.source_sha,
            parent_revision=frontier.version,
            hypothesis=hypothesis,
            lines_added=added,
            lines_removed=removed,
        )
        self._board.enqueue(proposal, source, normal_sha(source))

    def _recover(self) -> None:
        """Git up to the steps, a decision for every result, and the trials that were cut off."""
        self._commit()
        undecided = self._board.undecided()
        trials = {trial.trial_id: trial for trial in self._board.trials()} if undecided else {}
        for result in undecided:
            self._settle(trials[result.trial_id], result)
        self._again = deque(self._board.unfinished())
