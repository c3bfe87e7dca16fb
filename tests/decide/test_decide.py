"""The two-level decision, on plain values."""

import json
import math
from dataclasses import replace

import pytest
from outcomes import best_of, frontier_of, pairs, run, told

from autoresearch_ray.codec import from_json, to_json
from autoresearch_ray.decide.noise import Noise, compare
from autoresearch_ray.decide.state import SearchState
from autoresearch_ray.settings import Rules


def test_nothing_is_decided_before_three_baselines() -> None:
    early = run("screen", "a", "base", 0.5)
    settled = told(SearchState(), run("baseline", "base", "", 0.99), early, run("baseline", "base", "", 1.0))
    assert settled.state.best is None and settled.state.waiting == (early,)
    settled = told(settled.state, run("baseline", "base", "", 1.01))
    assert [d.verdict for d in settled.decisions] == ["measure", "promising"]
    assert settled.state.noise.sd == pytest.approx(0.01)
    assert [s.kind for s in settled.steps] == ["start"]


@pytest.mark.parametrize(("val", "verdict"), [(0.9951, "discard"), (0.9949, "promising"), (1.2, "discard")])
def test_a_result_must_beat_the_estimate_by_half_an_sd(started: SearchState, val: float, verdict: str) -> None:
    assert told(started, run("screen", "a", "base", val)).decisions[0].verdict == verdict


def test_code_lines_have_a_price() -> None:
    rules = Rules()
    outcomes = [run("baseline", "base", "", v) for v in (0.99, 1.0, 1.01)]
    state = told(SearchState(), *outcomes, rules=rules).state
    longer = run("screen", "a", "base", 0.990, code_lines=300)
    assert told(state, longer, rules=rules).decisions[0].verdict == "discard"
    assert told(state, replace(longer, code_lines=100), rules=rules).decisions[0].verdict == "promising"


def test_luck_counts_half_in_the_frontiers_estimate(started: SearchState) -> None:
    settled = told(started, run("screen", "a", "base", 0.96), run("confirm", "a", "a", 0.99))
    assert settled.decisions[0].verdict == "advance"
    assert frontier_of(settled.state).objective == pytest.approx((0.99 + 0.98) / 2)
    assert best_of(settled.state).source_sha == "base"


def test_an_unconfirmed_contender_does_not_advance(started: SearchState) -> None:
    settled = told(started, run("screen", "a", "base", 0.96), run("confirm", "a", "a", 1.001))
    assert settled.decisions[0].verdict == "discard" and frontier_of(settled.state).source_sha == "base"
    assert not settled.state.contenders


@pytest.mark.parametrize("status", ["crash", "timeout", "oom", "invalid", "lost", "stopped"])
def test_a_failure_is_never_accepted(started: SearchState, status: str) -> None:
    failed = run("screen", "a", "base", math.nan, status=status)
    assert told(started, failed).decisions[0].verdict == "discard"
    state = told(started, run("screen", "a", "base", 0.5)).state
    failed = run("confirm", "a", "a", math.nan, status=status)
    assert told(state, failed).decisions[0].verdict == "discard"


def test_a_nan_score_is_never_accepted(started: SearchState) -> None:
    assert told(started, run("screen", "a", "base", math.nan)).decisions[0].verdict == "discard"


def test_a_proven_frontier_becomes_the_best(advanced: SearchState) -> None:
    settled = told(advanced, *pairs([0.95, 0.955], [1.0, 1.005]))
    assert settled.decisions[0].verdict == "keep"
    assert best_of(settled.state).source_sha == "a" and not settled.state.unproven
    assert settled.steps[0].probability > 0.99 and settled.steps[0].gain_low > 0
    assert best_of(settled.state).objective == pytest.approx(0.9525)


def test_a_keep_lists_what_every_run_of_its_proof_passed_at_full_strength(advanced: SearchState) -> None:
    first, *others = pairs([0.95, 0.955], [1.0, 1.005])
    settled = told(advanced, replace(first, checks=("clock", "causal", "bits")), *others)
    assert settled.decisions[0].checks == settled.steps[0].checks == ("causal", "bits")
    assert all(d.checks == () for d in told(advanced, first).decisions)


