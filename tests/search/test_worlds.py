"""Made-up worlds: what their landscapes are like, and what hides the truth in a trial's score."""

import statistics

import numpy as np
import pytest

from autoresearch_ray.candidate.knobs import read_knobs
from autoresearch_ray.candidate.ranges import Choice
from autoresearch_ray.common.paths import EXPERIMENTS
from autoresearch_ray.propose.tuner.knob_moves import redraw_all
from autoresearch_ray.search.worlds.landscape import Bowl, Values, lay_out
from autoresearch_ray.search.worlds.rugged import DIVERGED, Rugged
from autoresearch_ray.search.worlds.world import EARLY_BPB, MACHINE_SHARE, REPORTS, SLOWER_BPB, Conditions, World

KNOBS = read_knobs((EXPERIMENTS / "train.py").read_text())
START = {knob.name: knob.value for knob in KNOBS}


def world(seed: int = 0, **conditions: object) -> World:
    """A world without failures, a bowl unless said otherwise."""
    return World(Conditions(**{"landscape": "bowl", "failures": 0.0, **conditions}), seed, KNOBS, 300.0)  # type: ignore[arg-type]


def twins(seed: int) -> tuple[Bowl, Rugged]:
    """The bowl and the rugged landscape of one layout."""
    rng = np.random.default_rng(seed)
    layout = lay_out(KNOBS, rng)
    return Bowl(layout), Rugged(layout, rng)


def best_values(seed: int) -> Values:
    """The numeric knobs at their best places."""
    layout = lay_out(KNOBS, np.random.default_rng(seed))
    places = zip(layout.ranges.items(), layout.centre, strict=True)
    return START | {name: extent.from_unit(place) for (name, extent), place in places}


def test_what_a_bowl_holds_is_found_at_its_best_place() -> None:
    landscape = Bowl(lay_out(KNOBS, np.random.default_rng(3), (5.0, 10.0)))
    best = dict(START)
    for knob in KNOBS:
        places = [knob.range.from_unit(u) for u in np.linspace(0.01, 0.99, 99)]
        best[knob.name] = min([*places, knob.value], key=lambda value: landscape.loss(best | {knob.name: value}))
    assert 12 < landscape.loss(START) - landscape.loss(best) < 60, "three knobs of 5 to 10 sd, and little else"
    assert landscape.loss(START | {"A_KNOB_OF_LATER": 3}) == landscape.loss(START)


@pytest.mark.parametrize("seed", range(6))
def test_a_rugged_landscape_holds_what_the_bowl_of_its_layout_holds(seed: int) -> None:
    bowl, rugged = twins(seed)
    assert rugged.loss(START) == pytest.approx(bowl.loss(START), rel=0.01)
    assert rugged.loss(best_values(seed)) == pytest.approx(bowl.loss(best_values(seed)), abs=1.0)  # integers round
    assert not rugged.diverges(START) and not rugged.diverges(best_values(seed))


def test_knobs_of_a_rugged_landscape_interact_and_those_of_a_bowl_do_not() -> None:
    def interaction(landscape: Bowl | Rugged, one: str, other: str) -> float:
        moved = {name: best[name] for name in (one, other)}
        alone = sum(landscape.loss({**START, name: value}) for name, value in moved.items())
        return landscape.loss({**START, **moved}) + landscape.loss(START) - alone

    interactions: dict[type, list[float]] = {Bowl: [], Rugged: []}
    for seed in range(6):
        best = best_values(seed)
        layout = lay_out(KNOBS, np.random.default_rng(seed))
        one, other = (list(layout.ranges)[index] for index in layout.important[:2])
        for landscape in twins(seed):
            interactions[type(landscape)].append(abs(interaction(landscape, one, other)))
    assert max(interactions[Bowl]) < 1.5, "what the bend makes of a sum"
    assert statistics.median(interactions[Rugged]) > 2


def test_the_edge_behind_which_training_diverges_moves_with_another_knob() -> None:
    """Somewhere two values of one knob are sound or not by what a second one is."""
    rng = np.random.default_rng(1)
    numeric = [knob for knob in KNOBS if not isinstance(knob.range, Choice)]
    found = set()
    for seed in range(8):
        _, rugged = twins(seed)
        for _ in range(300):
            values = redraw_all(KNOBS, rng)
            if rugged.diverges(values):
                assert rugged.loss(values) == DIVERGED
                ways = [k.name for k in numeric for u in (0.02, 0.98)
                        if not rugged.diverges(values | {k.name: k.range.from_unit(u)})]  # fmt: skip
                found.add(len(set(ways)))
    assert max(found) >= 2, "more than one knob leads back"


def test_on_a_plateau_nothing_is_seen_until_a_move_lands_near_the_best_place() -> None:
    _, rugged = twins(0)
    layout = lay_out(KNOBS, np.random.default_rng(0))
    index = int(layout.important[2])
    (name, extent), centre = list(layout.ranges.items())[index], float(layout.centre[index])
    side = 1 if centre > layout.start[index] else -1
    losses = [rugged.loss(START | {name: extent.from_unit(centre - side * away)}) for away in (0.5, 0.4, 0.3, 0.0)]
    assert max(losses[:3]) - min(losses[:3]) < 0.5 and losses[0] - losses[3] > 3


