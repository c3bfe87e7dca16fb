"""The made-up worlds of experiments/benchmarks/policies.py, and what the project's decisions do on them."""

import statistics

import pytest
from policies import POLICIES, row
from policy_sim.arms import SCENARIOS, STRIDE, ArmsRun, ArmsWorld, Scenario
from policy_sim.worlds import FAMILIES, World

from autoresearch_ray.settings.decision_rules import Rules

OURS, GREEDY = POLICIES["ours"], POLICIES["greedy, one seed"]
START: frozenset[int] = frozenset()
RULES = Rules(complexity_price=0.0)


def test_a_world_is_the_same_for_every_policy_and_another_for_every_seed() -> None:
    world, again, other = (World(FAMILIES["rich"], seed, 0.9) for seed in (1, 1, 2))
    changes = frozenset({1, 5, 9})
    assert world.run(changes, 3, 7) == again.run(changes, 3, 7) != other.run(changes, 3, 7)
    assert world.truth(changes) == again.truth(changes) != other.truth(changes)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_seeds_share_as_much_of_the_noise_as_was_asked_for(share: float) -> None:
    world, child = World(FAMILIES["rich"], 1, share), frozenset({1})
    runs = [(world.run(START, seed, 2 * seed), world.run(child, seed, 2 * seed + 1)) for seed in range(4000)]
    assert statistics.variance(start for start, _ in runs) == pytest.approx(share + 0.2 * (1 - share), rel=0.1)
    assert statistics.variance(start - own for start, own in runs) == pytest.approx(2 * (1 - share), rel=0.1)
    assert statistics.fmean(own - start for start, own in runs) == pytest.approx(world.truth(child), abs=0.1)


def test_what_every_descendant_of_a_change_has_on_a_seed_is_inherited() -> None:
    world = World(FAMILIES["nothing"], 1, 0.5)
    both = [
        (world.run(frozenset({1, 2}), seed, 0), world.run(frozenset({1, 3}), seed, 1), world.run(START, seed, 2))
        for seed in range(3000)
    ]
    inherited = statistics.correlation([a - start for a, _, start in both], [b - start for _, b, start in both])
    assert 0.4 < inherited < 0.7, "half of what the two differ from the start by is their common change's"


def test_ours_proves_true_gains_and_hardly_ever_others() -> None:
    found = [OURS(World(FAMILIES["rich"], seed, 0.9), 100, 4) for seed in range(24)]
    assert statistics.fmean(one.best for one in found) > 6 and sum(one.false_wins for one in found) <= 1
    greedy = [GREEDY(World(FAMILIES["rich"], seed, 0.9), 100, 4) for seed in range(24)]
    assert sum(one.false_wins for one in greedy) > 24, "it keeps what only scored lower"
    assert found == [OURS(World(FAMILIES["rich"], seed, 0.9), 100, 4) for seed in range(24)]


def test_overtime_settles_last_proofs_with_few_trials_more() -> None:
    without, more = ([POLICIES[name](World(FAMILIES["rich"], seed, 0.9), 28, 2) for seed in range(24)]
                     for name in ("ours", "ours, overtime"))  # fmt: skip
    assert all(one.trials == 28 for one in without) and all(28 <= one.trials <= 44 for one in more)
    assert sum(one.wins for one in more) > sum(one.wins for one in without)
    assert all(
        longer.best >= shorter.best and longer.false_wins == 0 for longer, shorter in zip(more, without, strict=True)
    )


def test_where_no_change_does_anything_hardly_a_run_ends_with_a_win() -> None:
    found = [OURS(World(FAMILIES["nothing"], seed, 0.9), 100, 4) for seed in range(60)]
    assert sum(one.wins > 0 for one in found) <= 2 and all(one.best == 0 for one in found)
    assert row({"nothing": found}).count("0.00") == 2


def test_slots_shared_as_earned_prove_more_where_proposers_differ() -> None:
    def gains(earned: bool) -> list[float]:
        scenario = SCENARIOS["strong and weak model"]
        runs = (ArmsRun(ArmsWorld(scenario, seed, 0.9), 100, 4, RULES, earned=earned) for seed in range(8))
        return [run().best for run in runs]

    assert statistics.fmean(gains(True)) > 1.1 * statistics.fmean(gains(False))
    assert gains(True) == gains(True)


def test_a_direction_that_another_opens_does_nothing_before() -> None:
    scenario = SCENARIOS["one opens another"]
    world = ArmsWorld(scenario, 1, 0.9)
    first = [n for n in range(1, 200) if world.effect(arm_of(scenario, 1) * STRIDE + n) < 0][:2]
    opens = [arm_of(scenario, 1) * STRIDE + n for n in first]
    late = next(c for n in range(1, 99) if world.effect(c := arm_of(scenario, 6) * STRIDE + n) < 0)
    assert world.truth(frozenset({late})) == 0.0
    assert world.truth(frozenset({*opens, late})) != world.truth(frozenset(opens))


def arm_of(scenario: Scenario, direction: int) -> int:
    return next(place for place, (_, d, _) in enumerate(scenario.arms) if d == direction)