def test_a_proof_without_a_run_at_full_strength_keeps_nothing(advanced: SearchState) -> None:
    settled = told(advanced, *pairs([0.95, 0.955], [1.0, 1.005], checks=()))
    assert settled.decisions[0].verdict == "measure"
    assert settled.decisions[0].reason.endswith("not probed at full strength")
    assert told(settled.state, pairs([0.95], [1.0])[0]).decisions[0].verdict == "keep"


def test_a_run_at_full_strength_of_the_best_does_not_count_for_the_frontier(advanced: SearchState) -> None:
    runs = [replace(o, checks=("causal",) * (o.source_sha == "base")) for o in pairs([0.95, 0.955], [1.0, 1.005])]
    assert told(advanced, *runs).decisions[0].verdict == "measure"


def test_one_invalid_run_ends_a_proof_and_one_crash_does_not(advanced: SearchState) -> None:
    failed = run("prove", "a", "base", math.nan, status="invalid", error="depends on tokens after its position")
    settled = told(advanced, *pairs([0.95], [1.0]), failed)
    assert settled.decisions[0].verdict == "drop" and frontier_of(settled.state).source_sha == "base"
    assert "did not hold in its proof: invalid: depends on tokens" in settled.decisions[0].reason
    settled = told(advanced, *pairs([0.95], [1.0]), replace(failed, status="crash"), *pairs([0.955], [1.005]))
    assert settled.decisions[0].verdict == "keep"


def test_a_best_that_fails_again_and_again_ends_the_proof(advanced: SearchState) -> None:
    failed = run("prove", "base", "a", math.nan, status="invalid")
    settled = told(advanced, *[failed] * 5)
    assert settled.decisions[0].verdict == "measure"
    settled = told(settled.state, failed)
    assert (settled.decisions[0].verdict, "the best failed 6 times" in settled.decisions[0].reason) == ("drop", True)


def test_the_held_out_split_must_not_contradict(advanced: SearchState) -> None:
    settled = told(advanced, *pairs([0.95, 0.955], [1.0, 1.005], holdout=1.1))
    assert settled.decisions[0].verdict == "measure"


def test_a_frontier_that_is_worse_is_dropped(advanced: SearchState) -> None:
    settled = told(advanced, *pairs([1.02, 1.03], [1.0, 0.995]))
    assert settled.decisions[0].verdict == "drop" and settled.dropped
    assert frontier_of(settled.state).source_sha == "base" and frontier_of(settled.state).version == 3


@pytest.fixture
def outgrown(advanced: SearchState) -> SearchState:
    """While the proof of frontier a went on, b was tried on it and is far better."""
    state = told(advanced, *pairs([1.02], [1.0])).state
    return told(state, run("screen", "b", "a", 0.80), run("confirm", "b", "b", 0.80)).state


def test_a_far_better_frontier_outlives_the_failed_proof_of_an_older_one(outgrown: SearchState) -> None:
    before = frontier_of(outgrown).objective
    settled = told(outgrown, *pairs([1.03], [0.995]))
    assert settled.decisions[0].verdict == "drop" and not settled.dropped and not settled.steps
    assert frontier_of(settled.state).source_sha == "b" and settled.state.proof is None
    assert outgrown.proof is not None
    learned = 1.025 - outgrown.proof.target.objective
    assert frontier_of(settled.state).objective == pytest.approx(before + learned), "it stood on what was disproven"
    late = told(settled.state, run("prove", "a", "base", 0.9))
    assert late.decisions[0].verdict == "measure" and late.state.proof is None, "that proof is over"
    names = {"a": "b", "base": "base"}
    runs = [
        replace(o, source_sha=names[o.source_sha], parent_sha=names[o.parent_sha])
        for o in pairs([0.8, 0.81], [1.0, 1.005])
    ]
    kept = told(late.state, *runs)
    assert kept.decisions[0].verdict == "keep" and best_of(kept.state).source_sha == "b" and not kept.state.disproven


