"""The whole past of a run as one record, and what a run knows of an earlier one that it starts from."""

from dataclasses import dataclass
from typing import Any

from autoresearch_ray.records.decisions import Decision, Step
from autoresearch_ray.records.guidance import Directives, Findings
from autoresearch_ray.records.proposers import Charge, RejectedIdea
from autoresearch_ray.records.trials import Candidate, Result, Trial


@dataclass(frozen=True, slots=True)
class KnobScore:
    """What an earlier run measured of some knob values."""

    values: dict[str, Any]  # by name
    objective: float  # J


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """What a run knows of the one that it starts from."""

    tag: str
    conditions: dict[str, str]  # that scores depend on, by name
    val_bpb: float  # of its best, as it was proven
    wins: int
    objective: float  # J of its best, the mean of its runs: where its scores are to be seen from
    lessons: str  # for a prompt, in lines that are quoted: hypotheses and errors are foreign text
    scores: tuple[KnobScore, ...] = ()  # oldest first
    differs: str = ""  # where its conditions are others, in words; then it has no scores here


@dataclass(frozen=True, slots=True)
class TrialRow:
    """A trial with what has become of it so far."""

    trial: Trial
    result: Result | None
    decision: Decision | None


@dataclass(frozen=True, slots=True)
class History:
    """All that a run's store says of its past: what tables, reports and plots are made of."""

    settings: dict[str, Any]  # as in settings.json
    rows: tuple[TrialRow, ...]  # in the order of trial ids
    steps: tuple[Step, ...]  # in order
    commits: dict[int, str]  # step index -> commit hash, as far as they are made
    candidates: dict[str, Candidate]  # by sha, each that a row or a step names
    rejected: tuple[RejectedIdea, ...] = ()  # in the order of their rejection
    launches: tuple[float, ...] = ()  # when a driver began, in order; none in runs of version 0.1
    charges: tuple[Charge, ...] = ()  # of all calls of models
    call_ids: tuple[str, ...] = ()  # of the charges, in their order
    findings: Findings | None = None  # what all results say together, as of the last look
    directives: tuple[Directives, ...] = ()  # every version, in order
    earlier: EarlierRun | None = None  # that it started from, without its scores
