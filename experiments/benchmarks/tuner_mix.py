"""Which mix of moves finds most: the knob tuner's policies on simulated landscapes, under the search's own rule.

    python experiments/benchmarks/tuner_mix.py [--worlds 60] [--budgets 12 24] [--ahead 0] [--policies tpe random ...]

Prints, for rich and for poor worlds, after each budget of trials: median true gain / mean true gain, in units of the
noise's standard deviation (sd), and the share of worlds that gained more than 2 sd. A world has 14 to 18 knobs: in a
rich one three of them hold 5 to 10 sd each, 0.2 to 0.4 of their range away; in a poor one three hold 1.5 to 4 sd; four
stand near their optimum already and cost 2 to 10 sd when moved by 0.4; the others are nearly flat, choices mostly worse
than their default; important knobs interact, and half of them have a cliff behind which a trial diverges (+3 bpb) or
fails. The rule: a child advances the frontier when its result is below m - 0.5 sd and one fresh replicate is below m.
Two slots; `--ahead` proposals wait in the queue, made before the last results were known. Baselines and proofs are not
counted: no policy changes them. Seeded: the same numbers again.
"""

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from tuner_policies import POLICIES, Policy

from autoresearch_ray.candidate.knobs import Knob
from autoresearch_ray.candidate.ranges import Choice, Interval, Range, Value
from autoresearch_ray.propose.tuner.tuner import Observation

SD = 0.010
BASE = 1.76
SLOTS = 2
RICH, POOR = (5.0, 10.0), (1.5, 4.0)  # sd that one of the three important knobs holds


@dataclass(frozen=True)
class World:
    """A landscape; gains in sd."""

    knobs: tuple[Knob, ...]
    centre: np.ndarray  # (knobs,) the best place of a numeric knob in unit space
    curvature: np.ndarray  # (knobs, knobs) sd per squared unit
    options: dict[str, dict[Value, float]]  # sd added by each option of a choice
    cliffs: dict[str, float]  # a knob's place in unit space from which trials diverge
    fails: bool  # beyond a cliff: nan, else +3 bpb

    def loss(self, values: Mapping[str, Value]) -> float:
        """The true objective above the optimum, in sd; nan or 300 beyond a cliff."""
        units = np.array([knob.range.to_unit(values[knob.name]) for knob in self.knobs])
        if any(units[i] > self.cliffs.get(knob.name, 2.0) for i, knob in enumerate(self.knobs)):
            return math.nan if self.fails else 300.0
        away = units - self.centre
        bowl = float(away @ self.curvature @ away)
        return 60 * math.log1p(bowl / 60) + sum(effects[values[name]] for name, effects in self.options.items())


def make_world(rng: np.random.Generator, holds: tuple[float, float]) -> World:
    """A random landscape whose important knobs hold between `holds` sd each."""
    count = int(rng.integers(14, 19))
    kinds = ["log"] * 5 + ["float"] * 3 + ["int"] * 2 + ["log_int"] * 2 + ["choice"] * (count - 12)
    knobs = [_knob(rng, f"K{i}", kind, i) for i, kind in enumerate(kinds)]
    start = np.array([knob.range.to_unit(knob.value) for knob in knobs])
    important = [0, int(rng.integers(1, 5)), int(rng.choice([5, 8, 10, 11]))]
    step = rng.uniform(0.2, 0.4, count) * rng.choice([-1, 1], count)
    centre = np.where((start + step > 0.95) | (start + step < 0.05), start - step, start + step)
    gain = rng.exponential(0.3, count)
    gain[important] = rng.uniform(*holds, 3)
    gain[12:] = 0.0
    steepness = gain / step**2
    tuned = rng.choice([i for i in range(12) if i not in important], 4, replace=False)
    centre[tuned] = np.clip(start[tuned] + rng.normal(0, 0.08, 4), 0, 1)
    steepness[tuned] = rng.uniform(2, 10, 4) / 0.4**2
    curvature = np.diag(steepness)
    for i in important:
        for j in important:
            if i < j:
                curvature[i, j] = rng.uniform(-0.5, 0.5) * math.sqrt(curvature[i, i] * curvature[j, j])
    options = {k.name: _effects(rng, k) for k in knobs[12:]}
    cliffs = {knobs[i].name: max(start[i], centre[i]) + rng.uniform(0.1, 0.35) for i in important if rng.random() < 0.5}
    return World(tuple(knobs), centre, curvature, options, cliffs, bool(rng.random() < 0.5))


