"""Shares among proposers follow what they earned; nobody starves; nothing waits for who has nothing queued."""

import random

from autoresearch_ray.decide.portfolio import FLOOR, Earned, choose, shares
from autoresearch_ray.records import Proposal


def proposal(name: str, proposer: str) -> Proposal:
    return Proposal(name, "knobs", proposer, "sha", "parent", 1, "")


def slots_given(rates: dict[str, float], weights: dict[str, float], slots: int) -> dict[str, int]:
    """Who got how many of the slots, when each always has something queued and advances at its own rate."""
    chance, earned = random.Random(0), {name: Earned() for name in weights}
    queued = [proposal(f"p{index}", name) for index, name in enumerate(weights)]
    for _ in range(slots):
        name = choose(queued, weights, earned).proposer
        won = chance.random() < rates[name]
        earned[name] = Earned(earned[name].trials + 1, earned[name].advances + won)
    return {name: earned[name].trials for name in weights}


def test_equal_proposers_take_turns() -> None:
    assert slots_given({"a": 0, "b": 0}, {"a": 1, "b": 1}, 40) == {"a": 20, "b": 20}


def test_weights_are_kept_while_nothing_is_earned() -> None:
    given = slots_given({"a": 0, "b": 0}, {"a": 3, "b": 1}, 400)
    assert 0.6 < given["a"] / 400 < 0.8


def test_who_earns_more_gets_more_and_who_earns_nothing_keeps_its_floor() -> None:
    given = slots_given({"good": 0.3, "bad": 0.0}, {"good": 1, "bad": 1}, 1000)
    assert given["good"] > 0.8 * 1000
    assert given["bad"] >= 0.9 * FLOOR / 2 * 1000


def test_shares_sum_to_one() -> None:
    parts = shares({"a": 1, "b": 2, "c": 0.5}, {"a": Earned(100, 0), "b": Earned(3, 3)})
    assert abs(sum(parts.values()) - 1) < 1e-12
    assert min(parts.values()) >= FLOOR / 3


def test_the_oldest_of_one_proposer_goes_first_and_a_merge_before_all() -> None:
    queued = [proposal("p1", "a"), proposal("p2", "a"), proposal("p3", "b")]
    weights, earned = {"a": 1.0, "b": 1.0}, {"a": Earned(0, 0), "b": Earned(5, 0)}
    assert choose(queued, weights, earned).proposal_id == "p1"
    assert choose(queued[2:], weights, earned).proposal_id == "p3"
    assert choose([*queued, proposal("m1", "merge")], weights, earned).proposal_id == "m1"
