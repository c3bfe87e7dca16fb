"""Outcomes and states for tests of decisions, on plain values."""

from dataclasses import replace
from itertools import count
from typing import Any

from autoresearch_ray.decide.decide import decide
from autoresearch_ray.decide.panel import PROOFS
from autoresearch_ray.decide.state import Outcome, SearchState, Settled
from autoresearch_ray.records.decisions import Standing
from autoresearch_ray.records.trials import Purpose
from autoresearch_ray.settings.decision_rules import Rules

RULES = Rules(complexity_price=0.0)
BASE = Outcome("t1", "baseline", "p", "knobs", "tpe", "words", "base", "", "ok", 1.0, 1.0, 100)
BASELINE = {0: 0.99, 1: 1.0, PROOFS: 1.01}  # J by the number of the seed
numbers = count(1)


def told(state: SearchState, *outcomes: Outcome, rules: Rules = RULES) -> Settled:
    settled = Settled(state)
    for outcome in outcomes:
        settled = decide(settled.state, outcome, rules, 7.0)
    return settled


def run(purpose: Purpose, source: str, parent: str, val: float, holdout: float | None = None, **more: Any) -> Outcome:
    fields: dict[str, Any] = {"trial_id": f"t{next(numbers):05d}", "holdout_bpb": val if holdout is None else holdout}
    return replace(BASE, purpose=purpose, source_sha=source, parent_sha=parent, val_bpb=val, **(fields | more))


def baselines() -> list[Outcome]:
    return [run("baseline", "base", "", val, seed_number=seed) for seed, val in BASELINE.items()]


def screen(source: str, parent: str, val: float, seed: int = 0, **more: Any) -> Outcome:
    return run("screen", source, parent, val, seed_number=seed, **more)


def confirm(source: str, val: float, seed: int = 1, **more: Any) -> Outcome:
    return run("confirm", source, source, val, seed_number=seed, **more)


def kinds(state: SearchState, *outcomes: Outcome) -> list[str]:
    """What was decided of each."""
    found: list[str] = []
    for outcome in outcomes:
        settled = told(state, outcome)
        state = settled.state
        found.append(settled.decisions[0].verdict)
    return found


def frontier_of(state: SearchState) -> Standing:
    assert state.frontier is not None
    return state.frontier


def best_of(state: SearchState) -> Standing:
    assert state.best is not None
    return state.best


def pairs(values: list[float], best: list[float], first: int = 10, **more: Any) -> list[Outcome]:
    """Runs of `a` and of `base` on seeds of a's own proof, from the `first` on."""
    more = {"checks": ("causal", "bits")} | more
    found: list[Outcome] = []
    for number, (ours, theirs) in enumerate(zip(values, best, strict=True), start=first):
        seed = PROOFS + 64 * A_NUMBER + number
        found.append(run("prove", "a", "base", ours, seed_number=seed, **more))
        found.append(run("prove", "base", "a", theirs, seed_number=seed))
    return found


A_NUMBER = 7  # of the trial that `a` came with
