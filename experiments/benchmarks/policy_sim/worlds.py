"""Made-up worlds for policies of decision: what changes are worth, how they interact, and what a run of them scores.

Unit: the sd of one run of the starting candidate over seeds. A candidate is a set of changes. Everything about a world
is hashed from its seed and the numbers of changes and seeds, so every policy meets the same proposals in the same
order, the same interactions, and the same score of a candidate on a seed but for the machine's own noise. Most noise of
a paired difference is a change's own effect on the seed, which all its descendants inherit.
"""

import itertools
import math
from dataclasses import dataclass

MASK = (1 << 64) - 1
MACHINE_SHARE = 0.2  # of what is left beside the seed's share: equal runs differ by it
INCOMPATIBLE = 0.25  # of the pairs of changes cancel the smaller of the two, and up to as much again

Changes = frozenset[int]


@dataclass(frozen=True)
class Family:
    """What proposals are like: shares of improvements and of changes that do nothing, sizes, how fast they dry up."""

    good: float
    null: float
    size: float
    decay: float  # proposals after which improvements are e times smaller
    bad: float = 3.0


FAMILIES = {
    "rich": Family(0.15, 0.25, 2.0, 100),
    "fair": Family(0.15, 0.25, 1.0, math.inf),
    "poor": Family(0.1, 0.5, 1.0, 200),
    "small": Family(0.3, 0.3, 0.5, math.inf),
    "rare": Family(0.05, 0.4, 3.0, 200),
    "nothing": Family(0.0, 1.0, 0.0, math.inf),
}


class World:
    """One world. `seed_share`: part of a run's variance that its seed brings to every candidate alike."""

    def __init__(self, family: Family, seed: int, seed_share: float, incompatible: float = INCOMPATIBLE) -> None:
        self._family, self._seed, self._incompatible = family, seed, incompatible
        rest = 1 - seed_share
        self._seed_sd, self._machine_sd = math.sqrt(seed_share), math.sqrt(MACHINE_SHARE * rest)
        self._own_sd = math.sqrt(
            2 * (1 - MACHINE_SHARE) * rest
        )  # of a change's effect on a seed; its descendants have it
        self._effects: dict[int, float] = {}
        self._truths: dict[Changes, float] = {frozenset(): 0.0}

    def effect(self, change: int) -> float:
        """What the change adds to J by itself; below 0 it improves."""
        if change not in self._effects:
            self._effects[change] = self._draw(self._family, change, change)
        return self._effects[change]

    def truth(self, changes: Changes) -> float:
        """J of a candidate, 0 for the start."""
        if changes not in self._truths:
            pairs = itertools.combinations(sorted(changes), 2)
            self._truths[changes] = sum(map(self.effect, changes)) + sum(self._interaction(a, b) for a, b in pairs)
        return self._truths[changes]

    def run(self, changes: Changes, seed: int, number: int) -> float:
        """J of one run on a seed; `number` tells runs apart that are equal but for the machine."""
        own = sum(self._normal(4, change, seed) for change in changes) * self._own_sd
        return (
            self.truth(changes)
            + own
            + self._normal(3, 0, seed) * self._seed_sd
            + self._normal(5, number, seed) * self._machine_sd
        )

    def _draw(self, family: Family, change: int, number: int) -> float:
        """The effect of a change that is the `number`th of its family."""
        kind, size = self._uniform(1, change), family.size * math.exp(-number / family.decay)
        draw = -math.log(1 - self._uniform(2, change))
        if kind < family.good:
            return -size * draw
        return 0.0 if kind < family.good + family.null else family.bad * draw

    def _interaction(self, a: int, b: int) -> float:
        if self._uniform(6, a, b) >= self._incompatible:
            return 0.0
        return min(abs(self.effect(a)), abs(self.effect(b))) * (1 + self._uniform(7, a, b))

    def _uniform(self, *what: int) -> float:
        """In [0, 1), by splitmix64 of what is asked."""
        state = self._seed
        for value in what:
            state = (state * 0x9E3779B97F4A7C15 + value + 1) & MASK
            state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
            state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
            state ^= state >> 31
        return (state >> 11) / (1 << 53)

    def _normal(self, *what: int) -> float:
        """Standard normal, by Box and Muller."""
        radius = math.sqrt(-2 * math.log(1 - self._uniform(*what, 0)))
        return radius * math.cos(2 * math.pi * self._uniform(*what, 1))
