"""What a run's candidates are checked by before they take a slot: rules for their text, and a dry run of train.py.

    check_for(settings)(text, program_lines)      # CandidateError: a rule refuses it
    runner = make_dry_runner(settings)                        # one that finds nothing for a script

A script has no dry run: what it needs to start (data, time, a GPU) is not known.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from autoresearch_ray.benchmark.trial.dryrun import DryRunner
from autoresearch_ray.candidate.rules import check_candidate
from autoresearch_ray.errors import CandidateError
from autoresearch_ray.experiment import Experiment
from autoresearch_ray.records import Candidate
from autoresearch_ray.settings import RunTerms


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


def check_for(run: RunTerms) -> Callable[[str, int], None]:
    """The rules that candidates of this run must keep to: of a text, and of the length of program.md."""
    return check_candidate if isinstance(run.experiment, Experiment) else _check_files(run.baseline)


def _check_files(baseline: str) -> Callable[[str, int], None]:
    paths = [path for path, _ in Candidate.of(baseline).files]

    def check(text: str, program_lines: int) -> None:
        seen = [path for path, _ in Candidate.of(text).files]
        if seen != paths:
            raise CandidateError(f"files: {', '.join(seen)}; expected exactly {', '.join(paths)}")

    return check
