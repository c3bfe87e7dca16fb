"""Small records for the board's tests."""

from autoresearch_ray.records.decisions import Decision, Standing, Step
from autoresearch_ray.records.trials import Candidate, Proposal, Result, Trial


def proposal(name: str, text: str = "x = 1\n") -> Proposal:
    return Proposal(name, "knobs", "random", Candidate.of(text).sha, Candidate.of("parent").sha, 1, "a hypothesis")


def trial(name: str, of: Proposal) -> Trial:
    return Trial(name, of, "screen", seed=1, claimed_at=10.0)


def result(name: str, val_bpb: float = 1.5) -> Result:
    return Result(name, "ok", val_bpb=val_bpb)


def decision(name: str) -> Decision:
    return Decision(name, "discard", "no gain", frontier_version=1, decided_at=20.0)


def standing(text: str, version: int = 1) -> Standing:
    return Standing(Candidate.of(text).sha, 1.6, 1.5, 100, version, since=20.0)


def step(index: int, text: str = "x = 1\n") -> Step:
    return Step(index, "advance", Candidate.of(text).sha, "t00001", "p1", "a hypothesis", "random", 1.5, "a gain", 20.0)