def test_a_newer_frontier_that_leads_no_more_falls_with_the_older_one(advanced: SearchState) -> None:
    state = told(advanced, *pairs([1.02], [1.0])).state
    state = told(state, run("screen", "b", "a", 0.955), run("confirm", "b", "b", 0.96)).state
    assert frontier_of(state).source_sha == "b"
    settled = told(state, *pairs([1.03], [0.995]))
    assert settled.dropped and frontier_of(settled.state).source_sha == "base" and not settled.state.disproven


def test_an_undecided_proof_ends_after_six_replicates(advanced: SearchState) -> None:
    settled = told(advanced, *pairs([0.998, 0.988, 0.998, 0.988, 0.998], [1.0, 0.98, 1.0, 0.99, 1.0]))
    assert settled.decisions[0].verdict == "measure"
    assert told(settled.state, *pairs([0.998], [1.0])).decisions[0].verdict == "drop"


def test_pairs_prove_what_a_drifting_machine_hides(advanced: SearchState) -> None:
    drift = [0.0, 0.06, 0.12, 0.02]
    best = [1.0 + d + e for d, e in zip(drift, (0.0, 0.004, -0.003, 0.002), strict=True)]
    replicates = pairs([0.98 + d for d in drift], best)
    settled = told(advanced, *replicates)
    assert settled.decisions[0].verdict == "keep" and settled.steps[0].probability > 0.99
    unpaired = Rules(complexity_price=0.0, pairs_from=9)
    assert told(advanced, *replicates, rules=unpaired).decisions[0].verdict != "keep"


def test_screening_runs_do_not_count_in_a_proof(advanced: SearchState) -> None:
    settled = told(advanced, run("prove", "a", "base", 0.95))
    assert settled.state.proof is not None and settled.state.proof.target_values == (0.95,)


def test_a_replicate_of_a_finished_proof_only_measures(advanced: SearchState) -> None:
    state = told(advanced, *pairs([1.02, 1.03], [1.0, 0.995])).state
    settled = told(state, run("prove", "a", "base", 0.1))
    assert settled.decisions[0].verdict == "measure" and frontier_of(settled.state).source_sha == "base"


def test_a_win_beside_a_moved_frontier_is_merged_and_tested_before_it_counts(advanced: SearchState) -> None:
    settled = told(advanced, run("screen", "b", "base", 0.97), run("confirm", "b", "b", 0.97))
    assert settled.decisions[0].verdict == "promising" and "their merge is tried" in settled.decisions[0].reason
    assert [(retry.parent_sha, retry.source_sha) for retry in settled.retries] == [("base", "b")]
    assert frontier_of(settled.state) == frontier_of(advanced), "nothing untested is the frontier"


def test_a_state_of_before_probes_were_noted_is_read(advanced: SearchState) -> None:
    state = told(advanced, run("prove", "a", "base", 0.95), run("screen", "b", "a", 0.9)).state
    stored = json.loads(to_json(state))
    for name in ("probed", "checks", "best_failures"):
        del stored["proof"][name]
    del stored["contenders"][0]["outcome"]["checks"]
    assert from_json(SearchState, json.dumps(stored)) == state


def test_the_state_survives_json(advanced: SearchState) -> None:
    state = told(advanced, run("prove", "a", "base", 0.95), run("screen", "b", "a", 0.9)).state
    assert from_json(SearchState, to_json(state)) == state


def test_the_interval_holds_the_gain_and_the_pooled_noise_ignores_group_means() -> None:
    noise = Noise()
    for sha, values in (("a", (1.0, 1.02)), ("b", (5.0, 5.02))):
        for value in values:
            noise = noise.with_value(sha, value)
    assert noise.sd == pytest.approx(0.01414, rel=1e-3) and noise.degrees_of_freedom == 2
    assert noise.keeping({"a"}).sd == pytest.approx(noise.sd)
    seen = compare((0.9, 0.9), (1.0, 1.0), noise)
    assert seen.gain == pytest.approx(0.1)
    assert seen.low < seen.gain < seen.high
