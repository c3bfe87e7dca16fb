"""What a model is told of one candidate that was tried, and of what its trials used.

Of a result only what a model may know is kept: never the held-out score.
"""

import math
from dataclasses import dataclass, field

from autoresearch_ray.candidate.difference import Difference
from autoresearch_ray.propose.llm.prompt.view import CandidateView, Usage
from autoresearch_ray.records.decisions import Decision
from autoresearch_ray.records.trials import Result, Status, Trial

ERROR_CHARACTERS = 2_000  # the end of a failure's error; the rest is not kept


@dataclass(frozen=True, slots=True)
class Run:
    """One result of a candidate."""

    status: Status
    val_bpb: float
    steps: int
    error: str


@dataclass(slots=True)
class TriedCandidate:
    """One source that was proposed and tried, with its runs so far."""

    trial: Trial  # the first trial
    difference: Difference
    runs: dict[str, Run] = field(default_factory=dict)  # keyed by trial id
    decision: Decision | None = None  # the latest one
    view: CandidateView | None = None  # None: outdated, has to be made again


def describe_candidate(candidate: TriedCandidate, difference: float, taken: bool) -> CandidateView:
    """The view of a candidate. `difference` is its score's to the parent's; `taken`: it was or is in the frontier."""
    proposal, what, decision = candidate.trial.proposal, candidate.difference, candidate.decision
    runs = list(candidate.runs.values())
    scores = [run.val_bpb for run in runs if run.status == "ok"]
    failed = next((run for run in runs if run.status != "ok"), None)
    return CandidateView(
        trial_id=candidate.trial.trial_id,
        kind=proposal.kind,
        proposer=proposal.proposer,
        hypothesis=proposal.hypothesis,
        change=what.words(),
        lines=what.lines,
        constants=what.constants,
        places=tuple(name for name, _, _ in what.places),
        status=failed.status if failed and not scores else "ok",
        runs=len(scores),
        val_bpb=mean_score(candidate),
        difference=difference,
        steps=max((run.steps for run in runs), default=0),
        expected=proposal.expected_effect,
        verdict=decision.verdict if decision else None,
        reason=_reason(decision, failed),
        taken=taken,
        error=failed.error if failed else "",
        direction=proposal.direction,
    )


def describe_usage(result: Result) -> Usage:
    """What a trial used of its budget, and how its training loss went."""
    seconds = result.training_seconds
    curve = tuple((point.seconds / seconds, point.train_bpb) for point in result.curve) if seconds > 0 else ()
    told = tuple((part, bpb) for part, bpb in curve if not math.isnan(bpb))
    return Usage(
        result.steps,
        result.tokens_per_second,
        result.parameters,
        result.peak_memory_mb,
        told,
        result.profile,
        _step_seconds(result),
        result.learned,
        seconds or result.total_seconds,
    )


def mean_score(candidate: TriedCandidate) -> float:
    """The mean over the runs with a score; NaN without any."""
    scores = [run.val_bpb for run in candidate.runs.values() if run.status == "ok"]
    return sum(scores) / len(scores) if scores else math.nan


def _step_seconds(result: Result) -> float:
    """Seconds for one training step, the time before the first step left out; 0 without steps."""
    first, last = (result.curve[0], result.curve[-1]) if result.curve else (None, None)
    if first is not None and last is not None and last.step > first.step:
        return (last.seconds - first.seconds) / (last.step - first.step)
    return result.training_seconds / result.steps if result.steps else 0.0


def _reason(decision: Decision | None, failed: Run | None) -> str:
    """The decision's reason; "" for a failure, whose error is shown instead.

    Earlier versions wrote the held-out result into the reason, and a bar that no longer exists. Both are left out.
    """
    if decision is None or (failed is not None and decision.reason.startswith(failed.status)):
        return ""
    parts = decision.reason.split(", ")
    return ", ".join(part for part in parts if "held-out" not in part and "an advance needs" not in part)
