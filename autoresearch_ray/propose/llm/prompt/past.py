"""A run's past as a language model may see it, kept up to date record by record.

    past = Past(board.source)
    past.note_trial(trial); past.note_result(result); past.note_decision(decision); past.note_step(step)
    view = past.view(Moment(..., frontier=board.frontier(), best=board.best(), queued=tuple(board.queue())))

Each record is looked at once, so a prompt of a run of 10,000 trials costs no more than its choice (`past_text.py`).
Records may come twice. A result, decision or step comes after the records that it refers to. A result's held-out score
is never kept: models may not know it.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

from autoresearch_ray.candidate.difference import Difference, difference
from autoresearch_ray.candidate.rules import MAX_LINES
from autoresearch_ray.propose.llm.prompt.candidate_view import (
    ERROR_CHARACTERS,
    Run,
    TriedCandidate,
    describe_candidate,
    describe_usage,
    mean_score,
)
from autoresearch_ray.propose.llm.prompt.descriptions import Descriptions
from autoresearch_ray.propose.llm.prompt.view import (
    CandidateView,
    FlightView,
    Moment,
    SearchView,
    StandingView,
    StepView,
    Usage,
)
from autoresearch_ray.records.decisions import Decision, Standing, Step
from autoresearch_ray.records.history import History
from autoresearch_ray.records.proposers import RejectedIdea
from autoresearch_ray.records.trials import OWN_SEED, Proposal, Purpose, Result, Trial
from autoresearch_ray.records.unproven import Unproven
from autoresearch_ray.settings.score_words import words_for_models
from autoresearch_ray.settings.scoring import OURS, Scoring

JUDGING: tuple[Purpose, ...] = ("screen", "confirm")  # decisions on other trials are about a proof, not their candidate


class Past:
    """Candidates, steps and what is in flight. One thread; `source` gives the text of a sha."""

    def __init__(self, source: Callable[[str], str], scoring: Scoring = OURS) -> None:
        self._source = source
        self._words = words_for_models(scoring)
        self._trials: dict[str, Trial] = {}
        self._running: dict[str, Trial] = {}
        self._candidates: dict[str, TriedCandidate] = {}
        self._children: dict[str, list[TriedCandidate]] = {}  # keyed by the parent's sha
        self._usage: dict[str, Usage] = {}
        self._scores: dict[str, float] = {}  # val_bpb of what is or was frontier
        self._by_seed: dict[str, dict[int, float]] = {}  # val_bpb of a source on the numbered seeds that it ran on
        self._steps: dict[int, StepView] = {}
        self._rejected: dict[str, RejectedIdea] = {}
        self._tried: dict[str, Trial] = {}  # the first of each proposal, by its id
        self._unproven = Unproven()
        self._descriptions = Descriptions()  # descriptions of models' ideas, keyed by proposal
        self._best = self._frontier = ""
        self._taken: set[str] = set()  # candidates that were frontier once, or merged into one

    def note_trial(self, trial: Trial) -> None:
        """A trial was claimed."""
        if trial.trial_id in self._trials:
            return
        self._trials[trial.trial_id] = trial
        self._running[trial.trial_id] = trial
        proposal = trial.proposal
        self._tried.setdefault(proposal.proposal_id, trial)
        if trial.purpose == "screen" and proposal.source_sha not in self._candidates:
            candidate = TriedCandidate(trial, self._difference(proposal.parent_sha, proposal.source_sha))
            self._candidates[proposal.source_sha] = candidate
            self._children.setdefault(proposal.parent_sha, []).append(candidate)
            if proposal.kind == "code":
                self._descriptions.add(proposal.proposal_id, proposal.hypothesis)

    def note_result(self, result: Result) -> None:
        """A trial has its result."""
        trial = self._trials.get(result.trial_id)
        if trial is None:
            return
        self._running.pop(result.trial_id, None)
        sha = trial.proposal.source_sha
        if result.status == "ok":
            self._usage[sha] = describe_usage(result)
            self._by_seed.setdefault(sha, {}).setdefault(trial.seed_number, result.val_bpb)
            for child in self._children.get(sha, ()):
                child.view = None
        candidate = self._candidates.get(sha)
        if candidate is not None:
            error = result.error[-ERROR_CHARACTERS:]
            candidate.runs[result.trial_id] = Run(result.status, result.val_bpb, result.steps, error)
            candidate.view = None

    def note_decision(self, decision: Decision) -> None:
        """A result has its decision."""
        trial = self._trials.get(decision.trial_id)
        candidate = self._candidates.get(trial.proposal.source_sha) if trial else None
        if trial is not None and candidate is not None and trial.purpose in JUDGING:
            candidate.decision = decision
            candidate.view = None

    def note_step(self, step: Step) -> None:
        """Frontier or best changed; steps come in order."""
        if step.index in self._steps:
            return
        self._steps[step.index] = self._step_view(step)
        self._unproven = self._unproven.after(step)
        self._scores[step.source_sha] = step.val_bpb
        self._take(step.source_sha)
        for child in self._children.get(step.source_sha, ()):
            child.view = None
        if step.kind in ("start", "keep"):
            self._best = step.source_sha
        if step.kind != "keep":
            self._frontier = step.source_sha

    def note_rejection(self, idea: RejectedIdea) -> None:
        """An idea took no slot; they come in order."""
        self._rejected.setdefault(idea.name, idea)

    def count_tried(self) -> int:
        """The candidates that have run."""
        return sum(bool(candidate.runs) for candidate in self._candidates.values())

    def has_scores(self) -> bool:
        """Whether anything was measured yet."""
        return bool(self._usage)

    def ran_as(self, proposal_id: str) -> str:
        """`name_of`, or "" for a proposal that has not run."""
        return self.name_of(proposal_id) if proposal_id in self._tried else ""

    def name_of(self, proposal_id: str) -> str:
        """A proposal as a model knows it: by its trial, with what came of it."""
        trial = self._tried.get(proposal_id)
        if trial is None:
            return "an idea that waits for a slot"
        candidate = self._candidates.get(trial.proposal.source_sha)
        if candidate is None or not candidate.runs:
            return f"{trial.trial_id}, which is being tried"
        view = self._candidate_view(candidate)
        if not view.runs:
            return f"{trial.trial_id}, which ended as {view.status}"
        return f"{trial.trial_id}, which reached {self._words.name} {self._words.score(view.val_bpb)}"

    def find_alike(self, hypothesis: str, queued: Iterable[Proposal]) -> Proposal | None:
        """The idea that is or was tried in vain and is described almost like this one; of models' ideas alone."""
        waiting = {proposal.proposal_id: proposal for proposal in queued if proposal.kind == "code"}
        for proposal in waiting.values():
            self._descriptions.add(proposal.proposal_id, proposal.hypothesis)
        tried = {c.trial.proposal.proposal_id: c.trial.proposal for c in self._candidates.values() if self._in_vain(c)}
        name = self._descriptions.nearest(hypothesis, waiting.keys() | tried.keys())
        return None if name is None else waiting.get(name) or tried[name]

    def _in_vain(self, candidate: TriedCandidate) -> bool:
        """Whether a model's idea failed, lost, or is still running."""
        proposal = candidate.trial.proposal
        if proposal.kind != "code" or proposal.source_sha in self._taken:
            return False
        return candidate.decision is None or candidate.decision.verdict == "discard"

    def view(self, moment: Moment) -> SearchView:
        """The view for the next prompt."""
        self._take(moment.frontier.source_sha)  # its step may not have been told yet
        return SearchView(
            program=moment.program,
            experiment=moment.experiment,
            complexity_price=moment.complexity_price,
            line_limit=MAX_LINES,
            advance_sd=moment.advance_sd,
            frontier=self._standing(moment.frontier, moment.complexity_price),
            best=self._standing(moment.best, moment.complexity_price),
            noise_sd=moment.noise_sd,
            noise_degrees=moment.noise_degrees,
            candidates=tuple(self._candidate_view(c) for c in self._candidates.values() if c.runs),
            steps=tuple(replace(step, trial_id=self._first(step.trial_id)) for step in self._steps.values()),
            in_flight=self._in_flight(moment.queued),
            rejected=tuple(self._rejected.values()),
            ideas=moment.ideas,
            findings=moment.findings,
        )

    def _in_flight(self, queued: tuple[Proposal, ...]) -> tuple[FlightView, ...]:
        running = [trial.proposal for trial in self._running.values() if trial.purpose == "screen"]
        flights = {proposal.proposal_id: proposal for proposal in [*running, *queued]}
        return tuple(
            FlightView(p.proposer, p.hypothesis, self._difference(p.parent_sha, p.source_sha).words())
            for p in flights.values()
        )

    def _first(self, trial_id: str) -> str:
        """The trial that its candidate is told by."""
        trial = self._trials.get(trial_id)
        candidate = self._candidates.get(trial.proposal.source_sha) if trial else None
        return candidate.trial.trial_id if candidate else trial_id

    def _standing(self, standing: Standing, complexity_price: float) -> StandingView:
        """A view of frontier or best. A start without all its runs has the mean of those that it has."""
        view = StandingView(
            text=self._source(standing.source_sha),
            code_lines=standing.code_lines,
            val_bpb=standing.val_bpb,
            objective=standing.objective,
            usage=self._usage.get(standing.source_sha),
        )
        scores = list(self._by_seed.get(standing.source_sha, {}).values())
        if not math.isnan(standing.val_bpb) or not scores:
            return view
        mean = sum(scores) / len(scores)
        objective = mean + complexity_price * standing.code_lines
        return replace(view, val_bpb=mean, objective=objective, runs=len(scores))

    def _take(self, sha: str) -> None:
        taken = self._candidates.get(sha)
        for one in (sha, *(taken.trial.proposal.merged if taken else ())):
            self._taken.add(one)
            if one in self._candidates:
                self._candidates[one].view = None

    def _candidate_view(self, candidate: TriedCandidate) -> CandidateView:
        if candidate.view is None:
            taken = candidate.trial.proposal.source_sha in self._taken
            candidate.view = describe_candidate(candidate, self._difference_in_score(candidate), taken)
        return candidate.view

    def _difference_in_score(self, candidate: TriedCandidate) -> float:
        """The score minus the parent's on common seeds, else minus the parent's expected score; NaN if one has none."""
        proposal = candidate.trial.proposal
        ours, theirs = (self._by_seed.get(sha, {}) for sha in (proposal.source_sha, proposal.parent_sha))
        both = [ours[seed] - theirs[seed] for seed in ours if seed in theirs and seed != OWN_SEED]
        if both:
            return sum(both) / len(both)
        return mean_score(candidate) - self._scores.get(proposal.parent_sha, math.nan)

    def _step_view(self, step: Step) -> StepView:
        """A keep or a drop is said by the advances that it judged: its own record names a replicate."""
        hypothesis, change = step.hypothesis, ""
        if step.kind == "advance":
            change = self._difference(self._frontier, step.source_sha).words()
        elif step.kind in ("keep", "drop"):
            judged = (step,) if step.proves == () else self._unproven.judged_by(step)
            hypothesis = "; ".join(advance.hypothesis for advance in judged)
            before = self._best if step.kind == "keep" else step.source_sha
            change = self._difference(before, judged[-1].source_sha if judged else "").words()
        return StepView(
            step.index, step.kind, step.trial_id, hypothesis, change, step.val_bpb, step.gain, step.probability
        )

    def _difference(self, before_sha: str, after_sha: str) -> Difference:
        if not before_sha or not after_sha or before_sha == after_sha:
            return Difference((), (), ())
        return difference(self._source(before_sha), self._source(after_sha))


def view_of(history: History, moment: Moment) -> SearchView:
    """The view of a whole past at once."""
    past = Past(lambda sha: history.candidates[sha].text, moment.experiment.scoring)
    for step in history.steps:
        past.note_step(step)
    for row in history.rows:
        past.note_trial(row.trial)
        if row.result is not None:
            past.note_result(row.result)
        if row.decision is not None:
            past.note_decision(row.decision)
    for idea in history.rejected:
        past.note_rejection(idea)
    return past.view(moment)
