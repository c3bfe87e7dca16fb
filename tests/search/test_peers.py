"""The peers of a simulation: each keeps its rule, and all meet the same world for the same GPU time."""

import math
import random
from collections.abc import Mapping
from types import SimpleNamespace

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from ray.tune.schedulers import AsyncHyperBandScheduler

from autoresearch_ray.candidate.knobs import Knob, read_knobs
from autoresearch_ray.candidate.ranges import Interval, Value
from autoresearch_ray.common.paths import EXPERIMENTS
from autoresearch_ray.observe.comparison import Course
from autoresearch_ray.search.peers.clock import PEERS, PeerRun, run_peer
from autoresearch_ray.search.peers.greedy import Greedy
from autoresearch_ray.search.peers.halving import Halving
from autoresearch_ray.search.peers.policy import Attempt
from autoresearch_ray.search.peers.sampled import Asha, RandomSearch, Tpe
from autoresearch_ray.search.worlds.world import OVERHEAD, Conditions, World

KNOBS = read_knobs((EXPERIMENTS / "train.py").read_text())
TWO = [Knob(name, 0.5, Interval(0.0, 1.0, log=False, integer=False), line) for line, name in enumerate(("A", "B"))]
BUDGET = 300.0


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def world(seed: int = 0, **conditions: object) -> World:
    return World(Conditions(**conditions), seed, KNOBS, BUDGET)  # type: ignore[arg-type]


def whole_round(policy: Greedy) -> list[Attempt]:
    """All that it begins before it hears anything."""
    attempts = []
    while (attempt := policy.propose()) is not None:
        attempts.append(attempt)
    return attempts


def test_greedy_keeps_the_best_of_a_round_if_it_is_lower() -> None:
    greedy = Greedy(TWO, rng(), slots=3, one_seed=False)
    first = whole_round(greedy)
    assert [attempt.number for attempt in first] == [1, 2, 3] and first[0].values == {"A": 0.5, "B": 0.5}
    for attempt, score in zip(first, (2.0, 1.5, 1.8), strict=True):
        assert greedy.propose() is None, "it waits for the whole round"
        greedy.finish(attempt, score)
    assert greedy.start_score == 2.0 and greedy.reported == first[1]
    for attempt in whole_round(greedy):
        greedy.finish(attempt, 1.6)
    assert greedy.reported == first[1], "a round that is not lower changes nothing"
    for attempt, score in zip(whole_round(greedy), (math.nan, 1.4, math.nan), strict=True):
        greedy.finish(attempt, score)
    assert greedy.reported_score == 1.4, "failures are not kept"


def test_greedy_moves_from_what_it_kept_one_after_another_on_one_slot() -> None:
    many = [Knob(f"K{i}", 0.5, Interval(0.0, 1.0, log=False, integer=False), i) for i in range(12)]
    greedy = Greedy(many, rng(), slots=1, one_seed=False)
    kept: Mapping[str, Value] = {knob.name: 0.5 for knob in many}
    for number in range(40):
        (attempt,) = whole_round(greedy)
        changed = [name for name in kept if attempt.values[name] != kept[name]]
        assert len(changed) <= 3, "one to three knobs from what is kept, not from the start"
        lower = number % 3 == 0
        greedy.finish(attempt, -number if lower else 1000.0)
        kept = attempt.values if lower else kept


def test_only_greedy_on_one_seed_uses_a_seed_twice() -> None:
    for one_seed, seeds in ((True, {0}), (False, {1, 2, 3, 4})):
        assert {attempt.seed for attempt in whole_round(Greedy(TWO, rng(), slots=4, one_seed=one_seed))} == seeds
    for policy in (RandomSearch(TWO, rng()), Tpe(TWO, rng())):
        proposed = [policy.propose() for _ in range(4)]
        assert [attempt.seed for attempt in proposed if attempt] == [1, 2, 3, 4]


def test_random_search_draws_every_knob_after_the_start() -> None:
    policy = RandomSearch(TWO, rng())
    values = [attempt.values for attempt in (policy.propose() for _ in range(200)) if attempt]
    assert values[0] == {"A": 0.5, "B": 0.5}
    for name in "AB":
        assert np.std([float(row[name]) for row in values[1:]]) == pytest.approx(12**-0.5, rel=0.15), "uniform"


