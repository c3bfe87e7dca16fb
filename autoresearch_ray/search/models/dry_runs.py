"""A dry run of a candidate before it takes a slot, where there is one.

    runner = make_dry_runner(settings)      # for a script one that finds nothing

A script has none: what it needs to start (data, time, a GPU) is not known.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from autoresearch_ray.benchmark.trial.dryrun import DryRunner
from autoresearch_ray.settings.experiment import Experiment
from autoresearch_ray.settings.run_settings import RunTerms


class Dry(Protocol):
    """Tries candidates' texts until it is closed."""

    async def run(self, text: str) -> str | None:
        """The end of its output if it failed, None if it works."""

    def close(self) -> None:
        """End what it holds."""


class NoDryRun:
    """For scripts: every text may be tried."""

    async def run(self, text: str) -> str | None:
        """None."""
        return None

    def close(self) -> None:
        """Nothing is held."""


def make_dry_runner(terms: RunTerms, hidden: Sequence[Path] = ()) -> Dry:
    """What tries the candidates of a run; it hides these folders from them."""
    if isinstance(terms.experiment, Experiment):
        return DryRunner(terms.experiment, terms.isolation, tuple(hidden))
    return NoDryRun()
