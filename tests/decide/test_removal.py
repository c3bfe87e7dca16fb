"""Code that can go without a loss that matters, on plain values."""

import random
from dataclasses import replace
from typing import Any

from outcomes import RULES, best_of, confirm, frontier_of, pairs, run, screen, told
from test_plan import flight

from autoresearch_ray.decide.estimate import Estimate
from autoresearch_ray.decide.panel import PROOFS
from autoresearch_ray.decide.plan import Replicate, Screen, plan
from autoresearch_ray.decide.state import Outcome, SearchState
from autoresearch_ray.records.trials import Trial
from autoresearch_ray.settings.decision_rules import Rules

REMOVALS = replace(RULES, removal_margin=0.02, plateau_trials=100_000)


def planned(
    state: SearchState, *running: Trial, ready: bool = False, left: float = 100, rules: Rules = REMOVALS
) -> object:
    estimate = Estimate(state.ledger)
    more = {"baseline_sha": "base", "trials_left": left, "slots": 2, "ready": ready, "idle": True}
    return plan(state, estimate, rules, running, **more)  # type: ignore[arg-type]


def with_removal(state: SearchState, name: str = "short", parent: str = "base", lines: int = 86) -> SearchState:
    found = screen(name, parent, 0.992, code_lines=lines, trial_id=f"t{9000 + lines}")
    return told(state, found, rules=REMOVALS).state


def proof_of(cost: float, count: int, *, anchor: str = "base", name: str = "short", lines: int = 86) -> list[Outcome]:
    """Pairs of a removal that costs so much, with noise of 0.004."""
    noise, found = random.Random(3), list[Outcome]()
    for number in range(count):
        seed, level = PROOFS + 64 * (9000 + lines) + number, 1.0 + noise.gauss(0, 0.01)
        value = level + cost + noise.gauss(0, 0.004)
        more: dict[str, Any] = {"seed_number": seed, "checks": ("causal",)}
        found.append(run("remove", name, anchor, value, code_lines=lines, **more))
        found.append(run("remove", anchor, name, level, **more))
    return found


def test_a_removal_is_run_in_pairs_with_the_best_where_nothing_else_is_ready(started: SearchState) -> None:
    state = with_removal(started)
    first = planned(state)
    assert first == Replicate("remove", "short", "base", PROOFS), "the baseline has been run there"
    second = planned(state, flight("remove", "short", "base", PROOFS))
    assert isinstance(second, Replicate) and (second.purpose, second.source_sha) == ("remove", "short")
    assert planned(state, ready=True) == Screen(), "a proposal goes first"
    assert planned(state, left=10) == Replicate("idle", "base", "base"), "it could not be ended"
    assert planned(started) == Replicate("idle", "base", "base")


def test_a_removal_is_proven_beside_proposals_where_the_frontier_has_not_moved_for_long(started: SearchState) -> None:
    state, patient = with_removal(started), replace(REMOVALS, plateau_trials=30)
    first = planned(state, ready=True, rules=patient)
    assert first == Replicate("remove", "short", "base", PROOFS)
    running = flight("remove", "short", "base", PROOFS)
    assert planned(state, running, ready=True, rules=patient) == Screen(), "the other slots go on"
    assert planned(started, ready=True, rules=patient) == Screen(), "there is none"


def test_code_that_costs_nothing_goes_and_the_frontier_goes_with_it(started: SearchState) -> None:
    state = with_removal(started)
    nine = told(state, *proof_of(0.0, 9), rules=REMOVALS)
    assert nine.decisions[0].verdict == "measure" and nine.decisions[0].reason == "pair 9 of the proof of a removal"
    outcomes, settled = iter(proof_of(0.0, 20)), told(state, rules=REMOVALS)
    while best_of(settled.state).source_sha == "base":
        settled = told(settled.state, next(outcomes), rules=REMOVALS)
    decision = settled.decisions[0]
    assert decision.verdict == "keep" and "14 lines fewer, P(costs less than 0.02 bpb)" in decision.reason
    assert best_of(settled.state).source_sha == frontier_of(settled.state).source_sha == "short"
    assert [step.kind for step in settled.steps] == ["advance", "keep"] and settled.steps[1].removes
    assert settled.state.proof is None and settled.state.anchor is not None
    assert settled.state.anchor.source_sha == "base"


def test_code_that_is_worth_something_stays(started: SearchState) -> None:
    settled = told(with_removal(started), *proof_of(0.03, 20), rules=REMOVALS)
    assert best_of(settled.state).source_sha == "base" and settled.state.needed == ("short",)
    assert planned(settled.state) == Replicate("idle", "base", "base"), "it is not tried again"


def test_removals_in_a_row_are_measured_from_one_best(started: SearchState) -> None:
    once = told(with_removal(started), *proof_of(0.0, 20), rules=REMOVALS).state
    twice = with_removal(told(once, confirm("short", 1.0), rules=REMOVALS).state, "shorter", "short", 80)
    what = planned(twice)
    assert isinstance(what, Replicate) and what.other_sha == "base", "not the best, which a removal made"
    settled = told(twice, *proof_of(0.004, 20, name="shorter", lines=80), rules=REMOVALS).state
    assert best_of(settled).source_sha == "shorter" and settled.anchor == once.anchor
    lost = told(twice, *proof_of(0.019, 20, name="shorter", lines=80), rules=REMOVALS).state
    assert best_of(lost).source_sha == "short", "both together would cost more than one margin"


def test_a_proof_of_a_gain_goes_before_that_of_a_removal(advanced: SearchState) -> None:
    state = with_removal(advanced)
    state = told(state, *proof_of(0.0, 3), rules=REMOVALS).state
    assert state.proof is not None and state.proof.removes
    won = told(state, *pairs([0.93, 0.935], [1.0, 1.006]), rules=REMOVALS).state
    assert best_of(won).source_sha == "a" and won.anchor is None
    late = told(won, *proof_of(0.0, 20)[6:], rules=REMOVALS).state
    assert best_of(late).source_sha == "a" and late.proof is None, "it does not stand on the new best"


def test_a_removal_at_the_margin_is_kept_once_in_a_hundred_times_at_most(started: SearchState) -> None:
    kept, noise = 0, random.Random(0)
    for _ in range(200):
        state = with_removal(started)
        for number in range(20):
            level = 1.0 + noise.gauss(0, 0.01)
            more: dict[str, Any] = {"seed_number": PROOFS + 64 * 9086 + number, "checks": ("causal",)}
            ours = run("remove", "short", "base", level + 0.02 + noise.gauss(0, 0.006), code_lines=86, **more)
            state = told(state, ours, run("remove", "base", "short", level, **more), rules=REMOVALS).state
            if best_of(state).source_sha == "short" or state.needed:
                break
        kept += best_of(state).source_sha == "short"
    assert kept <= 4, "1 % of 200, and two sd"
