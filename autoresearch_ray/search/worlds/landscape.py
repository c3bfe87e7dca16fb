"""Made-up objectives over a candidate's own knobs, for simulations. In units of the noise's standard deviation (sd).

    landscape = Bowl(lay_out(read_knobs(source), np.random.default_rng(0)))
    landscape.loss({"MATRIX_LR": 0.02, ...})       # above its optimum; lower is better

Three numeric knobs hold most of what can be gained, each 0.2 to 0.4 of its range away from its optimum; four stand
near theirs and cost 2 to 10 sd when moved by 0.4; the others are nearly flat, and options of a choice mostly worse than
its value. Every landscape has this layout. `Bowl` adds the knobs up; `rugged.py` is what training
code is more like.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from autoresearch_ray.candidate.knobs import Knob
from autoresearch_ray.candidate.ranges import Choice, Range, Value

IMPORTANT, SETTLED = 3, 4  # knobs that hold the gains, and knobs that stand near their best
BEND = 60.0  # sd from which the bowl rises more slowly: diverged is diverged

Values = Mapping[str, Value]


class Landscape(Protocol):
    """What candidates are truly worth. Knobs that it does not know are flat."""

    def loss(self, values: Values) -> float:
        """The true objective, in sd above the floor of the numeric knobs."""
        ...

    def diverges(self, values: Values) -> bool:
        """Whether training blows up there."""
        ...


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the numeric knobs stand, where they should, and what that is worth; arrays are by numeric knob."""

    ranges: dict[str, Range]  # of the numeric knobs, in the arrays' order
    start: np.ndarray  # points in unit space
    centre: np.ndarray
    steepness: np.ndarray  # sd per squared unit
    important: np.ndarray  # indices
    settled: np.ndarray
    effects: dict[str, dict[Value, float]]  # sd that each option of a choice adds

    def away(self, values: Values) -> np.ndarray:
        """How far each numeric knob is from its optimum; 0 for one that the values lack."""
        units = [
            r.to_unit(values[n]) if n in values else c for (n, r), c in zip(self._numeric, self.centre, strict=True)
        ]
        return np.asarray(np.array(units) - self.centre)

    def of_options(self, values: Values) -> float:
        """What the choices add, in sd."""
        return sum(options[values[name]] for name, options in self.effects.items() if name in values)

    @property
    def _numeric(self) -> list[tuple[str, Range]]:
        return list(self.ranges.items())


def lay_out(knobs: Sequence[Knob], rng: np.random.Generator, holds: tuple[float, float] = (5.0, 10.0)) -> Layout:
    """A layout in which each important knob holds between `holds` sd."""
    numeric = [knob for knob in knobs if not isinstance(knob.range, Choice)]
    count = len(numeric)
    start = np.array([knob.range.to_unit(knob.value) for knob in numeric])
    step = rng.uniform(0.2, 0.4, count) * rng.choice([-1, 1], count)
    centre = np.where((start + step > 0.95) | (start + step < 0.05), start - step, start + step)
    gain, order = rng.exponential(0.3, count), rng.permutation(count)
    important, settled = order[:IMPORTANT], order[IMPORTANT : IMPORTANT + SETTLED]
    gain[important] = rng.uniform(*holds, len(important))
    steepness = gain / step**2
    centre[settled] = start[settled] + rng.normal(0, 0.08, len(settled))
    steepness[settled] = rng.uniform(2, 10, len(settled)) / 0.4**2
    effects: dict[str, dict[Value, float]] = {
        knob.name: {
            option: 0.0 if option == knob.value else float(rng.normal(1.5, 2.0)) for option in knob.range.options
        }
        for knob in knobs
        if isinstance(knob.range, Choice)
    }
    ranges: dict[str, Range] = {knob.name: knob.range for knob in numeric}
    return Layout(ranges, start, np.clip(centre, 0, 1), steepness, important, settled, effects)


def bend(loss: float) -> float:
    """The loss, rising more slowly from BEND on."""
    return BEND * math.log1p(loss / BEND)


class Bowl:
    """The sum of what each knob does by itself. It never diverges."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def loss(self, values: Values) -> float:
        """The true objective at these values, in sd above the bowl's floor."""
        layout = self._layout
        return bend(float(layout.steepness @ layout.away(values) ** 2)) + layout.of_options(values)

    def diverges(self, values: Values) -> bool:
        """Never."""
        return False
