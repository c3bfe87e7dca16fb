"""What an earlier run measured, as observations for the knob tuners of this one.

Machines differ in speed from day to day, and scores with them. So the earlier scores are shifted, all by as much, until
the earlier run's best stands where this run measured it: as its own start. Before that they compare with each other
alone, which is all that a tuner needs then.
"""

import math

from autoresearch_ray.propose.tuner.tuner import Observation
from autoresearch_ray.records.history import EarlierRun


class Prior:
    """The scores of an earlier run, on this run's scale as far as that is known."""

    def __init__(self, earlier: EarlierRun | None) -> None:
        self._earlier = earlier
        self._starts: list[float] = []
        self._observations = self._shift()

    def note_start(self, objective: float) -> None:
        """This run measured its start at this J; NaN for a run that failed."""
        if math.isfinite(objective):
            self._starts.append(objective)
            self._observations = self._shift()

    def observations(self) -> tuple[Observation, ...]:
        """The earlier results, oldest first."""
        return self._observations

    def _shift(self) -> tuple[Observation, ...]:
        if self._earlier is None:
            return ()
        shift = sum(self._starts) / len(self._starts) - self._earlier.objective if self._starts else 0.0
        return tuple(Observation(score.values, score.objective + shift) for score in self._earlier.scores)
