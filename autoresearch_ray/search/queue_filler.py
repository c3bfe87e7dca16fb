"""Keeps the queue of proposals filled, a little ahead of the slots, and throws out what has become stale.

Each proposer keeps its own part of the queue filled; whose proposal runs next is the search's choice
(`decide/portfolio.py`). It holds no state that the board does not have.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from autoresearch_ray.candidate.knobs import read_knobs
from autoresearch_ray.candidate.normal_form import code_lines, line_diff, normal_sha
from autoresearch_ray.candidate.ranges import Value
from autoresearch_ray.decide.estimate import Estimate
from autoresearch_ray.decide.staleness import is_fresh
from autoresearch_ray.decide.state import SearchState
from autoresearch_ray.propose.own import OwnTuner, load_tuner
from autoresearch_ray.propose.tuner.tuner import Observation, Tuner, knob_proposal
from autoresearch_ray.records.codec import from_json
from autoresearch_ray.records.decisions import Standing
from autoresearch_ray.records.proposers import ProposerStatus
from autoresearch_ray.records.trials import Candidate, Proposal, Result, Trial
from autoresearch_ray.search.merging import Merging, asks_back, reject_as_moved
from autoresearch_ray.search.models.arrivals import code_differs
from autoresearch_ray.search.prior import Prior
from autoresearch_ray.search.stored_state import is_older
from autoresearch_ray.settings.proposer_spec import OWN_TUNER, TUNERS, ProposerSpec
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.changes import Changes
from autoresearch_ray.store.earlier import read_earlier
from autoresearch_ray.store.rebases import Rebases

SLOTS_A_PROPOSAL = 16  # one queued for so many slots and one more: those made before the last results cost gain
# (simulated at 24 trials on 2 slots: 9.0 sd with three more queued, 10.3 with none)
REMEMBERED = 2_000  # results that a tuner is told: older ones lie where the frontier was long ago
ATTEMPTS = 8  # suggestions that turn out to be known already, before the space counts as exhausted for now
MOVED = "the frontier changed while it waited for a slot, and the two conflict"


class ProposerLoop:
    """What the proposer actor does: absorb what happened, then fill the queue. One thread."""

    def __init__(self, board: Board, settings: RunSettings) -> None:
        self._board, self._settings = board, settings
        self._price = settings.rules.complexity_price
        specs = [spec for spec in settings.proposers if spec.is_tuner]
        self._stand_in = not specs  # a tuner that only fills in while the models have nothing
        self._tuners = {
            spec.label: self._make_tuner(spec, np.random.default_rng([settings.seed, index]))
            for index, spec in enumerate(specs or [ProposerSpec(name=TUNERS[0])])
        }
        self._merging, self._rebases = Merging(board, settings), Rebases(board.store)
        self._values_by_sha: dict[str, dict[str, Value]] = {}  # knob values by source
        trials = {trial.trial_id: trial for trial in board.trials()}
        self._running = {trial.trial_id: trial for trial in board.open_trials()}
        self._prior = Prior(read_earlier(board.store) if settings.from_run else None)
        results = board.results()
        self._observations = deque(
            (self._observation(trials[result.trial_id], result) for result in results[-REMEMBERED:]), REMEMBERED
        )
        for result in results:
            self._note_start(trials[result.trial_id], result)
        self._next = 1 + self._last_number(trials.values())

    def _make_tuner(self, spec: ProposerSpec, rng: np.random.Generator) -> Tuner | OwnTuner:
        if spec.name != OWN_TUNER:
            return Tuner("random" if spec.name == "random" else "tpe", rng)

        def say(fault: str) -> None:
            self._board.notes.put_proposer(ProposerStatus(spec.label, "pausing" if fault else "ok", fault))

        return OwnTuner(load_tuner(spec.model), say)

    def absorb(self, changes: Changes) -> None:
        """Learn from what was written to the board."""
        self._settings = changes.settings or self._settings
        self._running |= {trial.trial_id: trial for trial in changes.trials}
        for result in changes.results:
            trial = self._running.pop(result.trial_id, None)
            if trial is not None:
                self._observations.append(self._observation(trial, result))
                self._note_start(trial, result)

    def fill(self) -> int:
        """Drop stale proposals and add fresh ones until the queue is deep enough; returns how many were added."""
        standing = self._board.frontier()
        baseline = Candidate.of(self._settings.baseline).sha
        sha, version = (standing.source_sha, standing.version) if standing else (baseline, 1)
        queued = self._board.queue()
        fresh = self._fresh(queued, sha, version)
        for proposal in queued:
            if proposal not in fresh and not (standing and self._sent_back(proposal, standing)):
                dropped = self._board.drop([proposal.proposal_id])
                fresh += self._bring_along(proposal, standing) if dropped and standing else []
        return sum(self._tune(name, sha, version, fresh) for name in self._tuners)

    def _fresh(self, queued: list[Proposal], frontier_sha: str, version: int) -> list[Proposal]:
        """Those that the search would run as they are."""
        oldest = self._settings.oldest_parent(version)
        if all(proposal.parent_sha == frontier_sha for proposal in queued):
            return list(queued)
        text, _ = self._board.search_state()
        if text is None or is_older(text) or (state := from_json(SearchState, text)).best is None:
            return [proposal for proposal in queued if proposal.parent_version >= oldest]
        estimate = Estimate(state.ledger)
        return [proposal for proposal in queued if is_fresh(proposal, state, estimate, oldest)]

    def _sent_back(self, stale: Proposal, frontier: Standing) -> bool:
        """Whether a model's idea goes back to the model to be rebased: it conflicts, or other code has come in."""
        if stale.kind != "code" or not asks_back(self._board, self._settings, stale.proposer):
            return False
        text = self._board.candidates.get(stale.source_sha).text
        stays = self._merging.bring_onto(text, stale.parent_sha, frontier) is not None
        if stays and not code_differs(self._board, stale.parent_sha, frontier.source_sha):
            return False
        return self._rebases.take_back(stale)

    def _bring_along(self, stale: Proposal, frontier: Standing) -> list[Proposal]:
        """A model's idea on the new frontier, if it fits there, or a merge; a tuner's values are better chosen anew."""
        if stale.kind == "merge":
            self._merging.queue_again(stale, frontier)
        if stale.kind != "code":
            return []
        text = self._merging.bring_onto(self._board.candidates.get(stale.source_sha).text, stale.parent_sha, frontier)
        if text is None:
            self._board.notes.put_rejected(reject_as_moved(stale, MOVED))
            return []
        added, removed = line_diff(self._board.candidates.get(frontier.source_sha).text, text)
        proposal = replace(
            stale,
            proposal_id=f"{stale.proposal_id.partition('.')[0]}.{frontier.version}",
            source_sha=Candidate.of(text).sha,
            parent_sha=frontier.source_sha,
            parent_version=frontier.version,
            lines_added=added,
            lines_removed=removed,
        )
        return [proposal] if self._board.enqueue(proposal, Candidate.of(text), normal_sha(text)) else []

    def _tune(self, name: str, parent_sha: str, version: int, fresh: list[Proposal]) -> int:
        """Bring this tuner's part of the queue to its depth; returns how many were added."""
        others = self._stand_in and any(proposal.proposer != name for proposal in fresh)
        depth = 0 if others else 1 + self._settings.slots // SLOTS_A_PROPOSAL
        missing = depth - sum(proposal.proposer == name for proposal in fresh)
        for added in range(missing):
            proposal = self._propose(name, parent_sha, version, fresh)
            if proposal is None:
                return added
            fresh.append(proposal)
        return max(0, missing)

    def _propose(self, name: str, parent_sha: str, version: int, queued: list[Proposal]) -> Proposal | None:
        """One proposal of this tuner that is queued now; None if none was found."""
        parent = self._board.candidates.get(parent_sha).text
        in_flight = [trial.proposal.source_sha for _, trial in sorted(self._running.items())]
        running = [self._values(sha) for sha in [*in_flight, *(proposal.source_sha for proposal in queued)]]
        known = (*self._prior.observations(), *self._observations)[-REMEMBERED:]
        for _ in range(ATTEMPTS):
            suggestion = self._tuners[name].suggest(read_knobs(parent), known, running)
            if suggestion is None:
                return None
            proposal, text = knob_proposal(parent, suggestion, f"p{self._next:06d}", name, parent_sha, version)
            if self._board.enqueue(proposal, Candidate.of(text), normal_sha(text)):
                self._next += 1
                return proposal
            running.append(self._values_of(text))
        return None

    def _note_start(self, trial: Trial, result: Result) -> None:
        if trial.purpose == "baseline":
            self._prior.note_start(self._observation(trial, result).objective)

    def _observation(self, trial: Trial, result: Result) -> Observation:
        sha = trial.proposal.source_sha
        lines = code_lines(self._board.candidates.get(sha).text)
        return Observation(self._values(sha), result.estimated_bpb + self._price * lines)

    def _values(self, sha: str) -> dict[str, Value]:
        if sha not in self._values_by_sha:
            if len(self._values_by_sha) > 2 * REMEMBERED:
                self._values_by_sha.clear()
            self._values_by_sha[sha] = self._values_of(self._board.candidates.get(sha).text)
        return self._values_by_sha[sha]

    def _values_of(self, text: str) -> dict[str, Value]:
        return {knob.name: knob.value for knob in read_knobs(text)}

    def _last_number(self, trials: Iterable[Trial]) -> int:
        names = [trial.proposal.proposal_id for trial in trials]
        names += [proposal.proposal_id for proposal in self._board.queue()]
        return max((int(name[1:]) for name in names if name[:1] == "p" and name[1:].isdigit()), default=0)
