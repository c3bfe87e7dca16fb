"""From the ledger to a posterior of every candidate: means, variances, and who is better with which probability. Pure.

The effect of each entry is first estimated from its own comparisons under the prior of its kind. Comparisons with an
ancestor further up say something of the sum of the effects in between; they correct all of them at once, as
conditioning a normal distribution does. The result does not depend on the order in which runs came.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from autoresearch_ray.decide.effects import Belief, Component, Prior, believe, expect, normal_cdf
from autoresearch_ray.decide.learning import Learned, Vector, evidence_of_mean, evidence_of_scatter, learn, nothing
from autoresearch_ray.decide.ledger import Entry, Ledger, Past, pair_growth, scatter_over_seeds, within
from autoresearch_ray.records.trials import OWN_SEED

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

    shas: tuple[str, ...]  # the entries whose effects lie in between, from the entry itself upwards
    changes: int  # in between
    values: tuple[float, ...]
    mean: float  # of the values


@dataclass(frozen=True, slots=True)
class Seen:
    """What an entry's runs and its ancestors' say of it."""

    own: Gaps | None  # with its parent
    further: tuple[Gaps, ...]  # with ancestors further up
    evidence: Vector


class Estimate:
    """The posterior at one moment. J is relative to that of the oldest ancestor in play."""

    def __init__(self, ledger: Ledger, before: "Estimate | None" = None) -> None:
        """`before` saves work where entries are the same as then."""
        self._entries = ledger.by_sha
        self._totals: dict[str, float] = {}
        self._paths: dict[str, tuple[str, ...]] = {}
        self._chances: dict[tuple[str, str, float], float] = {}
        self._differences: dict[tuple[str, str], tuple[float, float]] = {}
        self._changes: dict[tuple[str, str], int] = {}
        self.scale = ledger.scale
        old = before if before is not None and before.scale == self.scale else None
        same = self._unchanged(ledger, old)
        if old is not None:
            self._paths.update({sha: old.path(sha) for sha in same})
        self._seen: dict[str, Seen] = {
            entry.source_sha: old._seen[entry.source_sha] if old and entry.source_sha in same else self._look(entry)
            for entry in ledger.entries
            if entry.parent_sha in self._entries
        }
        evidence = ledger.past.vector.copy() if ledger.past.evidence else nothing()
        for seen in self._seen.values():
            evidence += seen.evidence
        self.learned = learn(evidence)
        if old is None or old.learned != self.learned:
            same = set()
        self._pair_variance = self.learned.pair_variance * self.scale**2
        self._beliefs: dict[str, Belief] = {
            sha: old._beliefs[sha] if old and sha in same else self._own(sha) for sha in self._seen
        }
        self._means = {sha: belief.mean for sha, belief in self._beliefs.items()}
        self._involved: dict[str, int] = {}
        self._covariance = np.zeros((0, 0))
        self._condition(old, same)

    def path(self, sha: str) -> tuple[str, ...]:
        """The candidate and its ancestors in play, upwards; without the oldest, which has no effect."""
        if sha not in self._paths:
            parent = self._entries[sha].parent_sha
            self._paths[sha] = (sha, *self.path(parent)) if parent in self._entries else ()
        return self._paths[sha]

    def mean(self, sha: str) -> float:
        """J relative to the oldest ancestor's."""
        if sha not in self._totals:
            self._totals[sha] = sum(map(self._means.__getitem__, self.path(sha)))
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
        if (sha, other) not in self._differences:
            self._differences[sha, other] = self._subtract(*self._apart(sha, other))
        return self._differences[sha, other]

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
        if (sha, other) not in self._changes:
            ours, theirs = self._apart(sha, other)
            self._changes[sha, other] = sum(self._entries[step].changes for step in (*ours, *theirs))
        return self._changes[sha, other]

    def pair_variance(self, changes: int) -> float:
        """Of the difference of two runs on one seed, this many changes apart."""
        return self._pair_variance * pair_growth(changes)

    def past_with(self, past: Past, leaving: Entry) -> Past:
        """What was known of the past, and what an entry that leaves the ledger taught."""
        squares, degrees = scatter_over_seeds(leaving)
        evidence = past.evidence
        if leaving.source_sha in self._seen:
            summed = self._seen[leaving.source_sha].evidence + (past.vector if evidence else nothing())
            evidence = _hundredths(summed)
        return Past(evidence, past.squares + squares, past.degrees + degrees)

    def _subtract(self, ours: tuple[str, ...], theirs: tuple[str, ...]) -> tuple[float, float]:
        mean = sum(self._means[step] for step in ours) - sum(self._means[step] for step in theirs)
        signs = {**dict.fromkeys(ours, 1.0), **dict.fromkeys(theirs, -1.0)}
        variance = sum(self._beliefs[step].variance for step in signs if step not in self._involved)
        inside = [step for step in signs if step in self._involved]
        if inside:
            weights = np.array([signs[step] for step in inside])
            where = [self._involved[step] for step in inside]
            variance += float(weights @ self._covariance[np.ix_(where, where)] @ weights)
        return mean, max(variance, 1e-18)

    def _apart(self, sha: str, other: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        ours, theirs = self.path(sha), self.path(other)
        common = set(ours) & set(theirs)
        return tuple(s for s in ours if s not in common), tuple(s for s in theirs if s not in common)

    def _unchanged(self, ledger: Ledger, old: "Estimate | None") -> set[str]:
        """The entries that have the same runs and ancestors as in the earlier estimate, and these the same runs."""
        same: set[str] = set()
        if old is None:
            return same
        for entry in ledger.entries:  # parents come before their children
            sha, parent = entry.source_sha, entry.parent_sha
            then = old._entries.get(sha)
            has_line = parent in same if parent in self._entries else sha not in old._seen
            if has_line and then is not None and then.runs is entry.runs:
                same.add(sha)
        return same

    def _look(self, entry: Entry) -> Seen:
        """An entry's comparisons with its ancestors, and what they say of the noise and of effects in general."""
        path = self.path(entry.source_sha)
        gaps = _compare([self._entries[sha] for sha in (*path, self._entries[path[-1]].parent_sha)])
        evidence = nothing()
        for one in gaps:
            growth = pair_growth(one.changes)
            if len(one.shas) == 1 and not entry.merged:
                evidence = evidence + evidence_of_mean(one.mean / self.scale, len(one.values), growth)
            squares, degrees = within(list(one.values))
            if degrees:
                evidence = evidence + evidence_of_scatter(squares / growth / self.scale**2, degrees)
        own = next((one for one in gaps if len(one.shas) == 1), None)
        return Seen(own, tuple(one for one in gaps if one is not own), evidence)

    def _own(self, sha: str) -> Belief:
        """What an entry's comparisons with its parent say."""
        entry = self._entries[sha]
        gaps = self._seen[sha].own
        variance = self.pair_variance(gaps.changes) / len(gaps.values) if gaps else 0.0
        if not entry.merged:
            return _believed(self.learned, self.scale, gaps.mean if gaps else None, variance)
        prior = _merge_prior(entry.expected, self.scale)
        return believe(prior, gaps.mean, variance) if gaps else expect(prior)

    def _sums(self) -> list[Sum]:
        """Comparisons over several generations."""
        return [
            Sum(gaps.shas, gaps.mean, self.pair_variance(gaps.changes) / len(gaps.values))
            for sha in self._corrected
            for gaps in self._seen[sha].further
        ]

    def _condition(self, old: "Estimate | None", same: set[str]) -> None:
        """Correct the effects that the sums are made of; `same` are the entries whose beliefs are the old ones."""
        self._corrected = [sha for sha, seen in self._seen.items() if seen.further]
        if old is not None and old._corrected == self._corrected and same.issuperset(self._corrected):
            self._involved, self._covariance = old._involved, old._covariance
            self._means.update({sha: old._means[sha] for sha in self._involved})
            self._totals = {sha: total for sha, total in old._totals.items() if sha in same}
            self._chances = {
                asked: chance for asked, chance in old._chances.items() if asked[0] in same and asked[1] in same
            }
            return
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


def _compare(line: Sequence[Entry]) -> tuple[Gaps, ...]:
    """The first's runs against those of the nearest of the others that was run on the same seed, by ancestor."""
    found: dict[int, list[float]] = {}
    for run in line[0].runs:
        for depth, ancestor in enumerate(line[1:] if run.seed_number != OWN_SEED else (), start=1):
            theirs = ancestor.on_seed(run.seed_number)
            if theirs is not None:
                found.setdefault(depth, []).append(run.objective - theirs.objective)
                break
    return tuple(
        Gaps(
            tuple(entry.source_sha for entry in line[:depth]),
            sum(entry.changes for entry in line[:depth]),
            tuple(gaps),
            sum(gaps) / len(gaps),
        )
        for depth, gaps in found.items()
    )


def _hundredths(values: Vector) -> tuple[float, ...]:
    """Each as `round` rounds it to two decimals, but all at once."""
    whole = np.rint(values * 100)
    if np.any(np.abs(np.abs(values * 100 - whole) - 0.5) < 1e-6):  # `round` sees on which side of a half a value lies
        return tuple(round(value, 2) for value in values.tolist())
    return tuple((whole / 100).tolist())


def _merge_prior(expected: float, scale: float) -> Prior:
    hope = min(expected, -0.1 * scale)
    return (
        Component(COMPATIBLE, hope, MERGE_SPREAD * -hope + 0.1 * scale),
        Component(1 - COMPATIBLE, max(-hope, 0.5 * scale)),
    )


_prior_of = lru_cache(64)(Learned.prior)


@lru_cache(4096)
def _believed(learned: Learned, scale: float, observed: float | None, variance: float) -> Belief:
    """The posterior of a change that is no merge; the prior itself where nothing was observed."""
    prior = _prior_of(learned, scale)
    return expect(prior) if observed is None else believe(prior, observed, variance)
