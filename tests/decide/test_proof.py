"""When a frontier is proven, on plain values."""

import math
from dataclasses import replace

import pytest
from outcomes import RULES, best_of, frontier_of, kinds, pairs, run, told

from autoresearch_ray.decide.proof import compare
from autoresearch_ray.decide.state import SearchState

BETTER = ([0.93, 0.935], [1.0, 1.006])


def test_a_proven_frontier_becomes_the_best(advanced: SearchState) -> None:
    settled = told(advanced, *pairs(*BETTER))
    assert settled.decisions[0].verdict == "keep"
    assert best_of(settled.state).source_sha == "a" and not settled.state.unproven
    assert settled.steps[0].probability > 0.997 and settled.steps[0].gain_low > 0
    assert best_of(settled.state).objective == 0.93, "the start less the gain, 0.9295, would be better than any run"
    slower = told(advanced, *pairs([0.925, 0.945], [1.0, 1.006]))
    assert best_of(slower.state).objective == pytest.approx(1.0 - 0.068)


def test_only_pairs_on_the_proofs_seeds_count(advanced: SearchState) -> None:
    settled = told(advanced, run("prove", "a", "base", 0.95, seed_number=3 << 20))
    assert settled.decisions[0].verdict == "measure" and settled.decisions[0].reason == "pair 0 of the proof"


def test_a_keep_lists_what_every_run_of_its_proof_passed_at_full_strength(advanced: SearchState) -> None:
    first, *others = pairs(*BETTER)
    settled = told(advanced, replace(first, checks=("clock", "causal", "bits")), *others)
    assert settled.decisions[0].checks == settled.steps[0].checks == ("causal", "bits")
    assert all(d.checks == () for d in told(advanced, first).decisions)


def test_a_proof_without_a_run_at_full_strength_keeps_nothing(advanced: SearchState) -> None:
    settled = told(advanced, *pairs(*BETTER, checks=()))
    assert settled.decisions[0].verdict == "measure"
    assert "not probed at full strength" in settled.decisions[0].reason
    assert told(settled.state, pairs([0.93], [1.0], first=20)[0]).decisions[0].verdict == "keep"


def test_a_run_at_full_strength_of_the_best_does_not_count_for_the_frontier(advanced: SearchState) -> None:
    runs = [replace(o, checks=("causal",) * (o.source_sha == "base")) for o in pairs(*BETTER)]
    assert told(advanced, *runs).decisions[0].verdict == "measure"


def test_one_invalid_run_ends_a_proof_and_one_crash_does_not(advanced: SearchState) -> None:
    failed = run("prove", "a", "base", math.nan, status="invalid", error="depends on tokens after its position")
    settled = told(advanced, *pairs([0.95], [1.0]), failed)
    assert settled.decisions[0].verdict == "drop" and frontier_of(settled.state).source_sha == "base"
    assert "did not hold in its proof: invalid: depends on tokens" in settled.decisions[0].reason
    assert [step.kind for step in settled.steps] == ["drop"] and settled.steps[0].source_sha == "base"
    assert settled.state.ledger.get("a") is None, "what cheats is not compared with any more"
    after_a_crash = [*pairs([0.93], [1.0]), replace(failed, status="crash"), *pairs(*BETTER, first=20)]
    assert "keep" in kinds(advanced, *after_a_crash)


def test_a_best_that_fails_again_and_again_ends_the_proof(advanced: SearchState) -> None:
    failed = run("prove", "base", "a", math.nan, status="invalid")
    settled = told(advanced, *[failed] * 7)
    assert settled.decisions[0].verdict == "measure"
    settled = told(settled.state, failed)
    assert (settled.decisions[0].verdict, "the best failed 8 times" in settled.decisions[0].reason) == ("drop", True)


def test_the_held_out_split_must_not_contradict(advanced: SearchState) -> None:
    settled = told(advanced, *pairs(*BETTER, holdout_bpb=1.1))
    assert settled.decisions[0].verdict == "measure"


def test_a_frontier_that_is_worse_is_dropped_and_not_proven_again(advanced: SearchState) -> None:
    settled = told(advanced, *pairs([1.02, 1.03, 1.04], [1.0, 0.995, 1.0]))
    assert settled.decisions[0].verdict == "drop" or settled.state.failed == ("a",)
    assert frontier_of(settled.state).source_sha == "base" and settled.state.proof is None
    late = told(settled.state, run("prove", "a", "base", 0.1, seed_number=1 << 21))
    assert late.decisions[0].verdict == "measure" and late.state.proof is None, "that proof is over"


def test_a_proof_ends_after_its_last_pair(advanced: SearchState) -> None:
    rules = replace(RULES, max_pairs=4, keep_probability=0.9999, drop_probability=0.0)
    settled = told(advanced, *pairs([0.96, 0.97, 0.99], [1.0] * 3), rules=rules)
    assert settled.decisions[0].verdict == "measure", settled.decisions[0].reason
    settled = told(settled.state, *pairs([0.98], [1.0], first=30), rules=rules)
    assert (settled.decisions[0].verdict, "not enough" in settled.decisions[0].reason) == ("drop", True)


def test_pairs_prove_what_a_drifting_machine_hides(advanced: SearchState) -> None:
    drift = [0.0, 0.06, 0.12, 0.02]
    best = [1.0 + d + e for d, e in zip(drift, (0.0, 0.004, -0.003, 0.002), strict=True)]
    settled = told(advanced, *pairs([0.94 + d for d in drift], best))
    assert best_of(settled.state).source_sha == "a"


def test_pairs_are_matched_by_their_seeds_whatever_came_first(advanced: SearchState) -> None:
    both = pairs([0.93, 0.98, 0.96], [1.0, 1.051, 1.03])
    target, best = both[::2], both[1::2]
    settled = told(advanced, *target, *reversed(best[1:]))
    assert settled.decisions[0].verdict == "keep" and settled.steps[0].gain == pytest.approx(0.0705)


def test_the_variance_of_few_pairs_is_shrunk_to_the_expected_one() -> None:
    lucky = compare([0.02, 0.0201], [0.02, 0.02], 0.01**2)
    assert lucky.probability < 0.995, "two pairs that agree by chance prove nothing"
    assert lucky.low < lucky.gain < lucky.high and lucky.gain == pytest.approx(0.02005)
    assert compare([0.02, 0.0201], [0.02, 0.02], 0.001**2).probability > 0.999
