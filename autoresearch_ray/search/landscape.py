"""A made-up objective over a candidate's own knobs, for simulations. In units of the noise's standard deviation (sd).

    landscape = Landscape(read_knobs(source), np.random.default_rng(0))
    landscape.loss({"MATRIX_LR": 0.02, ...})       # above its optimum; lower is better

Three numeric knobs hold most of what can be gained, each 0.2 to 0.4 of its range away from its best place; four stand
near theirs and cost 2 to 10 sd when moved by 0.4; the others are nearly flat, and options of a choice mostly worse than
its value. Real landscapes have interactions and cliffs as well; `experiments/benchmarks/tuner_mix.py` has some.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from autoresearch_ray.candidate.knobs import Knob
from autoresearch_ray.candidate.ranges import Choice, Value

IMPORTANT, SETTLED = 3, 4  # knobs that hold the gains, and knobs that stand near their best
BEND = 60.0  # sd from which the bowl rises more slowly: diverged is diverged


class Landscape:
    """A bowl over the numeric knobs, and an effect for each option of a choice. Knobs that are added later are flat."""

    def __init__(
        self, knobs: Sequence[Knob], rng: np.random.Generator, holds: tuple[float, float] = (5.0, 10.0)
    ) -> None:
        """The important knobs hold between `holds` sd each."""
        numeric = [knob for knob in knobs if not isinstance(knob.range, Choice)]
        self._numeric = {knob.name: index for index, knob in enumerate(numeric)}
        self._ranges = {knob.name: knob.range for knob in knobs}
        count = len(numeric)
        start = np.array([knob.range.to_unit(knob.value) for knob in numeric])
        step = rng.uniform(0.2, 0.4, count) * rng.choice([-1, 1], count)
        centre = np.where((start + step > 0.95) | (start + step < 0.05), start - step, start + step)
        gain, order = rng.exponential(0.3, count), rng.permutation(count)
        gain[order[:IMPORTANT]] = rng.uniform(*holds, len(order[:IMPORTANT]))
        self._steepness = gain / step**2
        settled = order[IMPORTANT : IMPORTANT + SETTLED]
        centre[settled] = start[settled] + rng.normal(0, 0.08, len(settled))
        self._steepness[settled] = rng.uniform(2, 10, len(settled)) / 0.4**2
        self._centre = np.clip(centre, 0, 1)
        self._effects = {
            knob.name: {
                option: 0.0 if option == knob.value else float(rng.normal(1.5, 2.0)) for option in knob.range.options
            }
            for knob in knobs
            if isinstance(knob.range, Choice)
        }

    def loss(self, values: Mapping[str, Value]) -> float:
        """The true objective at these values, in sd above the bowl's floor."""
        bowl = sum(
            float(self._steepness[i]) * (self._ranges[name].to_unit(values[name]) - float(self._centre[i])) ** 2
            for name, i in self._numeric.items()
            if name in values
        )
        effects = sum(options[values[name]] for name, options in self._effects.items() if name in values)
        return BEND * math.log1p(bowl / BEND) + effects
