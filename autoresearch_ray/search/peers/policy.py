"""What a peer is: a policy of search that a simulation runs beside ours.

A peer proposes values for knobs and a seed, hears a score, and at the end reports the lowest score that it has seen, as
such systems do. Its first attempt is the starting candidate, so that it knows what its user had before.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from autoresearch_ray.candidate.knobs import Knob
from autoresearch_ray.propose.tuner.knob_moves import Values, frontier_values


@dataclass(frozen=True, slots=True)
class Attempt:
    """One trial of a peer."""

    number: int  # 1, 2, 3 ...
    values: Values
    seed: int


class Policy:
    """The base of all: new values for every slot that is free, each on a seed of its own, and none stopped early."""

    stops_early = False

    def __init__(self, knobs: Sequence[Knob]) -> None:
        self.knobs = knobs
        self.start_score = math.nan  # of the first attempt
        self.reported = Attempt(0, frontier_values(knobs), 0)
        self.reported_score = math.inf
        self._proposed = 0

    def propose(self) -> Attempt | None:
        """What a free slot runs; None while this policy waits for what is running."""
        self._proposed += 1
        values = frontier_values(self.knobs) if self._proposed == 1 else self.choose(self._proposed)
        return Attempt(self._proposed, values, self._proposed)

    def choose(self, number: int) -> Values:
        """The values of the attempt with this number."""
        raise NotImplementedError

    def stops(self, attempt: Attempt, part: float, score: float) -> bool:
        """Whether to stop it, after this part of its budget and with this score there."""
        return False

    def finish(self, attempt: Attempt, score: float) -> None:
        """Hear of an attempt's score: its last one if it was stopped, nan if it failed."""
        if attempt.number == 1:
            self.start_score = score
        if score < self.reported_score:
            self.reported, self.reported_score = attempt, score