def _knob(rng: np.random.Generator, name: str, kind: str, line: int) -> Knob:
    extents: dict[str, Range] = {
        "log": Interval(0.001, 0.1, log=True, integer=False),
        "float": Interval(0.0, 0.9, log=False, integer=False),
        "int": Interval(2, 8, log=False, integer=True),
        "log_int": Interval(4, 64, log=True, integer=True),
        "choice": Choice(("a", "b", "c", "d")[: int(rng.integers(2, 5))]),
    }
    extent = extents[kind]
    unit = 0.0 if kind == "choice" else float(rng.uniform(0.25, 0.75))
    return Knob(name, extent.from_unit(unit), extent, line)


def _effects(rng: np.random.Generator, knob: Knob) -> dict[Value, float]:
    assert isinstance(knob.range, Choice)
    return {option: 0.0 if option == knob.value else float(rng.normal(1.5, 2.0)) for option in knob.range.options}


@dataclass
class _Pending:
    values: dict[str, Value]
    parent: dict[str, Value]
    bar: float  # the parent's m
    first: float | None  # the screening result; this is its confirmation then
    version: int


@dataclass
class _Search:
    """The search of one world: frontier, its estimate m, and what is queued, running and to be confirmed."""

    world: World
    policy: Policy
    rng: np.random.Generator
    ahead: int

    def __post_init__(self) -> None:
        self.frontier = {knob.name: knob.value for knob in self.world.knobs}
        self.version = 0
        self.seen = [Observation(self.frontier, self._measured(self.frontier)) for _ in range(3)]
        self.level = float(np.mean([observation.objective for observation in self.seen]))
        self.queue: list[_Pending] = []
        self.running: list[_Pending] = []
        self.contenders: list[_Pending] = []

    def trial(self) -> None:
        """Start what fits, then end the trial that started first."""
        while len(self.running) < SLOTS:
            self._fill()
            self.running.append(self.contenders.pop(0) if self.contenders else self.queue.pop(0))
        done = self.running.pop(0)
        y = self._measured(done.values)
        self.seen.append(Observation(done.values, y))
        if done.first is None and y < done.bar - 0.5 * SD:
            self.contenders.append(replace(done, first=y))
        elif done.first is not None and y < done.bar:
            self._advance(done, y)

    def _advance(self, done: _Pending, y: float) -> None:
        assert done.first is not None
        change = {name: value for name, value in done.values.items() if value != done.parent[name]}
        if all(self.frontier[name] == done.parent[name] for name in change):
            self.level -= done.bar - (y + done.bar + 0.5 * (done.first - done.bar)) / 2
            self.frontier = self.frontier | change
            self.version += 1

    def _fill(self) -> None:
        self.queue = [p for p in self.queue if p.version >= self.version - 2]
        while len(self.queue) <= self.ahead:
            knobs = [replace(knob, value=self.frontier[knob.name]) for knob in self.world.knobs]
            flying = [p.values for p in [*self.running, *self.contenders, *self.queue]]
            suggestion = self.policy.suggest(knobs, self.seen, flying)
            assert suggestion is not None, "a space with continuous knobs is never exhausted"
            values = self.frontier | dict(suggestion.values)
            self.queue.append(_Pending(values, self.frontier, self.level, None, self.version))

    def _measured(self, values: dict[str, Value]) -> float:
        return BASE + SD * (self.world.loss(values) + self.rng.normal())


def gains(policy: str, seed: int, holds: tuple[float, float], budgets: Sequence[int], ahead: int) -> list[float]:
    """The true gain of the frontier, in sd, after each budget of trials in one world."""
    world = make_world(np.random.default_rng([seed, 7]), holds)
    tuner = POLICIES[policy](np.random.default_rng([seed, 8]))
    run = _Search(world, tuner, np.random.default_rng([seed, 9]), ahead)
    start = world.loss(run.frontier)
    found = []
    for trial in range(1, max(budgets) + 1):
        run.trial()
        if trial in budgets:
            end = world.loss(run.frontier)
            found.append(start - end if math.isfinite(end) else -300.0)
    return found


def main() -> None:
    """Print a table, one policy a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=60)
    parser.add_argument("--budgets", type=int, nargs="+", default=[12, 24])
    parser.add_argument("--ahead", type=int, default=0)
    parser.add_argument("--policies", nargs="+", default=list(POLICIES), choices=list(POLICIES))
    asked = parser.parse_args()
    for policy in asked.policies:
        cells = []
        for holds in (RICH, POOR):
            table = np.array([gains(policy, w, holds, sorted(asked.budgets), asked.ahead) for w in range(asked.worlds)])
            columns = zip(np.median(table, 0), table.mean(0), 100 * (table > 2).mean(0), strict=True)
            cells.append("  ".join(f"{median:5.1f} /{mean:5.1f} {share:4.0f}%" for median, mean, share in columns))
        print(f"{policy:22s} " + "  |  ".join(cells), flush=True)


if __name__ == "__main__":
    main()
