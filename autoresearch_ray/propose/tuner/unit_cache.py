"""Where values stand in unit space, remembered: a result is looked at once, not once a suggestion."""

from collections.abc import Mapping, Sequence

import numpy as np

from autoresearch_ray.candidate.knobs import Knob
from autoresearch_ray.candidate.ranges import Range, Value
from autoresearch_ray.propose.tuner.knob_moves import frontier_values, to_units

KEPT = 8_000  # points, of some 500 bytes each
MISSING, OUTSIDE = np.nan, np.inf


class UnitCache:
    """The points of values among today's knobs. Values are remembered by identity, so they must not change."""

    def __init__(self) -> None:
        self._ranges: list[tuple[str, Range]] = []
        self._cached: dict[int, tuple[Mapping[str, Value], np.ndarray]] = {}

    def rows(self, knobs: Sequence[Knob], many: Sequence[Mapping[str, Value]]) -> np.ndarray:
        """(values, knobs) in [0, 1]; inf outside today's range. What values lack is where the frontier has it."""
        ranges = [(knob.name, knob.range) for knob in knobs]
        if ranges != self._ranges or len(self._cached) > KEPT:
            self._ranges, self._cached = ranges, {}
        if not many:
            return np.empty((0, len(knobs)))
        rows = np.array([self._row(values) for values in many])
        return np.where(np.isnan(rows), to_units(knobs, frontier_values(knobs)), rows)

    def _row(self, values: Mapping[str, Value]) -> np.ndarray:
        cached = self._cached.get(id(values))
        if cached is None or cached[0] is not values:
            row = [_unit(extent, values[name]) if name in values else MISSING for name, extent in self._ranges]
            cached = self._cached[id(values)] = values, np.array(row)
        return cached[1]


def _unit(extent: Range, value: Value) -> float:
    return extent.to_unit(value) if extent.contains(value) else OUTSIDE
