"""Outcomes and states for tests of decisions, on plain values."""

from dataclasses import replace
from typing import Any

from autoresearch_ray.decide.decide import decide
from autoresearch_ray.decide.state import Outcome, SearchState, Settled
from autoresearch_ray.records import Purpose, Standing
from autoresearch_ray.settings import Rules

RULES = Rules(complexity_price=0.0)
BASE = Outcome("t1", "baseline", "p", "tpe", "words", "base", "", "ok", 1.0, 1.0, 100)


def told(state: SearchState, *outcomes: Outcome, rules: Rules = RULES) -> Settled:
    settled = Settled(state)
    for outcome in outcomes:
        settled = decide(settled.state, outcome, rules, 7.0)
    return settled


def run(purpose: Purpose, source: str, parent: str, val: float, holdout: float | None = None, **more: Any) -> Outcome:
    held = val if holdout is None else holdout
    return replace(BASE, purpose=purpose, source_sha=source, parent_sha=parent, val_bpb=val, holdout_bpb=held, **more)


def frontier_of(state: SearchState) -> Standing:
    assert state.frontier is not None
    return state.frontier


def best_of(state: SearchState) -> Standing:
    assert state.best is not None
    return state.best


def pairs(values: list[float], best: list[float], **more: Any) -> list[Outcome]:
    more = {"checks": ("causal", "bits")} | more
    both = zip(values, best, strict=True)
    return [o for v, b in both for o in (run("prove", "a", "base", v, **more), run("prove", "base", "a", b))]
