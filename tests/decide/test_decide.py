"""The two-level decision, on plain values."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from autoresearch_ray.codec import from_json, to_json
from autoresearch_ray.decide.decide import Merge, decide
from autoresearch_ray.decide.noise import Noise, compare
from autoresearch_ray.decide.plan import Replicate, Screen, plan
from autoresearch_ray.decide.state import Outcome, SearchState, Settled
from autoresearch_ray.records import Proposal, Purpose, Standing, Trial
from autoresearch_ray.settings import Rules

RULES = Rules(complexity_price=0.0)
BASE = Outcome("t1", "baseline", "p", "tpe", "words", "base", "", "ok", 1.0, 1.0, 100)


def no_merge(base: str, ours: str, theirs: str) -> None:
    return None


def told(state: SearchState, *outcomes: Outcome, merge: Merge = no_merge, rules: Rules = RULES) -> Settled:
    settled = Settled(state)
    for outcome in outcomes:
        settled = decide(settled.state, outcome, rules, merge, 7.0)
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


@pytest.fixture
def started() -> SearchState:
    """Baseline 1.00 with sd 0.01."""
    return told(SearchState(), *(run("baseline", "base", "", v) for v in (0.99, 1.0, 1.01))).state


@pytest.fixture
def advanced(started: SearchState) -> SearchState:
    return told(started, run("screen", "a", "base", 0.96), run("confirm", "a", "a", 0.95)).state


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


def pairs(values: list[float], best: list[float], **more: Any) -> list[Outcome]:
    more = {"checks": ("causal", "bits")} | more
    both = zip(values, best, strict=True)
    return [o for v, b in both for o in (run("prove", "a", "base", v, **more), run("prove", "base", "a", b))]


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


def test_a_win_beside_a_moved_frontier_is_merged(advanced: SearchState) -> None:
    state = told(advanced, run("screen", "b", "base", 0.97)).state
    settled = told(state, run("confirm", "b", "b", 0.97), merge=lambda *shas: ("+".join(shas), 101))
    assert settled.decisions[0].verdict == "advance"
    frontier = frontier_of(settled.state)
    assert frontier.source_sha == "base+a+b"
    assert frontier.objective == pytest.approx(frontier_of(advanced).objective - (1.0 - (0.97 + 0.985) / 2))


def test_a_conflicting_win_is_to_be_tested_again(advanced: SearchState) -> None:
    settled = told(advanced, run("screen", "b", "base", 0.97), run("confirm", "b", "b", 0.97))
    assert settled.decisions[0].verdict == "discard" and len(settled.retries) == 1


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


def flight(purpose: Purpose, source: str, other: str = "") -> Trial:
    return Trial("t9", Proposal("r9", "replicate", "search", source, other, 1, ""), purpose, 1, 0.0)


def planned(
    state: SearchState, *running: Trial, left: float = 100, ready: bool = True, idle: bool = False
) -> Replicate | Screen | None:
    return plan(state, RULES, running, baseline_sha="base", trials_left=left, slots=2, ready=ready, idle=idle)


def test_the_plan_measures_the_baseline_first_and_does_not_wait_for_it() -> None:
    assert planned(SearchState()) == Replicate("baseline", "base", "")
    assert planned(SearchState(), *[flight("baseline", "base")] * 3) == Screen()


def test_the_plan_confirms_before_it_screens(started: SearchState) -> None:
    state = told(started, run("screen", "a", "base", 0.96)).state
    assert planned(state) == Replicate("confirm", "a", "a")
    assert planned(state, flight("confirm", "a", "a")) == Screen()


def test_a_lead_of_three_sd_starts_a_proof_on_both_sides(advanced: SearchState) -> None:
    first = planned(advanced)
    assert first == Replicate("prove", "a", "base")
    assert planned(advanced, flight("prove", "a", "base")) == Replicate("prove", "base", "a")
    assert planned(advanced, flight("prove", "a", "base"), flight("prove", "base", "a")) == Screen()


def test_a_small_lead_is_proven_at_the_end_of_the_run(started: SearchState) -> None:
    state = told(started, run("screen", "a", "base", 0.99), run("confirm", "a", "a", 0.985)).state
    assert planned(state) == Screen()
    assert planned(state, left=8) == Replicate("prove", "a", "base")
    assert planned(state, left=3) == Screen()


def test_an_idle_slot_proves_or_replicates(started: SearchState, advanced: SearchState) -> None:
    assert planned(started, ready=False) is None
    assert planned(started, ready=False, idle=True) == Replicate("idle", "base", "base")
    proving = planned(advanced, ready=False, idle=True)
    assert isinstance(proving, Replicate) and proving.purpose == "prove"


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
