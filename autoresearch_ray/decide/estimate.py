"""From the ledger to a posterior of every candidate: means, variances, and who is better with which probability. Pure.

The effect of each entry is first estimated from its own comparisons under the prior of its kind. Comparisons with an
ancestor further up say something of the sum of the effects in between; they correct all of them at once, as
conditioning a normal distribution does. The result does not depend on the order in which runs came.
"""

from dataclasses import dataclass
from functools import lru_cache
from operator import is_

import numpy as np

from autoresearch_ray.decide.effects import Belief, Component, Prior, believe, expect, normal_cdf
from autoresearch_ray.decide.learning import Vector, evidence_of_mean, evidence_of_scatter, learn, nothing
from autoresearch_ray.decide.ledger import Entry, Ledger, Past, pair_growth, scatter_over_seeds, within
from autoresearch_ray.records import OWN_SEED

COMPATIBLE, MERGE_SPREAD = 0.7, 0.35  # of merges that do what their parts promise; give or take that part of it


@dataclass(frozen=True, slots=True)
class Sum:
    """What a comparison over several generations says: the effects of these entries together, and its variance."""

    shas: tuple[str, ...]
    total: float
    variance: float


@dataclass(frozen=True, slots=True)
class Gaps:
    """An entry's comparisons with one ancestor: its J less the ancestor's on each seed that both have run on."""

    ancestor_sha: str
    changes: int  # in between
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Of the values."""
        return sum(self.values) / len(self.values)


@dataclass(frozen=True, slots=True)
class Seen:
    """What was made of an entry, and of which: the entry and its ancestors, upwards."""

    line: tuple[Entry, ...]
    gaps: tuple[Gaps, ...]
    evidence: Vector


class Estimate:
    """The posterior at one moment. J is relative to that of the oldest ancestor in play."""

    def __init__(self, ledger: Ledger, before: "Estimate | None" = None) -> None:
        """`before` saves work where entries are the same as then."""
        self._entries = ledger.by_sha
        self._before = before
        self._totals: dict[str, float] = {}
        self._paths: dict[str, tuple[str, ...]] = {}
        self._chances: dict[tuple[str, str, float], float] = {}
        self.scale = ledger.scale
        self._seen = {entry.source_sha: self._look(entry) for entry in ledger.entries if self._parent(entry)}
        self._before = None
        evidence = np.array(ledger.past.evidence) if ledger.past.evidence else nothing()
        for seen in self._seen.values():
            evidence = evidence + seen.evidence
        self.learned = learn(evidence)
        self._prior = self.learned.prior(self.scale)
        self._pair_variance = self.learned.pair_variance * self.scale**2
        self._beliefs = {sha: self._own(sha) for sha in self._seen}
        self._means = {sha: belief.mean for sha, belief in self._beliefs.items()}
        self._involved: dict[str, int] = {}
        self._covariance = np.zeros((0, 0))
        self._condition()

    def path(self, sha: str) -> tuple[str, ...]:
        """The candidate and its ancestors in play, upwards; without the oldest, which has no effect."""
        if sha not in self._paths:
            entry = self._entries[sha]
            parent = self._parent(entry)
            self._paths[sha] = () if parent is None else (sha, *self.path(parent.source_sha))
        return self._paths[sha]

    def mean(self, sha: str) -> float:
        """J relative to the oldest ancestor's."""
        if sha not in self._totals:
            self._totals[sha] = sum(self._means[step] for step in self.path(sha))
        return self._totals[sha]

    def effect(self, sha: str) -> float:
        """Of the candidate's own change."""
        return self._means.get(sha, 0.0)

    def chance_of_effect(self, sha: str, bar: float = 0.0) -> float:
        """That the candidate's own change adds less than `bar` to J."""
        if sha not in self._beliefs:
            return 0.0
        if sha not in self._involved:
            return self._beliefs[sha].chance_below(bar)
        index = self._involved[sha]
        return normal_cdf((bar - self._means[sha]) / float(self._covariance[index, index]) ** 0.5)

    def difference(self, sha: str, other: str) -> tuple[float, float]:
        """J of the one less J of the other: mean and variance."""
        ours, theirs = self._apart(sha, other)
        mean = sum(self._means[step] for step in ours) - sum(self._means[step] for step in theirs)
        signs = {**dict.fromkeys(ours, 1.0), **dict.fromkeys(theirs, -1.0)}
        variance = sum(self._beliefs[step].variance for step in signs if step not in self._involved)
        inside = [step for step in signs if step in self._involved]
        if inside:
            weights = np.array([signs[step] for step in inside])
            where = [self._involved[step] for step in inside]
            variance += float(weights @ self._covariance[np.ix_(where, where)] @ weights)
        return mean, max(variance, 1e-18)

    def chance(self, sha: str, other: str, by: float = 0.0) -> float:
        """That J of the one is lower than that of the other by more than `by`."""
        asked = sha, other, by
        if asked not in self._chances:
            if self._entries[sha].parent_sha == other:
                self._chances[asked] = self.chance_of_effect(sha, -by)
            elif sha == other:
                self._chances[asked] = 0.0
            else:
                mean, variance = self.difference(sha, other)
                self._chances[asked] = normal_cdf((-by - mean) / variance**0.5)
        return self._chances[asked]

    def changes(self, sha: str, other: str) -> int:
        """How many changes lie between the two."""
        ours, theirs = self._apart(sha, other)
        return sum(self._entries[step].changes for step in (*ours, *theirs))

    def pair_variance(self, changes: int) -> float:
        """Of the difference of two runs on one seed, this many changes apart."""
        return self._pair_variance * pair_growth(changes)

    def past_with(self, past: Past, leaving: Entry) -> Past:
        """What was known of the past, and what an entry that leaves the ledger taught."""
        squares, degrees = scatter_over_seeds(leaving)
        evidence = past.evidence
        if leaving.source_sha in self._seen:
            summed = self._seen[leaving.source_sha].evidence + (np.array(evidence) if evidence else nothing())
            evidence = tuple(round(float(value), 2) for value in summed)
        return Past(evidence, past.squares + squares, past.degrees + degrees)

    def _apart(self, sha: str, other: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        ours, theirs = self.path(sha), self.path(other)
        common = set(ours) & set(theirs)
        return tuple(s for s in ours if s not in common), tuple(s for s in theirs if s not in common)

    def _parent(self, entry: Entry) -> Entry | None:
        return self._entries.get(entry.parent_sha)

    def _look(self, entry: Entry) -> "Seen":
        """An entry's comparisons with its ancestors, and what they say of the noise and of effects in general."""
        line = tuple(self._entries[sha] for sha in self.path(entry.source_sha))
        line = (*line, self._entries[line[-1].parent_sha])
        known = self._before._seen.get(entry.source_sha) if self._before else None
        if known is not None and len(known.line) == len(line) and all(map(is_, known.line, line)):
            return known
        gaps = _compare(line)
        evidence = nothing()
        for one in gaps:
            growth = pair_growth(one.changes)
            if one.ancestor_sha == entry.parent_sha and not entry.merged:
                evidence = evidence + evidence_of_mean(one.mean / self.scale, len(one.values), growth)
            squares, degrees = within(list(one.values))
            if degrees:
                evidence = evidence + evidence_of_scatter(squares / growth / self.scale**2, degrees)
        return Seen(line, gaps, evidence)

    def _own(self, sha: str) -> Belief:
        """What an entry's comparisons with its parent say."""
        entry = self._entries[sha]
        prior = _merge_prior(entry.expected, self.scale) if entry.merged else self._prior
        for gaps in self._seen[sha].gaps:
            if gaps.ancestor_sha == entry.parent_sha:
                return _believed(prior, gaps.mean, self.pair_variance(gaps.changes) / len(gaps.values))
        return _expected(prior)

    def _sums(self) -> list[Sum]:
        """Comparisons over several generations."""
        return [
            Sum(
                self._apart(sha, gaps.ancestor_sha)[0],
                gaps.mean,
                self.pair_variance(gaps.changes) / len(gaps.values),
            )
            for sha, seen in self._seen.items()
            for gaps in seen.gaps
            if gaps.ancestor_sha != self._entries[sha].parent_sha
        ]

    def _condition(self) -> None:
        """Correct the effects that the sums are made of."""
        sums = self._sums()
        if not sums:
            return
        involved = sorted({sha for one in sums for sha in one.shas})
        self._involved = {sha: index for index, sha in enumerate(involved)}
        mean = np.array([self._means[sha] for sha in involved])
        covariance = np.diag([self._beliefs[sha].variance for sha in involved])
        for one in sums:
            which = np.zeros(len(involved))
            which[[self._involved[sha] for sha in one.shas]] = 1.0
            spread = covariance @ which
            gain = spread / (which @ spread + one.variance)
            mean = mean + gain * (one.total - which @ mean)
            covariance = covariance - np.outer(gain, spread)
        self._means.update({sha: float(mean[index]) for sha, index in self._involved.items()})
        self._covariance = covariance


def _compare(line: tuple[Entry, ...]) -> tuple[Gaps, ...]:
    """The first's runs against those of the nearest of the others that was run on the same seed, by ancestor."""
    found: dict[int, list[float]] = {}
    for run in line[0].runs:
        for depth, ancestor in enumerate(line[1:] if run.seed_number != OWN_SEED else (), start=1):
            theirs = ancestor.on_seed(run.seed_number)
            if theirs is not None:
                found.setdefault(depth, []).append(run.objective - theirs.objective)
                break
    return tuple(
        Gaps(line[depth].source_sha, sum(entry.changes for entry in line[:depth]), tuple(gaps))
        for depth, gaps in found.items()
    )


def _merge_prior(expected: float, scale: float) -> Prior:
    hope = min(expected, -0.1 * scale)
    return (
        Component(COMPATIBLE, hope, MERGE_SPREAD * -hope + 0.1 * scale),
        Component(1 - COMPATIBLE, max(-hope, 0.5 * scale)),
    )


_believed = lru_cache(4096)(believe)
_expected = lru_cache(256)(expect)