def test_a_score_depends_on_candidate_seed_and_run_alone() -> None:
    one, again = world(4), world(4)
    moved = START | {"MATRIX_LR": 0.02}
    later = [again.measure(START, seed, 0, 0.5) for seed in range(9, 0, -1)]
    assert one.measure(moved, 7, 2, 0.0) == again.measure(moved, 7, 0, 1.0), "whichever slot, whenever, whatever before"
    assert one.measure(moved, 7, 0, 0.0, again=1) != one.measure(moved, 7, 0, 0.0) != one.measure(moved, 8, 0, 0.0)
    assert world(5).measure(START, 9, 0, 0.0) != later[0] == one.measure(START, 9, 0, 0.5)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_seeds_share_as_much_of_the_noise_as_was_asked_for(share: float) -> None:
    there, near, far = world(seed_share=share), START | {"MATRIX_LR": 0.02}, redraw_all(KNOBS, np.random.default_rng(2))

    def deviations(values: Values) -> list[float]:
        scores = [there.measure(values, seed, 0, 0.0).val_bpb for seed in range(1000)]
        assert statistics.fmean(scores) == pytest.approx(there.truth(values), abs=0.001), "no luck on average"
        return [(score - there.truth(values)) / 0.01 for score in scores]

    start, *others = deviations(START), deviations(near), deviations(far)
    machine, own = MACHINE_SHARE * (1 - share), (1 - MACHINE_SHARE) * (1 - share)
    assert statistics.variance(start) == pytest.approx(share + machine, rel=0.15)
    spreads = [statistics.variance(a - b for a, b in zip(start, other, strict=True)) for other in others]
    assert spreads[1] == pytest.approx(2 * machine + 2 * own, rel=0.15), "a candidate far away has luck of its own"
    assert 2 * machine < spreads[0] < 0.8 * spreads[1], "a near one shares most of the start's"


def test_learning_curves_end_at_the_score_and_cross() -> None:
    there, rng = world(), np.random.default_rng(3)
    runs = [there.measure(redraw_all(KNOBS, rng), seed, 0, 0.0) for seed in range(60)]
    assert all(len(run.curve) == REPORTS and run.curve[-1] == run.val_bpb for run in runs)
    early = [run.curve[REPORTS // 4 - 1] - run.val_bpb for run in runs]
    assert statistics.median(early) == pytest.approx(EARLY_BPB, rel=0.3) and min(early) < 0.75 * EARLY_BPB
    first, last = (np.argsort([run.curve[at] for run in runs]) for at in (REPORTS // 4 - 1, -1))
    assert first.tolist() != last.tolist(), "who is ahead at a quarter is not always ahead at the end"


def test_a_drifting_machine_makes_later_runs_worse_by_what_was_asked_for() -> None:
    there = world(drift=4.0)
    scores = [there.measure(START, 1, 0, passed).val_bpb for passed in np.linspace(0, 1, 200)]
    assert (scores[-1] - scores[0]) / 0.01 == pytest.approx(4.0)
    assert np.abs(np.diff(scores)).max() < 0.15 * 0.01, "smoothly"
    assert world().measure(START, 1, 0, 1.0) == world().measure(START, 1, 0, 0.0)


def test_every_fourth_slot_is_slow_and_its_trials_score_worse() -> None:
    there = world(slow_share=0.25, slow_factor=2.0)
    scores = [there.measure(START, 1, slot, 0.0).val_bpb for slot in range(8)]
    quick = world().measure(START, 1, 0, 0.0).val_bpb
    slow = [slot for slot, score in enumerate(scores) if score != quick]
    assert slow == [3, 7] and scores[3] - quick == pytest.approx(SLOWER_BPB)
    assert there.seconds(5, 3) - 300 == pytest.approx(2 * (there.seconds(5, 2) - 300)), "its start-up takes longer too"


def test_as_many_trials_crash_as_was_asked_for_and_where_training_blows_up_there_is_no_score() -> None:
    there = world(failures=0.25)
    values = START | {"MATRIX_LR": 0.02}
    runs = [there.measure(values, seed, 0, 0.0) for seed in range(800)]
    crashed = [run for run in runs if run.status == "crash"]
    assert len(crashed) / len(runs) == pytest.approx(0.25, abs=0.05)
    assert all(np.isnan(run.val_bpb) and len(run.curve) == REPORTS // 2 for run in crashed)
    assert all(there.measure(START, seed, 0, 0.0).status == "ok" for seed in range(100)), "the start is sound"
    rng, kinds = np.random.default_rng(0), set()
    for seed in range(8):
        rugged = world(seed, landscape="rugged")
        beyond = next((v for v in (redraw_all(KNOBS, rng) for _ in range(500)) if rugged.landscape.diverges(v)), None)
        if beyond is not None:
            run = rugged.measure(beyond, 1, 0, 0.0)
            kinds.add(run.status)
            assert run.status == "invalid" or run.val_bpb > 4
    assert kinds == {"ok", "invalid"}, "in some worlds it fails, in others it ends with a high loss"
