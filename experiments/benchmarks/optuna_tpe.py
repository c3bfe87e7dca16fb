"""Optuna's own TPE over knobs, to compare with: multivariate, with a constant liar for what is in flight.

A study is built for every suggestion, from the observations alone: 400 of them take 0.2 s.
"""

import math
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import optuna
from optuna.trial import TrialState, create_trial

from autoresearch_ray.candidate.knobs import Knob
from autoresearch_ray.candidate.ranges import Value
from autoresearch_ray.search.peers.sampled import distribution

FAILED = 1e9  # told for a failure; TPE only ranks

optuna.logging.set_verbosity(optuna.logging.WARNING)


def tpe_values(
    knobs: Sequence[Knob],
    seen: Sequence[tuple[Mapping[str, Value], float]],
    running: Sequence[Mapping[str, Value]],
    rng: np.random.Generator,
) -> dict[str, Value]:
    """A value for every knob, from (values, objective) pairs; nan is a failure. All values must be in range."""
    space = {knob.name: distribution(knob) for knob in knobs}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # multivariate and constant_liar
        sampler = optuna.samplers.TPESampler(
            multivariate=True, constant_liar=True, n_startup_trials=0, seed=int(rng.integers(2**31))
        )
    study = optuna.create_study(sampler=sampler)
    for values, objective in seen:
        told = objective if math.isfinite(objective) else FAILED
        study.add_trial(create_trial(params=dict(values), distributions=space, value=told))
    for values in running:
        study.add_trial(create_trial(state=TrialState.RUNNING, params=dict(values), distributions=space))
    params = study.ask(space).params
    return {knob.name: knob.range.from_unit(knob.range.to_unit(params[knob.name])) for knob in knobs}
