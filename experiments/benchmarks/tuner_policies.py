"""The policies that `tuner_mix.py` compares: the two that ship, and those that were not better or not simpler."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from optuna_tpe import tpe_values

from autoresearch_ray.candidate.knobs import Knob
from autoresearch_ray.candidate.ranges import Choice, Value
from autoresearch_ray.propose.tuner import knob_moves
from autoresearch_ray.propose.tuner.knob_moves import Values, frontier_values
from autoresearch_ray.propose.tuner.surrogate import best_move
from autoresearch_ray.propose.tuner.tuner import Observation, Suggestion, Tuner


class Policy(Protocol):
    """What suggests changes."""

    def suggest(
        self, knobs: Sequence[Knob], observations: Sequence[Observation], running: Sequence[Mapping[str, Value]]
    ) -> Suggestion | None:
        """The knobs to change on the frontier."""


Propose = Callable[[list[Knob], list[tuple[Values, float]], list[Values], np.random.Generator], Values]


class Plain:
    """A policy that is one function of what was seen."""

    def __init__(self, rng: np.random.Generator, propose: Propose) -> None:
        self._rng, self._propose = rng, propose

    def suggest(
        self, knobs: Sequence[Knob], observations: Sequence[Observation], running: Sequence[Mapping[str, Value]]
    ) -> Suggestion:
        """The first proposal that changes something and was not tried."""
        seen = [(dict(o.values), o.objective) for o in observations]
        flying = [dict(values) for values in running]
        tried = [*flying, *(values for values, _ in seen)]
        while True:
            values = self._propose(list(knobs), seen, flying, self._rng)
            if values not in tried:
                return Suggestion({k.name: values[k.name] for k in knobs if values[k.name] != k.value}, "")


class Onwards:
    """Local moves; after an advance the same change once more, and after a clear failure the opposite one."""

    def __init__(self, rng: np.random.Generator, again: bool, opposite: bool) -> None:
        self._rng, self._again, self._opposite = rng, again, opposite
        self._before: Values = {}
        self._heard = 0
        self._plain = Plain(rng, self._propose)

    def suggest(
        self, knobs: Sequence[Knob], observations: Sequence[Observation], running: Sequence[Mapping[str, Value]]
    ) -> Suggestion:
        """A continuation if there is one, else a local move."""
        return self._plain.suggest(knobs, observations, running)

    def _propose(
        self, knobs: list[Knob], seen: list[tuple[Values, float]], _: list[Values], rng: np.random.Generator
    ) -> Values:
        here = frontier_values(knobs)
        before, self._before = self._before or here, here
        fresh, self._heard = seen[self._heard :], len(seen)
        if self._again and before != here and rng.random() < 0.5:
            return _mirrored(knobs, before)
        level = np.mean([y for values, y in seen if values == here] or [min(y for _, y in seen if y == y)])
        failed = [v for v, y in fresh if not y < level + 0.02 and 0 < sum(v[n] != here[n] for n in v) <= 3]
        return _mirrored(knobs, failed[0]) if self._opposite and failed else knob_moves.local_move(knobs, rng)


def _mirrored(knobs: list[Knob], values: Values) -> Values:
    """The frontier moved away from `values` as far as it is from them; choices stay."""
    here = frontier_values(knobs)
    for knob in knobs:
        if values[knob.name] != knob.value and not isinstance(knob.range, Choice):
            unit = 2 * knob.range.to_unit(knob.value) - knob.range.to_unit(values[knob.name])
            here[knob.name] = knob.range.from_unit(unit)
    return here


def _steps(draw: Callable[[np.random.Generator], float], counts: Sequence[float]) -> Propose:
    """Local moves with another distribution of the step, or of the number of knobs."""

    def propose(knobs: list[Knob], _: list[tuple[Values, float]], __: list[Values], rng: np.random.Generator) -> Values:
        values = frontier_values(knobs)
        for index in rng.choice(len(knobs), 1 + int(rng.choice(len(counts), p=counts)), replace=False):
            knob = knobs[index]
            if isinstance(knob.range, Choice):
                values |= {knob.name: knob.range.from_unit(float(rng.random()))}
            else:
                unit = knob.range.to_unit(knob.value) + draw(rng) * float(rng.choice([-1.0, 1.0]))
                values |= {knob.name: knob.range.from_unit(unit)}
        return values

    return propose


def _model(knobs: list[Knob], seen: list[tuple[Values, float]], _: list[Values], rng: np.random.Generator) -> Values:
    options = [knob_moves.local_move(knobs, rng) for _ in range(64)]
    units, places = ([knob_moves.to_units(knobs, v) for v in group] for group in ([v for v, _ in seen], options))
    frontier = knob_moves.to_units(knobs, frontier_values(knobs))
    objectives = np.array([y for _, y in seen])
    return options[best_move(knobs, np.array(units), objectives, frontier, np.array(places), rng)]


def _local_then_tpe(share: float, most: int) -> Propose:
    """Local moves without a model; a share of proposals takes up to `most` knobs from TPE."""

    def propose(
        knobs: list[Knob], seen: list[tuple[Values, float]], flying: list[Values], rng: np.random.Generator
    ) -> Values:
        if len(seen) < 12 or rng.random() >= share:
            return knob_moves.local_move(knobs, rng)
        drawn = tpe_values(knobs, seen, flying, rng)
        count = min(len(knobs), int(rng.integers(1, most + 1)))
        names = {knobs[i].name for i in rng.choice(len(knobs), count, replace=False)}
        return {k.name: drawn[k.name] if k.name in names else k.value for k in knobs}

    return propose


def _plain(propose: Propose) -> Callable[[np.random.Generator], Policy]:
    return lambda rng: Plain(rng, propose)


ONE_TO_THREE = knob_moves.CHANGED
POLICIES: dict[str, Callable[[np.random.Generator], Policy]] = {
    "tpe": lambda rng: Tuner("tpe", rng),
    "random": lambda rng: Tuner("random", rng),
    "model-alone": _plain(_model),
    "pure-tpe": _plain(lambda knobs, seen, flying, rng: tpe_values(knobs, seen, flying, rng)),
    "random-all": _plain(lambda knobs, seen, flying, rng: knob_moves.redraw_all(knobs, rng)),
    "local": _plain(lambda knobs, seen, flying, rng: knob_moves.local_move(knobs, rng)),
    "local-tpe": _plain(_local_then_tpe(0.3, 15)),
    "tpe-1-to-3": _plain(_local_then_tpe(1.0, 3)),
    "local-again": lambda rng: Onwards(rng, again=True, opposite=False),
    "local-opposite": lambda rng: Onwards(rng, again=False, opposite=True),
    "normal-0.1": _plain(_steps(lambda rng: abs(rng.normal(0, 0.1)), ONE_TO_THREE)),
    "normal-0.2": _plain(_steps(lambda rng: abs(rng.normal(0, 0.2)), ONE_TO_THREE)),
    "normal-0.3": _plain(_steps(lambda rng: abs(rng.normal(0, 0.3)), ONE_TO_THREE)),
    "one-knob-normal-0.2": _plain(_steps(lambda rng: abs(rng.normal(0, 0.2)), [1.0])),
    "three-to-five": _plain(_steps(lambda rng: rng.uniform(*knob_moves.STEP), [0, 0, 0.4, 0.3, 0.3])),
}
