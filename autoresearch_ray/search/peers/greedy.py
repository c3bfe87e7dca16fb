"""Keep if lower: upstream's rule, with a tuner's moves in its agent's place.

With one slot one trial follows another; with more, rounds of as many trials side by side start from the kept candidate
and the best of a round is kept if it scored lower. Each run has a new seed, or all have one for ever, as upstream's do.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autoresearch_ray.candidate.knobs import Knob
from autoresearch_ray.propose.tuner.knob_moves import Values, local_move
from autoresearch_ray.search.peers.policy import Attempt, Policy


class Greedy(Policy):
    """The lowest so far with one to three knobs moved; a round begins when the one before it has ended."""

    def __init__(self, knobs: Sequence[Knob], rng: np.random.Generator, slots: int, *, one_seed: bool) -> None:
        super().__init__(knobs)
        self._rng, self._slots, self._one_seed = rng, slots, one_seed
        self._begun = self._ended = 0  # of this round

    def propose(self) -> Attempt | None:
        """The next of the round; None when all of it has begun."""
        if self._begun == self._slots:
            return None
        self._begun += 1
        attempt = super().propose()
        return replace(attempt, seed=0) if attempt and self._one_seed else attempt

    def choose(self, number: int) -> Values:
        """A local move from the lowest so far."""
        return local_move([replace(knob, value=self.reported.values[knob.name]) for knob in self.knobs], self._rng)

    def finish(self, attempt: Attempt, score: float) -> None:
        """Count it; the last of a round makes room for the next."""
        super().finish(attempt, score)
        self._ended += 1
        if self._ended == self._begun:
            self._begun = self._ended = 0
