"""A run's start and best as pairs under other settings: does the win hold there?"""

import ast
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from autoresearch_ray.candidate.knobs import set_constants, spell
from autoresearch_ray.common.errors import CandidateError, SettingsError
from autoresearch_ray.driver.side_by_side import run_side_by_side
from autoresearch_ray.observe import facts, headline
from autoresearch_ray.observe.pairs import Pair
from autoresearch_ray.observe.transfers import Transfer
from autoresearch_ray.records.history import History
from autoresearch_ray.records.trials import Isolation
from autoresearch_ray.settings.experiment import Experiment
from autoresearch_ray.settings.experiment_file import load_experiment
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.connect import read_run

FIRST_SEED = 2_000_000  # far from the seeds that a search draws
SIDES = ("the start", "the best")


@dataclass(frozen=True, slots=True)
class Proven:
    """A run that has something to compare with its start."""

    history: History
    settings: RunSettings
    start_sha: str
    best_sha: str

    def text(self, sha: str) -> str:
        """A candidate's. SettingsError where the store has lost it."""
        if sha not in self.history.candidates:
            raise SettingsError(f"source {sha} is not in the run's store; nothing can be measured without it")
        return self.history.candidates[sha].text


def read_proven(run_dir: Path, pairs: int) -> Proven:
    """The run of this folder. SettingsError where it has no win, or there would be too few pairs."""
    if pairs < 2:
        raise SettingsError(f"--pairs {pairs}: expected at least 2, for there is no interval of one")
    history = read_run(run_dir)
    start_sha, best_sha = facts.start_sha(history), facts.best_sha(history)
    if start_sha == best_sha:
        raise SettingsError(f"{run_dir}: its best is the starting candidate; nothing has been proven yet")
    return Proven(history, RunSettings.model_validate_json(json.dumps(history.settings)), start_sha, best_sha)


@dataclass(frozen=True, slots=True)
class AskedTransfer:
    """A transfer that was asked for."""

    experiment: Experiment
    isolation: Isolation
    texts: tuple[str, str]  # start, best
    best_sha: str
    run_gain: float
    words: str  # describes the settings
    seeds: range

    def record(self, pairs: Sequence[Pair], failures: Sequence[str]) -> Transfer:
        """The measured transfer, as a record."""
        return Transfer(self.words, self.best_sha, self.run_gain, tuple(pairs), tuple(failures), time.time())


def ask_transfer(
    run_dir: Path,
    other: Path | None,
    budget_seconds: float | None,
    constants: Sequence[str],
    pairs: int,
    isolation: Isolation | None,
) -> AskedTransfer:
    """The transfer that a command line asks for. SettingsError says which part is wrong."""
    proven = read_proven(run_dir, pairs)
    own, summary = proven.settings.train_experiment, headline.summarise(proven.history)
    experiment = (load_experiment(other) if other else own).override(budget_seconds=budget_seconds)
    values = dict(map(parse_constant, constants))
    return AskedTransfer(
        experiment,
        isolation or proven.settings.isolation,
        _set_in_both(proven, values),
        proven.best_sha,
        summary.gain if summary.wins else math.nan,
        _words(experiment, own, values),
        range(FIRST_SEED, FIRST_SEED + pairs),
    )


def parse_constant(text: str) -> tuple[str, object]:
    """NAME=VALUE of a module-level constant; VALUE is a Python literal, or a text as it stands. SettingsError."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip().isidentifier():
        raise SettingsError(f"--set {text}: expected NAME=VALUE, such as DEPTH=8")
    try:
        return name.strip(), ast.literal_eval(value.strip())
    except (ValueError, SyntaxError):
        return name.strip(), value.strip()


def measure_transfer(asked: AskedTransfer, say: Callable[[str], None]) -> Iterator[tuple[Pair, list[str]]]:
    """Pair after pair, each with the words of the sides that failed. Errors as of `run_side_by_side`."""
    for seed, results in run_side_by_side(asked.experiment, asked.isolation, asked.texts, asked.seeds, say):
        failures = [
            f"{side}, seed {seed}: {result.status}: {result.error}"
            for side, result in zip(SIDES, results, strict=True)
            if result.status != "ok"
        ]
        yield Pair(seed, results[0].val_bpb, results[1].val_bpb), failures


def _set_in_both(proven: Proven, values: dict[str, object]) -> tuple[str, str]:
    """Values outside the range of their knob too: another scale may lie beyond what the tuner was allowed."""
    try:
        start, best = (set_constants(proven.text(sha), values) for sha in (proven.start_sha, proven.best_sha))
    except CandidateError as error:
        said = " ".join(f"{name}={spell(value)}" for name, value in values.items())
        raise SettingsError(f"--set {said}: {error}") from None
    return start, best


def _words(experiment: Experiment, own: Experiment, values: dict[str, object]) -> str:
    """The differences to the run's own settings, in words."""
    hidden = (
        "candidate",
        "trials",
        "overtime_trials",
        "removal_margin",
        "constants",
    )  # they say nothing of what is measured
    changed = [
        f"{name} {value}"
        for name, value in experiment.model_dump().items()
        if name not in hidden and value != getattr(own, name)
    ]
    return ", ".join([*changed, *(f"{name} {spell(value)}" for name, value in values.items())]) or "as in the run"
