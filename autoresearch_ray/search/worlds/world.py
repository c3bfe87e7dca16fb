"""What a trial measures, without being run: a landscape's truth, and everything that hides it.

    world = World(Conditions(landscape="rugged"), seed=0, knobs=read_knobs(source), budget_seconds=300)
    world.measure(values, seed=17, slot=3, passed=0.5)

Every number is hashed from the world's seed and what it is about, never drawn in turn: all policies meet the same
landscape, and the same candidate scores the same on the same seed, whoever runs it and when, but for drift and slots.

A run's variance around the truth is noise_sd^2, one knob's step from the start, and has three parts: the seed's,
which all candidates share on it; the candidate's own on that seed, a smooth function of its knobs that is 0 at the
start and grows with the distance (so neighbours share most of it, as descendants do); and the machine's, of each run.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from autoresearch_ray.candidate.knobs import Knob
from autoresearch_ray.candidate.ranges import Value
from autoresearch_ray.records.trials import FailureStatus
from autoresearch_ray.search.worlds.landscape import Bowl, Landscape, Values, lay_out
from autoresearch_ray.search.worlds.rugged import Rugged

LandscapeName = Literal["rugged", "bowl"]
LANDSCAPES: tuple[LandscapeName, ...] = get_args(LandscapeName)

BASE_BPB = 1.76
OVERHEAD = 0.06  # of the budget: start-up and scoring, give or take half
MACHINE_SHARE = 0.2  # of what is left beside the seed's share: equal runs differ by it
HELD_OUT_SD = 0.3  # of a run: how differently it does on the two splits
FEATURES, REACH = 16, 0.25  # cosines of a smooth function, and the distance in unit space at which it is another one
REPORTS = 16  # of a learning curve, evenly over the budget
EARLY_BPB = 0.15  # above its last value, at a quarter of the budget
EARLY_SPREAD = 0.35  # of the logarithm of that, between candidates: their curves cross
CURVE_SD = 0.5  # of a run: noise of one report
SLOWER_BPB = 0.05  # what half the steps cost
WAVES = 3  # of the drift


@dataclass(frozen=True, slots=True)
class Conditions:
    """What can be asked of a world."""

    landscape: LandscapeName = "rugged"
    holds: tuple[float, float] = (5.0, 10.0)  # sd that an important knob holds, least and most
    noise_sd: float = 0.01  # bpb, of one run over seeds
    seed_share: float = 0.8  # of that variance that is common to all candidates with the same seed
    failures: float = 0.02  # share of trials that crash; the start's never do
    drift: float = 0.0  # sd by which equal runs are worse at the end of the search than at its start
    slow_share: float = 0.0  # of the slots
    slow_factor: float = 1.0  # steps that another slot makes in the time of one of theirs


@dataclass(frozen=True, slots=True)
class Measured:
    """What one trial says."""

    status: Literal["ok", FailureStatus]
    val_bpb: float  # nan for a failure
    holdout_bpb: float
    curve: tuple[float, ...]  # val_bpb after 1, 2 ... of REPORTS parts of the budget; up to a failure


class World:
    """One world; immutable. `passed` is everywhere the part of the search's time that is over, 0 to 1."""

    def __init__(self, conditions: Conditions, seed: int, knobs: Sequence[Knob], budget_seconds: float) -> None:
        rng = np.random.default_rng([seed, 1])
        layout = lay_out(knobs, rng, conditions.holds)
        self.landscape: Landscape = Bowl(layout) if conditions.landscape == "bowl" else Rugged(layout, rng)
        self.conditions, self.knobs, self.budget_seconds = conditions, tuple(knobs), budget_seconds
        self._seed = seed
        rest = 1 - conditions.seed_share
        self._seed_sd = conditions.noise_sd * math.sqrt(conditions.seed_share)
        self._own_sd = conditions.noise_sd * math.sqrt((1 - MACHINE_SHARE) * rest)
        self._machine_sd = conditions.noise_sd * math.sqrt(MACHINE_SHARE * rest)
        self._fails = bool(self._rng("fails").random() < 0.5)  # where training diverges; else it ends with a high loss
        self._waves = self._rng("drift").normal(size=WAVES) * 0.3 / np.arange(1, WAVES + 1)

    @property
    def start(self) -> dict[str, Value]:
        """The starting candidate's values."""
        return {knob.name: knob.value for knob in self.knobs}

    def truth(self, values: Values) -> float:
        """The score of these values on average over seeds, on a slot like most before any drift, in bpb."""
        return BASE_BPB + self.conditions.noise_sd * self.landscape.loss(values)

    def gain(self, values: Values) -> float:
        """What these values truly gain over the start, in sd."""
        return (self.truth(self.start) - self.truth(values)) / self.conditions.noise_sd

    def measure(self, values: Values, seed: int, slot: int, passed: float, again: int = 0) -> Measured:
        """One run of these values; `again` counts the earlier ones of this search with the same seed."""
        what = f"{sorted(values.items())} {seed} {again}"
        rng = self._rng(f"run {what}")
        crashes, (machine, held_out), jitter = rng.random(), rng.normal(size=2), rng.normal(size=REPORTS)
        seeds = self._seed_sd * float(self._rng(f"seed {seed}").normal())
        noise = seeds + self._own(values, seed) + self._machine_sd * machine
        score = self.truth(values) + noise + self._setting(slot, passed)
        sd = self.conditions.noise_sd
        jitter[-1] = 0
        curve = score + self._early(values) * _progress() + CURVE_SD * sd * jitter
        if crashes < self.conditions.failures and dict(values) != self.start:
            return Measured("crash", math.nan, math.nan, tuple(curve[: REPORTS // 2].tolist()))
        if self._fails and self.landscape.diverges(values):
            return Measured("invalid", math.nan, math.nan, ())
        return Measured("ok", float(score), float(score + HELD_OUT_SD * sd * held_out), tuple(curve.tolist()))

    def seconds(self, number: int, slot: int) -> float:
        """How long the trial of this number takes there, start-up and scoring included."""
        overhead = OVERHEAD * (0.5 + self._rng(f"seconds {number}").random())
        return self.budget_seconds * (1 + overhead * self._slowness(slot))

    def _own(self, values: Values, seed: int) -> float:
        """The candidate's own luck on this seed: over seeds of mean 0, at the start 0, far away sqrt(2) own sd."""
        return self._own_sd * self._smooth(f"own {seed}", values, minus_start=True)

    def _early(self, values: Values) -> float:
        return EARLY_BPB * math.exp(EARLY_SPREAD * self._smooth("early", values))

    def _setting(self, slot: int, passed: float) -> float:
        """What slot and hour make of a score, in bpb."""
        waves = np.sin(math.pi * passed * np.arange(1, WAVES + 1)) @ self._waves
        drift = self.conditions.drift * self.conditions.noise_sd * (passed + float(waves))
        return drift + SLOWER_BPB * math.log2(self._slowness(slot))

    def _slowness(self, slot: int) -> float:
        share = self.conditions.slow_share
        return self.conditions.slow_factor if int((slot + 1) * share) > int(slot * share) else 1.0

    def _smooth(self, name: str, values: Values, minus_start: bool = False) -> float:
        """A random function of the knobs by this name, of variance 1 over names, that varies over REACH.

        A Gaussian process by random cosines (Rahimi and Recht 2007, Random Features for Large-Scale Kernel Machines).
        """
        rng = self._rng(name)
        slopes = rng.normal(size=(FEATURES, len(self.knobs))) / REACH
        phases = rng.uniform(0, 2 * math.pi, FEATURES)
        units = np.array([knob.range.to_unit(values.get(knob.name, knob.value)) for knob in self.knobs])
        total = np.cos(slopes @ units + phases)
        if minus_start:
            total -= np.cos(slopes @ [knob.range.to_unit(knob.value) for knob in self.knobs] + phases)
        return math.sqrt(2 / FEATURES) * float(total.sum())

    def _rng(self, what: str) -> np.random.Generator:
        digest = hashlib.blake2b(f"{self._seed} {what}".encode(), digest_size=16).digest()
        return np.random.default_rng(int.from_bytes(digest, "big"))


def _progress() -> np.ndarray:
    """(REPORTS,) what is still to be learned after each part of the budget: 1 at a quarter, 0 at the end."""
    return (np.arange(1, REPORTS + 1) / REPORTS) ** -0.5 - 1
