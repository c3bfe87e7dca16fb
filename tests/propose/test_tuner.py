"""What every tuner promises, and that the default one learns."""

import math
from dataclasses import replace

import numpy as np
import pytest
from candidates import TRAIN

from autoresearch_ray.candidate.knobs import Knob, read_knobs
from autoresearch_ray.candidate.ranges import Choice, Interval, Value
from autoresearch_ray.propose.tuner.surrogate import noise_sd
from autoresearch_ray.propose.tuner.tuner import Observation, Suggestion, Tuner, knob_proposal
from autoresearch_ray.settings.proposer_spec import TunerName

KNOBS = read_knobs(TRAIN)
HERE = {knob.name: knob.value for knob in KNOBS}
KINDS: tuple[TunerName, ...] = ("tpe", "random")
SMALL = (Knob("A", 1, Interval(1, 3, log=False, integer=True), 1), Knob("B", "x", Choice(("x", "y")), 2))


def tuner(kind: TunerName, seed: int = 0) -> Tuner:
    return Tuner(kind, np.random.default_rng(seed))


def history(count: int, seed: int = 1) -> list[Observation]:
    """Random results, every seventh a failure."""
    rng = np.random.default_rng(seed)
    drawn = [{k.name: k.range.from_unit(float(rng.random())) for k in KNOBS} for _ in range(count)]
    return [Observation(v, math.nan if i % 7 == 6 else float(rng.normal())) for i, v in enumerate([HERE, *drawn])]


def suggestions(kind: TunerName, seed: int, count: int = 30) -> list[Suggestion]:
    """A search that knows of everything it suggested: half of it observed, the last two in flight."""
    machine, seen = tuner(kind, seed), history(8)
    found: list[Suggestion] = []
    for i in range(count):
        suggestion = machine.suggest(KNOBS, seen, [HERE | dict(s.values) for s in found[-2:]])
        assert suggestion is not None
        if i >= 2:
            seen.append(Observation(HERE | dict(found[-2].values), math.nan if i % 5 == 0 else float(i)))
        found.append(suggestion)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_equal_seeds_give_equal_suggestions_and_others_differ(kind: TunerName) -> None:
    assert suggestions(kind, 3) == suggestions(kind, 3)
    assert suggestions(kind, 3) != suggestions(kind, 4)


