"""Shares among proposers and directions follow what they earned for what they cost; none starves."""

import random
from dataclasses import replace

import pytest

from autoresearch_ray.decide.portfolio import FLOOR, Portfolio, choose, expected_improvement, with_floor
from autoresearch_ray.records.decisions import Decision
from autoresearch_ray.records.trials import Proposal, Result, Trial

SECONDS = 300.0


def proposal(name: str, proposer: str, direction: str = "", dollars: float = 0.0) -> Proposal:
    return Proposal(name, "knobs", proposer, f"sha-{name}", "parent", 1, "", direction=direction, dollars=dollars)


def screen(portfolio: Portfolio, number: int, made: Proposal, gain: float, sd: float = 0.001) -> None:
    """One trial from its claim to its decision."""
    name = f"t{number:05d}"
    portfolio.note_trial(Trial(name, made, "screen", seed=0, claimed_at=0.0))
    portfolio.note_result(Result(name, "ok", val_bpb=1.0, total_seconds=SECONDS))
    portfolio.note_decision(Decision(name, "discard", "", 1, 0.0, expected_gain=gain, expected_sd=sd))


def slots_given(
    rates: dict[str, float], weights: dict[str, float], slots: int, dollars: dict[str, float] | None = None
) -> dict[str, int]:
    """Who got how many of the slots, when each always has something queued and gains 0.01 at its own rate."""
    chance, portfolio, given = random.Random(0), Portfolio(), dict.fromkeys(weights, 0)
    for number in range(1, slots + 1):
        queued = [proposal(f"{name}-{number}", name, dollars=(dollars or {}).get(name, 0.0)) for name in weights]
        chosen = choose(queued, weights, portfolio)
        given[chosen.proposer] += 1
        screen(portfolio, number, chosen, 0.01 if chance.random() < rates[chosen.proposer] else -0.01)
    return given


def test_equal_proposers_take_turns() -> None:
    assert slots_given({"a": 0, "b": 0}, {"a": 1, "b": 1}, 40) == {"a": 20, "b": 20}


def test_weights_are_kept_while_nothing_is_earned() -> None:
    given = slots_given({"a": 0, "b": 0}, {"a": 3, "b": 1}, 400)
    assert 0.7 < given["a"] / 400 < 0.8


def test_who_earns_more_gets_more_and_who_earns_nothing_keeps_its_floor() -> None:
    given = slots_given({"good": 0.3, "bad": 0.0}, {"good": 1, "bad": 1}, 1000)
    assert given["good"] > 0.8 * 1000
    assert given["bad"] >= 0.9 * FLOOR / 2 * 1000


def test_a_model_that_only_costs_is_at_its_floor_within_thirty_trials() -> None:
    given = [slots_given({"tuner": 0.2, "model": 0.0}, {"tuner": 1, "model": 1}, slots) for slots in (30, 130)]
    assert given[1]["model"] - given[0]["model"] <= 1.2 * FLOOR / 2 * 100


def test_who_earns_the_same_for_more_dollars_gets_less() -> None:
    rates, weights = {"cheap": 0.3, "dear": 0.3}, {"cheap": 1.0, "dear": 1.0}
    even, uneven = (slots_given(rates, weights, 400, dollars) for dollars in ({}, {"dear": 0.1}))
    assert uneven["dear"] < 0.5 * even["dear"]


def test_what_was_earned_long_ago_counts_less() -> None:
    portfolio = Portfolio()
    for number in range(1, 41):
        early, late = (0.01, -0.01) if number <= 20 else (-0.01, 0.01)
        screen(portfolio, 2 * number - 1, proposal(f"a{number}", "a"), early)
        screen(portfolio, 2 * number, proposal(f"b{number}", "b"), late)
    share = portfolio.shares({"a": 1, "b": 1})
    assert share["b"] > 1.2 * share["a"]


def test_shares_do_not_depend_on_how_results_and_claims_mixed() -> None:
    """A run that is resumed reads all trials first, then all results, then all decisions."""
    trials = [Trial(f"t{n:05d}", proposal(str(n), "ab"[n % 2], f"d{n % 3}"), "screen", 0, 0.0) for n in range(1, 60)]
    results = [Result(trial.trial_id, "ok", total_seconds=SECONDS) for trial in trials]
    decisions = [
        Decision(trial.trial_id, "discard", "", 1, 0.0, expected_gain=0.01 * (n % 5), expected_sd=0.01)
        for n, trial in enumerate(trials)
    ]
    lived, resumed = Portfolio(), Portfolio()
    for trial, result, decision in zip(trials, results, decisions, strict=True):
        lived.note_trial(trial)
        lived.note_result(result)
        lived.note_result(result)
        lived.note_decision(decision)
        lived.note_trial(trial)
    for again in (trials, trials):
        for trial in again:
            resumed.note_trial(trial)
    for result in results:
        resumed.note_result(result)
    for decision in decisions:
        resumed.note_decision(decision)
    for weights in ({"a": 1.0, "b": 1.0}, {"d0": 1.0, "d1": 1.0, "d2": 1.0}):
        assert lived.shares(weights) == pytest.approx(resumed.shares(weights), rel=1e-9)


def test_another_run_corrects_what_a_candidate_earned() -> None:
    portfolio, made = Portfolio(), proposal("p1", "a")
    screen(portfolio, 1, made, 0.05)
    screen(portfolio, 2, proposal("p2", "b"), 0.01)
    before = portfolio.shares({"a": 1, "b": 1})["a"]
    portfolio.note_trial(Trial("t00003", replace(made, proposer="search"), "confirm", 0, 0.0))
    portfolio.note_decision(Decision("t00003", "discard", "", 1, 0.0, expected_gain=-0.05, expected_sd=0.001))
    assert portfolio.shares({"a": 1, "b": 1})["a"] < before


def test_shares_sum_to_one_and_none_is_below_the_floor() -> None:
    parts = with_floor({"a": 100.0, "b": 1.0, "c": 0.0}, 0.1)
    assert sum(parts.values()) == pytest.approx(1) and min(parts.values()) == 0.1
    assert with_floor({"a": 0.0, "b": 0.0}, 0.1) == {"a": 0.5, "b": 0.5}


def test_the_oldest_of_one_proposer_goes_first_and_a_merge_before_all() -> None:
    queued = [proposal("p1", "a"), proposal("p2", "a"), proposal("p3", "b")]
    weights, portfolio = {"a": 1.0, "b": 1.0}, Portfolio()
    assert choose(queued, weights, portfolio).proposal_id == "p1"
    portfolio.note_trial(Trial("t00001", queued[0], "screen", 0, 0.0))
    assert choose(queued[1:], weights, portfolio).proposal_id == "p3"
    assert choose([*queued, proposal("m1", "merge")], weights, portfolio).proposal_id == "m1"


def test_expected_improvement_is_that_of_a_normal() -> None:
    assert expected_improvement(0.0, 1.0) == pytest.approx(0.39894, abs=1e-5)
    assert expected_improvement(2.0, 0.0) == 2.0 and expected_improvement(-2.0, 0.0) == 0.0
    assert expected_improvement(-9.0, 1.0) < 1e-15
