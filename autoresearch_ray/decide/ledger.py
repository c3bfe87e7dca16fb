"""The ledger: every run of every candidate in play, and what all of them together say of each candidate's J. Pure.

Candidates are a tree. Each stands a change, of unknown effect, away from its parent: J(child) = J(parent) + effect.
Runs on the same seed are compared with each other, because most of their noise is common; a run on a seed that the
parent has not been run on is compared with the nearest ancestor that has. Of each effect its own pairs make a posterior
(`effects.py`); comparisons over several generations then correct the effects along their way (`estimate.py`).

A pair's noise is mostly what the change itself does on that seed, which descendants inherit, so its variance grows
with the changes in between. It is learned from the run's own pairs (`learning.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from autoresearch_ray.decide.learning import Vector
from autoresearch_ray.records.trials import Kind

MACHINE_SHARE = 0.2  # of a pair's variance after one change: what equal runs differ by; it does not grow with changes


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a candidate: the number of its seed, J, and J of the held-out split."""

    seed_number: int
    objective: float
    holdout: float


@dataclass(frozen=True, slots=True)
class Entry:
    """A candidate in the ledger."""

    source_sha: str
    parent_sha: str  # "" for the start
    number: int  # of the trial that it came with: later candidates have higher ones
    kind: Kind
    proposer: str
    proposal_id: str
    hypothesis: str
    code_lines: int
    runs: tuple[Run, ...] = ()
    merged: tuple[str, ...] = ()  # candidates whose own changes it brings onto its parent
    expected: float = 0.0  # effect of a merge: the sum of its parts'
    offered_at: int = 0  # the frontier's version that its change was last offered to for a merge
    failures: int = 0  # of its runs after the first

    @property
    def changes(self) -> int:
        """How many changes it is away from its parent."""
        return max(1, len(self.merged))

    def on_seed(self, number: int) -> Run | None:
        """Its run on a numbered seed; of several the first."""
        return next((run for run in self.runs if run.seed_number == number), None)


def pair_growth(changes: int) -> float:
    """How a pair's variance grows with the changes in between: all but the machine's part of it is inherited."""
    return MACHINE_SHARE + (1 - MACHINE_SHARE) * changes


@dataclass(frozen=True)
class Past:
    """What candidates that left the ledger taught: `learning.py` knows what the evidence is."""

    evidence: tuple[float, ...] = ()
    squares: float = 0.0  # of candidates' runs over their seeds, about their mean
    degrees: int = 0

    @cached_property
    def vector(self) -> Vector:
        """The evidence, to be added to other evidence; never changed."""
        return np.array(self.evidence)


@dataclass(frozen=True)
class Ledger:
    """The entries in play, the oldest first, and what those that left taught."""

    entries: tuple[Entry, ...] = ()
    past: Past = field(default_factory=Past)
    scale: float = 0.0  # sd of the start over seeds when it was first known: the unit of what is learned

    @cached_property
    def by_sha(self) -> dict[str, Entry]:
        """The entries by the hash of their source."""
        return {entry.source_sha: entry for entry in self.entries}

    def get(self, source_sha: str) -> Entry | None:
        """The entry of a candidate, if it is in play."""
        return self.by_sha.get(source_sha)

    def with_entry(self, entry: Entry) -> "Ledger":
        """With a new entry, or with another version of a known one."""
        if self.get(entry.source_sha) is None:
            return replace(self, entries=(*self.entries, entry))
        entries = tuple(entry if known.source_sha == entry.source_sha else known for known in self.entries)
        return replace(self, entries=entries)

    def path(self, source_sha: str) -> Iterator[Entry]:
        """The candidate and its ancestors, upwards, as far as they are in play."""
        entry = self.get(source_sha)
        while entry is not None:
            yield entry
            entry = self.get(entry.parent_sha) if entry.parent_sha else None

    @cached_property
    def over_seeds(self) -> tuple[float, int]:
        """Sum of squares and degrees of freedom of J over seeds, of all that were run three times or more."""
        known = [(self.past.squares, self.past.degrees), *map(scatter_over_seeds, self.entries)]
        return sum(squares for squares, _ in known), sum(degrees for _, degrees in known)

    @property
    def sd(self) -> float:
        """Of one candidate's J over seeds; NaN while none was run three times."""
        squares, degrees = self.over_seeds
        return (squares / degrees) ** 0.5 if degrees else float("nan")

    @property
    def degrees(self) -> int:
        """Degrees of freedom behind `sd`."""
        return self.over_seeds[1]


def scatter_over_seeds(entry: Entry) -> tuple[float, int]:
    """Sum of squares of a candidate's runs about their mean, and its degrees of freedom; of three runs or more."""
    return within([run.objective for run in entry.runs]) if len(entry.runs) > 2 else (0.0, 0)


def within(values: list[float]) -> tuple[float, int]:
    """Sum of squares about the mean, and its degrees of freedom."""
    if len(values) < 2:
        return 0.0, 0
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values), len(values) - 1
