"""What all runs together say of each candidate."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outcomes import RULES, confirm, frontier_of, screen, told

from autoresearch_ray.decide.decide import decide
from autoresearch_ray.decide.effects import Component, believe
from autoresearch_ray.decide.estimate import Estimate, _hundredths
from autoresearch_ray.decide.ledger import Entry, Ledger, Run
from autoresearch_ray.decide.panel import PROOFS
from autoresearch_ray.decide.state import SearchState

PRIOR = (Component(0.2, -1.5), Component(0.4, 0.0, 0.25), Component(0.4, 3.0))


@pytest.mark.parametrize(("observed", "variance"), [(-1.0, 0.2), (0.0, 1.0), (5.0, 0.2), (-20.0, 0.2), (3.0, 2.0)])
def test_the_posterior_of_an_effect_is_that_of_numerical_integration(observed: float, variance: float) -> None:
    x = np.linspace(-60, 60, 600_001)
    good = np.where(x < 0, np.exp(np.minimum(x, 0) / 1.5) / 1.5, 0)
    bad = np.where(x > 0, np.exp(-np.maximum(x, 0) / 3) / 3, 0)
    null = np.exp(-0.5 * (x / 0.25) ** 2) / (0.25 * math.sqrt(2 * math.pi))
    weights = (0.2 * good + 0.4 * null + 0.4 * bad) * np.exp(-0.5 * (x - observed) ** 2 / variance)
    weights /= weights.sum()
    mean = float(weights @ x)
    found = believe(PRIOR, observed, variance)
    assert found.mean == pytest.approx(mean, abs=1e-3)
    assert found.variance == pytest.approx(float(weights @ (x - mean) ** 2), abs=1e-3)
    for bar in (-1.0, -0.4, 0.0, 0.7):
        assert found.chance_below(bar) == pytest.approx(float(weights[x < bar].sum()), abs=1e-3)


def entry(name: str, parent: str, runs: dict[int, float], **more: object) -> Entry:
    made = tuple(Run(seed, value, value) for seed, value in runs.items())
    return Entry(name, parent, len(name), "knobs", "tpe", "p", "words", 100, made, **more)  # type: ignore[arg-type]


START = entry("base", "", {0: 0.0, 1: 1.0, 2: -1.0})


def ledger(*entries: Entry) -> Ledger:
    return Ledger((START, *entries), scale=1.0)


def test_a_bigger_gain_on_the_same_seed_is_believed_more() -> None:
    chances = [Estimate(ledger(entry("a", "base", {1: 1.0 - gain}))).chance("a", "base") for gain in (0, 0.5, 1, 2, 4)]
    assert all(before < after for before, after in pairwise(chances))
    assert chances[0] < 0.5 and chances[-1] > 0.97


def test_a_run_on_a_seed_that_only_the_grandparent_had_says_something_of_both_generations() -> None:
    parent = entry("a", "base", {1: 0.0})  # one below
    alone = Estimate(ledger(parent, entry("ab", "a", {})))
    with_run = Estimate(ledger(parent, entry("ab", "a", {0: -4.0})))  # four below the grandparent
    assert with_run.mean("ab") < alone.mean("ab") - 1
    assert with_run.mean("a") < alone.mean("a"), "some of that may be the parent's"
    assert with_run.effect("ab") < alone.effect("ab")


def test_a_failed_proof_corrects_every_step_on_the_way() -> None:
    steps = (entry("a", "base", {0: -1.5}), entry("ab", "a", {0: -2.5}))
    before = Estimate(ledger(*steps))
    proven = entry("ab", "a", {0: -2.5, 7: 0.1, 8: 0.0})
    start = entry("base", "", {0: 0.0, 1: 1.0, 2: -1.0, 7: 0.0, 8: 0.0})
    after = Estimate(Ledger((start, steps[0], proven), scale=1.0))
    assert after.effect("a") > before.effect("a") + 0.1 and after.effect("ab") > before.effect("ab")
    assert after.chance("ab", "base") < before.chance("ab", "base")


def test_noise_that_is_common_to_a_seed_is_learned_from_pairs() -> None:
    rng = np.random.default_rng(1)

    def learned(own: float) -> float:
        entries = []
        for number in range(30):
            effect = float(rng.choice([0.0, 0.0, rng.exponential(3.0)]))
            runs = {seed: START_J[seed] + effect + own * float(rng.normal()) for seed in (0, 1)}
            entries.append(entry(f"c{number:03d}", "base", runs))
        return Estimate(ledger(*entries)).pair_variance(1)

    START_J = {run.seed_number: run.objective for run in START.runs}
    assert learned(0.3) == pytest.approx(0.09, rel=0.6)
    assert learned(1.4) == pytest.approx(1.96, rel=0.6)


def test_where_nothing_helps_little_is_believed() -> None:
    rng = np.random.default_rng(2)
    nothing = [entry(f"c{n:03d}", "base", {1: 1.0 + 1.0 * float(rng.normal())}) for n in range(40)]
    lucky = entry("lucky", "base", {1: 0.0})
    assert Estimate(ledger(*nothing, lucky)).chance("lucky", "base") < Estimate(ledger(lucky)).chance("lucky", "base")


values = st.floats(-3, 3).map(lambda value: round(value, 2))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(values, values, st.booleans()), min_size=3, max_size=8), st.randoms(use_true_random=False))
def test_the_posterior_depends_on_the_set_of_runs_alone(rows: list[tuple[float, float, bool]], random: object) -> None:
    entries, parent = [], "base"
    for number, (first, second, moves) in enumerate(rows):
        name = f"c{number}"
        entries.append(entry(name, parent, {0: first, 1: second} if moves else {1: second}))
        parent = name if moves else parent
    whole = Estimate(ledger(*entries))
    shuffled = list(entries)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    turned = [
        entry(e.source_sha, e.parent_sha, {r.seed_number: r.objective for r in reversed(e.runs)}) for e in shuffled
    ]
    other = Estimate(Ledger((START, *turned), scale=1.0))
    for one in entries:
        assert other.mean(one.source_sha) == pytest.approx(whole.mean(one.source_sha), abs=1e-9)
        assert other.chance(one.source_sha, "base") == pytest.approx(whole.chance(one.source_sha, "base"), abs=1e-9)


def test_an_estimate_that_saves_work_is_the_same() -> None:
    before = ledger(entry("a", "base", {1: 0.0}), entry("b", "base", {1: 0.5}))
    after = before.with_entry(entry("a", "base", {1: 0.0, 0: -1.5})).with_entry(entry("ab", "a", {0: -2.0}))
    saved, fresh = Estimate(after, Estimate(before)), Estimate(after)
    assert {e.source_sha: saved.mean(e.source_sha) for e in after.entries} == {
        e.source_sha: fresh.mean(e.source_sha) for e in after.entries
    }
    assert saved.learned == fresh.learned


def test_decisions_that_save_work_are_those_made_afresh(started: SearchState) -> None:
    """Ninety trials: candidates come, are run again, are offered for merges and leave; the frontier moves."""
    random, state, fresh = np.random.default_rng(1), started, started
    estimate: Estimate | None = Estimate(started.ledger)
    for number in range(90):
        frontier = frontier_of(state).source_sha
        known = [entry.source_sha for entry in state.ledger.entries]
        value, seed = 1 - 0.002 * number + 0.02 * float(random.normal()), int(random.integers(3))
        parent = known[int(random.integers(len(known)))] if number % 3 else frontier
        outcome = confirm(known[-1], value, seed) if number % 4 == 3 else screen(f"c{number}", parent, value, seed)
        saved, again = decide(state, outcome, RULES, 7.0, estimate), decide(fresh, outcome, RULES, 7.0)
        assert repr(saved) == repr(replace(again, estimate=saved.estimate))
        state, fresh, estimate = saved.state, again.state, saved.estimate
        assert estimate is not None
        checked = Estimate(state.ledger)
        for entry in state.ledger.entries:
            sha, frontier = entry.source_sha, frontier_of(state).source_sha
            assert estimate.difference(sha, frontier) == checked.difference(sha, frontier)
            assert estimate.chance(sha, frontier, 0.1) == checked.chance(sha, frontier, 0.1)
    assert state.frontier is not None and state.frontier.version > 3
    assert any(state.ledger.past.evidence), "some have left"


@given(st.lists(st.one_of(st.floats(-1e4, 0), st.integers(-2000, 0).map(lambda number: number / 200)), min_size=1))
@settings(max_examples=100, deadline=None)
def test_evidence_is_rounded_as_one_number_is(values: list[float]) -> None:
    assert _hundredths(np.array(values)) == tuple(round(value, 2) for value in values)


def test_a_jump_is_believed_and_does_not_pass_for_noise(started: SearchState) -> None:
    """A change of 40 sd on four seeds, as a real model's counting of tokens was, beside ordinary ones."""
    ordinary = [screen(f"c{number}", "base", 1.0 + 0.003 * number, number % 2) for number in range(6)]
    before = told(started, *ordinary).state
    runs = [screen("a", "base", 0.59, 0), confirm("a", 0.601, 1), confirm("a", 0.612, PROOFS)]
    after = told(before, *runs).state
    estimate, earlier = Estimate(after.ledger), Estimate(before.ledger)
    expected, _ = estimate.difference("a", "base")
    assert expected == pytest.approx(-0.399, abs=0.3 * after.ledger.scale)
    assert estimate.pair_variance(1) < 2 * earlier.pair_variance(1)
