"""What the knob tuner stands on: the model's features, TPE's densities, points that are remembered."""

import warnings
from collections.abc import Iterator, Mapping

import numpy as np
import optuna
import pytest
from candidates import TRAIN
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from autoresearch_ray.candidate.knobs import Knob, read_knobs
from autoresearch_ray.candidate.ranges import Choice, Interval, Value
from autoresearch_ray.propose.tuner.knob_moves import all_units
from autoresearch_ray.propose.tuner.surrogate import SPREAD, WIDTH, best_move, features
from autoresearch_ray.propose.tuner.tpe import tpe_units
from autoresearch_ray.propose.tuner.tuner import Observation, Tuner
from autoresearch_ray.propose.tuner.unit_cache import UnitCache

KNOBS = read_knobs(TRAIN)
A = Knob("A", 0.5, Interval(0.0, 1.0, log=False, integer=False), 1)
B = Knob("B", "x", Choice(("x", "y", "z")), 2)


class Counted(Mapping[str, Value]):
    """Values that count how often one is read."""

    def __init__(self, values: dict[str, Value]) -> None:
        self._values, self.reads = values, 0

    def __getitem__(self, name: str) -> Value:
        self.reads += 1
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def drawn(count: int) -> list[dict[str, Value]]:
    rng = np.random.default_rng(4)
    return [{k.name: k.range.from_unit(float(rng.random())) for k in KNOBS} for _ in range(count)]


def test_products_of_features_are_the_covariance() -> None:
    units = all_units(KNOBS, drawn(40))
    expected = np.zeros((40, 40))
    for index, knob in enumerate(KNOBS):
        distance = units[:, index, None] - units[:, index]
        smooth = np.exp(-0.5 * (distance / WIDTH) ** 2)
        expected += distance == 0 if isinstance(knob.range, Choice) else smooth
    rows = features(KNOBS, units)
    assert np.abs(rows @ rows.T - SPREAD**2 * expected / len(KNOBS)).max() < 1e-4 * SPREAD**2


def test_moves_are_drawn_as_often_as_a_gaussian_process_likes_them() -> None:
    """Two moves: the share of draws that prefers the first is the posterior's probability of it."""
    units, moves, here = np.array([[0.5], [0.9]]), np.array([[0.3], [0.75]]), np.array([0.5])
    scores = np.array([0.0, -3.0])
    objectives = 1 + 0.01 * scores  # and the noise is a quarter of the quartiles' distance
    scores = (objectives - objectives[0]) / (0.25 * float(np.subtract(*np.percentile(objectives, [75, 25]))))

    def covariance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.asarray(SPREAD**2 * np.exp(-0.5 * ((one - other.T) / WIDTH) ** 2))

    gain = covariance(moves, units) @ np.linalg.inv(covariance(units, units) + np.eye(2))
    mean, spread = gain @ scores, covariance(moves, moves) - gain @ covariance(units, moves)
    sd = float(np.sqrt(spread[0, 0] + spread[1, 1] - 2 * spread[0, 1]))
    standard = np.random.default_rng(1).normal(size=100_000)
    expected = float(np.mean(standard * sd < mean[1] - mean[0]))
    rng = np.random.default_rng(0)
    first = np.mean([best_move([A], units, objectives, here, moves, rng) == 0 for _ in range(2000)])
    assert 0.02 < expected < 0.98 and abs(first - expected) < 0.04


@pytest.mark.parametrize("flying", [0, 30])
def test_tpe_draws_where_the_best_results_are_and_as_optunas_does(flying: int) -> None:
    rng = np.random.default_rng(0)
    units = np.column_stack([rng.random(60), (rng.integers(3, size=60) + 0.5) / 3])
    objectives = np.abs(units[:, 0] - 0.8) + np.abs(units[:, 1] - 0.5)
    running = np.tile([0.8, 0.5], (flying, 1))
    ours = np.array([tpe_units([A, B], units, objectives, running, rng) for _ in range(80)])
    theirs = np.array([optunas(units, objectives, running, seed) for seed in range(80)])
    assert (np.abs(ours[:, 0] - 0.8) < 0.2).mean() > 0.9 and (ours[:, 1] == 0.5).mean() > 0.9
    bins = np.linspace(0.6, 1.0, 6)
    shares = [np.histogram(found[:, 0], bins)[0] / 80 for found in (ours, theirs)]
    assert np.abs(shares[0] - shares[1]).sum() < 0.5, shares


def optunas(units: np.ndarray, objectives: np.ndarray, running: np.ndarray, seed: int) -> list[float]:
    """Where Optuna's own sampler goes."""
    space: dict[str, BaseDistribution] = {
        "A": FloatDistribution(0, 1),
        "B": CategoricalDistribution([0.5 / 3, 0.5, 2.5 / 3]),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(multivariate=True, constant_liar=True, n_startup_trials=0, seed=seed)
    study = optuna.create_study(sampler=sampler)
    for place, value in zip(units, objectives, strict=True):
        study.add_trial(create_trial(params=_named(place), distributions=space, value=value))
    for place in running:
        study.add_trial(create_trial(state=TrialState.RUNNING, params=_named(place), distributions=space))
    return list(study.ask(space).params.values())


def _named(place: np.ndarray) -> dict[str, float]:
    return {"A": float(place[0]), "B": min((0.5 / 3, 0.5, 2.5 / 3), key=lambda option: abs(option - place[1]))}


def test_tpe_takes_points_at_the_ends_and_failures_and_one_result() -> None:
    rng = np.random.default_rng(0)
    ends = np.array([[0.0, 0.5 / 3], [1.0, 2.5 / 3]] * 8)
    failed = np.full(16, np.nan)
    for units, objectives in ((ends, failed), (ends[:1], np.array([1.0])), (ends, np.arange(16.0))):
        place = tpe_units([A, B], units, objectives, ends, rng)
        assert (place >= 0).all() and (place <= 1).all()


def test_a_result_is_looked_at_once_however_many_suggestions_follow() -> None:
    seen = [Observation(Counted(values), float(index % 7)) for index, values in enumerate(drawn(600))]
    machine = Tuner("tpe", np.random.default_rng(0))
    for count in range(590, 600):
        assert machine.suggest(KNOBS, seen[:count], []) is not None
    assert {observation.values.reads for observation in seen[:599]} == {len(KNOBS)}  # type: ignore[attr-defined]


def test_points_follow_the_order_and_the_ranges_of_todays_knobs() -> None:
    values: dict[str, Value] = {"A": 0.25, "B": "y"}
    cache = UnitCache()
    assert cache.rows([A, B], [values]).tolist() == [[0.25, 0.5]]
    assert cache.rows([B, A], [values]).tolist() == [[0.5, 0.25]]
    narrow = Knob("A", 0.5, Interval(0.3, 0.7, log=False, integer=False), 1)
    assert cache.rows([narrow, B], [values])[0, 0] == np.inf
    assert cache.rows([A, Knob("C", 0.75, A.range, 3)], [values]).tolist() == [[0.25, 0.75]]