@pytest.mark.parametrize("kind", KINDS)
def test_suggestions_are_in_range_change_something_and_never_repeat(kind: TunerName) -> None:
    ranges = {knob.name: knob.range for knob in KNOBS}
    found = suggestions(kind, 5)
    assert all(ranges[name].contains(value) for s in found for name, value in s.values.items())
    assert all(s.values and all(value != HERE[name] for name, value in s.values.items()) for s in found)
    points = [tuple((HERE | dict(s.values)).items()) for s in found]
    assert len(set(points)) == len(points)


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_space_is_covered_once_and_then_nothing_is_left(kind: TunerName) -> None:
    machine = tuner(kind)
    here: dict[str, Value] = {knob.name: knob.value for knob in SMALL}
    tried = [here]
    for i in range(5):
        suggestion = machine.suggest(SMALL, [Observation(v, 1.0) for v in tried[: i // 2]], tried[i // 2 :])
        assert suggestion is not None
        tried.append(here | dict(suggestion.values))
    assert len({tuple(v.items()) for v in tried}) == 6
    assert machine.suggest(SMALL, [Observation(v, 1.0) for v in tried], []) is None


def test_without_knobs_there_is_nothing_to_suggest() -> None:
    assert tuner("tpe").suggest((), [], []) is None


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_suggestions_change_few_knobs(kind: TunerName) -> None:
    for seed in range(20):
        suggestion = tuner(kind, seed).suggest(KNOBS, [Observation(HERE, 1.0)] * 3, [])
        assert suggestion is not None
        assert 1 <= len(suggestion.values) <= 3


def test_the_hypothesis_names_each_change() -> None:
    suggestion = tuner("tpe", 2).suggest(KNOBS, [], [])
    assert suggestion is not None
    parts = suggestion.hypothesis.split(", ")
    assert [part.split(" ")[0] for part in parts] == list(suggestion.values)
    assert all(" -> " in part for part in parts)


@pytest.mark.parametrize("kind", KINDS)
def test_observations_carry_over_to_a_frontier_with_other_knobs_and_ranges(kind: TunerName) -> None:
    knobs = [replace(KNOBS[0], value=0.3, range=Interval(0.03, 0.9, log=True, integer=False)), *KNOBS[2:]]
    knobs.append(Knob("NEW", 3, Interval(1, 9, log=False, integer=True), 99))
    machine = tuner(kind)
    for _ in range(12):
        suggestion = machine.suggest(knobs, history(30), [HERE])
        assert suggestion is not None
        assert set(suggestion.values) <= {knob.name for knob in knobs}


@pytest.mark.parametrize("results", [[math.nan] * 20, [1.0] * 20, [1.0, math.nan], [1e300, -1e300, 0.0]])
def test_results_that_teach_nothing_do_no_harm(results: list[float]) -> None:
    drawn = history(len(results))
    seen = [Observation(o.values, y) for o, y in zip(drawn, results, strict=False)]
    for seed in range(4):
        assert tuner("tpe", seed).suggest(KNOBS, seen, []) is not None


def test_the_default_goes_where_results_are_better() -> None:
    """The objective falls with MATRIX_LR alone: of fifty suggestions nearly all that move it move it up."""
    rng = np.random.default_rng(0)
    extent = KNOBS[0].range
    seen = [Observation(HERE, 0.01 * float(rng.normal())) for _ in range(3)]
    for u in rng.random(20):
        gain = 0.2 * (float(u) - extent.to_unit(HERE["MATRIX_LR"]))
        seen.append(Observation(HERE | {"MATRIX_LR": extent.from_unit(float(u))}, 0.01 * float(rng.normal()) - gain))
    moved = []
    for seed in range(50):
        suggestion = tuner("tpe", seed).suggest(KNOBS, seen, [])
        assert suggestion is not None
        moved += [value for name, value in suggestion.values.items() if name == "MATRIX_LR"]
    up = sum(float(value) > 0.04 for value in moved)
    assert len(moved) >= 25
    assert up >= 0.9 * len(moved)


def test_the_default_avoids_where_trials_fail() -> None:
    fails = [
        Observation(HERE | {"DEPTH": depth, "WARMDOWN": w / 10}, math.nan) for depth in (6, 7, 8) for w in range(4)
    ]
    fine = [Observation(HERE | {"WARMDOWN": w / 10}, 1 + 0.01 * (w % 2)) for w in range(8)]
    seen = [*[Observation(HERE, 1.0), Observation(HERE, 1.01)] * 2, *fine, *fails]
    found = [tuner("tpe", seed).suggest(KNOBS, seen, []) for seed in range(50)]
    assert sum(int(s.values.get("DEPTH", 0)) >= 6 for s in found if s is not None) <= 2


def test_noise_is_pooled_over_equal_points() -> None:
    units = np.array([[0.0], [0.0], [1.0], [1.0], [0.5]])
    assert noise_sd(units, np.array([1.0, 3.0, 10.0, 12.0, 99.0])) == pytest.approx(math.sqrt(2))
    assert noise_sd(units[3:], np.array([1.0, math.nan])) > 0


def test_a_suggestion_becomes_a_proposal_whose_text_has_the_values() -> None:
    suggestion = Suggestion({"MATRIX_LR": 0.061, "DEPTH": 5}, "MATRIX_LR 0.04 -> 0.061, DEPTH 4 -> 5")
    proposal, text = knob_proposal(TRAIN, suggestion, "p1", "tpe", "parent", 7)
    assert (proposal.kind, proposal.parent_version, proposal.lines_added, proposal.lines_removed) == ("knobs", 7, 2, 2)
    assert {k.name: k.value for k in read_knobs(text)} == HERE | dict(suggestion.values)
