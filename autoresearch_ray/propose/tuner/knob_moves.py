"""Moves in the space of knobs: local steps around the frontier, and uniform draws."""

import math
from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np

from autoresearch_ray.candidate.knobs import Knob
from autoresearch_ray.candidate.ranges import Choice, Value, same

CHANGED = (0.7, 0.2, 0.1)  # probability that a local move changes one, two, three knobs
UP_TO = np.cumsum(CHANGED)[:-1]
STEP = (0.1, 0.4)  # share of a numeric knob's range, uniform, up or down; see experiments/benchmarks/tuner_mix.py
MOST_LISTED = 10_000  # combinations of a finite space that are worth listing

Values = dict[str, Value]


def frontier_values(knobs: Sequence[Knob]) -> Values:
    """The values that the frontier has."""
    return {knob.name: knob.value for knob in knobs}


def to_units(knobs: Sequence[Knob], values: Mapping[str, Value]) -> np.ndarray:
    """(knobs,) float64 in [0, 1]."""
    return np.array([knob.range.to_unit(values[knob.name]) for knob in knobs])


def all_units(knobs: Sequence[Knob], rows: Sequence[Mapping[str, Value]]) -> np.ndarray:
    """(rows, knobs) float64 in [0, 1]."""
    units = np.empty((len(rows), len(knobs)))
    for column, knob in enumerate(knobs):
        units[:, column] = knob.range.to_units([row[knob.name] for row in rows])
    return units


def from_units(knobs: Sequence[Knob], units: np.ndarray) -> Values:
    """The values at a point in unit space."""
    return {knob.name: knob.range.from_unit(unit) for knob, unit in zip(knobs, units.tolist(), strict=True)}


def local_move(knobs: Sequence[Knob], rng: np.random.Generator) -> Values:
    """The frontier with one to three knobs moved by a step; a choice takes another option."""
    count = min(len(knobs), 1 + int(np.searchsorted(UP_TO, rng.random(), side="right")))
    values = frontier_values(knobs)
    for index in rng.permutation(len(knobs))[:count]:
        values[knobs[index].name] = _step(knobs[index], rng)
    return values


def redraw_one(knobs: Sequence[Knob], rng: np.random.Generator) -> Values:
    """The frontier with one knob drawn anew from its whole range."""
    knob = knobs[int(rng.integers(len(knobs)))]
    return frontier_values(knobs) | {knob.name: knob.range.from_unit(float(rng.random()))}


def redraw_all(knobs: Sequence[Knob], rng: np.random.Generator) -> Values:
    """Every knob drawn anew from its whole range."""
    return {knob.name: knob.range.from_unit(float(rng.random())) for knob in knobs}


def every_combination(knobs: Sequence[Knob]) -> list[Values] | None:
    """All combinations of values of a small space; None if it is large or has a continuous knob."""
    options = [knob.range.values() for knob in knobs]
    if not all(options) or math.prod(map(len, options)) > MOST_LISTED:
        return None
    return [{knob.name: value for knob, value in zip(knobs, row, strict=True)} for row in product(*options)]


def _step(knob: Knob, rng: np.random.Generator) -> Value:
    """The knob's value one step away, backwards at the range's end; unchanged if there is no other value."""
    if isinstance(knob.range, Choice):
        others = [option for option in knob.range.options if not same(option, knob.value)]
        return others[int(rng.integers(len(others)))]
    unit = knob.range.to_unit(knob.value)
    for _ in range(20):
        moved = unit + rng.uniform(*STEP) * (1 if rng.random() < 0.5 else -1)
        if 0 <= moved <= 1 and knob.range.from_unit(moved) != knob.value:
            return knob.range.from_unit(moved)
    return knob.value