def test_tpe_proposes_what_optunas_sampler_does_when_asked_and_told_the_same() -> None:
    policy = Tpe(TWO, np.random.default_rng(5))
    seed = int(np.random.default_rng(5).integers(2**31))
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(constant_liar=True, seed=seed))
    study.enqueue_trial({"A": 0.5, "B": 0.5})
    space: dict[str, BaseDistribution] = {name: FloatDistribution(0.0, 1.0) for name in "AB"}
    for _ in range(12):  # two side by side
        pairs = [(policy.propose(), study.ask(space)) for _ in range(2)]
        for attempt, trial in pairs:
            assert attempt is not None
            assert attempt.values == pytest.approx(trial.params, abs=0.001), "rounded as a knob is written"
            if attempt.number == 3:
                policy.finish(attempt, math.nan)
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                score = (trial.params["A"] - 0.2) ** 2
                policy.finish(attempt, score)
                study.tell(trial, score)
    assert policy.reported_score < 0.01


@pytest.mark.filterwarnings("ignore:All-NaN slice encountered")  # Ray's, of a rung in which nothing is a number
@pytest.mark.parametrize(("grace", "reduction"), [(1 / 16, 4.0), (1 / 4, 2.0), (1 / 10, 3.0)])
def test_halving_stops_what_ray_tunes_scheduler_stops(grace: float, reduction: float) -> None:
    rule = Halving(grace, reduction)
    scheduler = AsyncHyperBandScheduler(
        time_attr="part", metric="score", mode="min", max_t=1, grace_period=grace, reduction_factor=reduction
    )
    dice, stopped = random.Random(3), 0
    trials = {number: SimpleNamespace(trial_id=number) for number in range(300)}
    for trial in trials.values():
        scheduler.on_trial_add(None, trial)
    running, waiting = dict.fromkeys(range(8), 0), list(range(8, 300))
    while running:  # trials report in any order; some scores are equal, some are not numbers
        number = dice.choice(sorted(running))
        running[number] += 1
        part = running[number] / 16
        score = dice.choice([math.nan, 2.0, *(dice.gauss(2 - part, 1) for _ in range(8))])
        theirs = scheduler.on_trial_result(None, trials[number], {"part": part, "score": score}) == "STOP"
        if part < 1:
            assert rule.stops(number, part, score) == theirs, f"trial {number} at {part} with {score}"
            stopped += theirs
        if theirs:
            del running[number]
            if waiting:
                running[waiting.pop(0)] = 0
    assert 100 < stopped < 290


def test_asha_lets_its_start_run_to_the_end_and_stops_others() -> None:
    policy = Asha(TWO, rng())
    first, second, third = (policy.propose() for _ in range(3))
    assert first and second and third
    assert not policy.stops(second, 1 / 16, 1.0)
    assert policy.stops(third, 1 / 16, 2.0) and not policy.stops(first, 1 / 16, 3.0)


def told(course: Course) -> tuple[object, ...]:
    return course.moments, course.trials, course.hours


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_finds_the_same_again_and_believes_the_lowest_score(name: str) -> None:
    courses = [run_peer(name, world(seed), seed, slots=4, trials=24) for seed in (1, 1, 2)]
    assert told(courses[0]) == told(courses[1]) != told(courses[2])
    times = [moment.hours for moment in courses[0].moments]
    assert times == sorted(times) and courses[0].moments[0].believed >= 0
    believed = [moment.believed for moment in courses[0].moments]
    assert believed == sorted(believed), "it only ever reports a lower score"


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_is_believed_its_score_and_credited_with_the_truth(name: str) -> None:
    there = world(3)
    policy = PEERS[name](there, rng(), 4)
    course = PeerRun(policy, there, slots=4, trials=24).run(name, 3)
    best, seed = policy.reported, policy.reported.seed
    assert there.measure(best.values, seed, 0, 0.0).val_bpb == policy.reported_score
    start = there.measure(there.start, 0 if name == "greedy-one-seed" else 1, 0, 0.0).val_bpb
    assert course.last.believed == pytest.approx((start - policy.reported_score) / 0.01)
    assert course.last.gain == there.gain(best.values)


def test_peers_meet_the_same_start_and_use_the_same_gpu_time() -> None:
    courses = {name: run_peer(name, world(7, failures=0.0), 7, slots=4, trials=40) for name in PEERS}
    whole = BUDGET * (1 + OVERHEAD) / 3600
    for name, course in courses.items():
        assert course.gpu_hours == pytest.approx(40 * whole, rel=0.1), name
        assert (course.trials == 40) == (name != "asha")
    assert courses["asha"].trials > 60, "what stops early leaves time for others"


def test_a_slot_that_is_free_starts_at_once_but_greedys_round_waits_for_the_slow_one() -> None:
    slow = Conditions(slow_share=0.25, slow_factor=20.0, failures=0.0)
    there = World(slow, 0, KNOBS, BUDGET)
    assert run_peer("random", there, 0, 4, 40).hours < 0.8 * run_peer("greedy", there, 0, 4, 40).hours
