"""Searches over the whole space of knobs: random, Optuna's TPE, and ASHA on random draws."""

import math
import warnings
from collections.abc import Sequence

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial, TrialState

from autoresearch_ray.candidate.knobs import Knob
from autoresearch_ray.candidate.ranges import Interval
from autoresearch_ray.propose.tuner.knob_moves import Values, frontier_values, redraw_all
from autoresearch_ray.search.peers.halving import GRACE, REDUCTION, Halving
from autoresearch_ray.search.peers.policy import Attempt, Policy


class RandomSearch(Policy):
    """Every knob drawn anew for every attempt."""

    def __init__(self, knobs: Sequence[Knob], rng: np.random.Generator) -> None:
        super().__init__(knobs)
        self._rng = rng

    def choose(self, number: int) -> Values:
        """Uniform over the space, in the units of its ranges."""
        return redraw_all(self.knobs, self._rng)


class Asha(RandomSearch):
    """Random search whose worse attempts stop at rungs, as Ray Tune's AsyncHyperBandScheduler stops them."""

    stops_early = True

    def __init__(self, knobs: Sequence[Knob], rng: np.random.Generator) -> None:
        super().__init__(knobs, rng)
        self._halving = Halving(GRACE, REDUCTION)

    def stops(self, attempt: Attempt, part: float, score: float) -> bool:
        """By the rule; but the start runs to its end, for every gain is counted from there."""
        return self._halving.stops(attempt.number, part, score) and attempt.number > 1


class Tpe(Policy):
    """Optuna's TPESampler as it comes, by ask and tell, the running trials told as bad ones (constant liar)."""

    def __init__(self, knobs: Sequence[Knob], rng: np.random.Generator) -> None:
        super().__init__(knobs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(constant_liar=True, seed=int(rng.integers(2**31)))
        self._study = optuna.create_study(sampler=sampler)
        self._study.enqueue_trial(frontier_values(knobs))
        self._space = {knob.name: distribution(knob) for knob in knobs}
        self._asked: dict[int, Trial] = {}

    def propose(self) -> Attempt | None:
        """The study's next trial."""
        self._proposed += 1
        trial = self._study.ask(self._space)
        self._asked[self._proposed] = trial
        values = {k.name: k.range.from_unit(k.range.to_unit(trial.params[k.name])) for k in self.knobs}
        return Attempt(self._proposed, values, self._proposed)

    def finish(self, attempt: Attempt, score: float) -> None:
        """Tell the study; it leaves failures out."""
        super().finish(attempt, score)
        trial = self._asked.pop(attempt.number)
        if math.isnan(score):
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            self._study.tell(trial, score)


def distribution(knob: Knob) -> BaseDistribution:
    """The knob's range, as Optuna spells it; steps of integers are the caller's, by `from_unit`."""
    extent = knob.range
    if not isinstance(extent, Interval):
        return CategoricalDistribution(extent.values())
    if extent.integer:
        return IntDistribution(int(extent.low), int(extent.high), log=extent.log)
    return FloatDistribution(extent.low, extent.high, log=extent.log)
