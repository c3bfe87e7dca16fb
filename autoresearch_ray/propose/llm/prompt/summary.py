"""Everything that was tried, counted: by constant, by function, by kind of failure. Pure, one pass over a past."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from autoresearch_ray.candidate.knobs import read_knobs, spell
from autoresearch_ray.common.errors import CandidateError
from autoresearch_ray.common.text import one_line
from autoresearch_ray.propose.llm.prompt.view import CandidateView, SearchView
from autoresearch_ray.records.proposers import RejectedIdea
from autoresearch_ray.settings.score_words import ScoreWords

NUMBER = re.compile(r"0x[0-9a-f]+|\d+(?:\.\d+)?(?:e[+-]?\d+)?")
LINE_NUMBER = re.compile(r"\bline \d+")
VALUES = 6  # a choice's values that are listed one by one
AMONG_OTHERS = "with other changes"
NAME, GIST = 60, 160  # characters

T = TypeVar("T")


@dataclass(slots=True)
class Tally:
    """The outcomes of candidates that have something in common."""

    tried: int = 0
    failed: int = 0
    advanced: int = 0
    scored: int = 0
    total: float = 0.0
    best: float = math.inf
    best_trial: str = ""
    ways: Counter[str] = field(default_factory=Counter)  # changes tried: lower, higher, or a value

    def add(self, candidate: CandidateView) -> None:
        """Count one more."""
        self.tried += 1
        self.failed += candidate.status != "ok"
        self.advanced += candidate.verdict == "advance"
        if not math.isnan(candidate.difference):
            self.scored += 1
            self.total += candidate.difference
            if candidate.difference < self.best:
                self.best, self.best_trial = candidate.difference, candidate.trial_id

    def words(self, told: ScoreWords) -> str:
        """The outcomes in a few words; differences to the parent are in the metric's own direction."""
        parts = [f"{self.tried}x"]
        if self.scored:
            parts.append(
                f"mean {told.change(self.total / self.scored)}, best {told.change(self.best)} ({self.best_trial})"
            )
        parts += [f"{self.advanced} advanced"] if self.advanced else []
        parts += [f"{self.failed} failed"] if self.failed else []
        return ", ".join(parts)


def knob_lines(view: SearchView) -> Iterator[str]:
    """A line for each constant that was changed, the frontier's knobs first, in their order.

    What changed several at once, or code as well, says little of each: it is counted apart.
    """
    tallies: dict[str, dict[str, Tally]] = {}
    for candidate in view.candidates:
        changed = [change for change in candidate.constants if change.before != change.after]  # else its comment
        alone = len(changed) == 1 and not candidate.places
        for change in changed:
            if candidate.places and not (change.before and change.after):
                continue  # code that came or went with its constants
            way = _way(change.before, change.after) if alone else AMONG_OTHERS
            tallies.setdefault(change.name, {}).setdefault(way, Tally()).add(candidate)
    for name, found in list(tallies.items()):  # changed once, along with others: told with its trial
        if found.keys() == {AMONG_OTHERS} and found[AMONG_OTHERS].tried == 1:
            del tallies[name]
    knobs = _frontier_knobs(view)
    for name in [*(n for n in knobs if n in tallies), *(n for n in tallies if n not in knobs)]:
        ways = sorted(tallies[name].items(), key=lambda item: (item[0] == AMONG_OTHERS, -item[1].tried))[:VALUES]
        told = "; ".join(f"{way} {tally.words(view.words)}" for way, tally in ways)
        yield f"{name} ({knobs.get(name, 'no knob of the frontier')}): {told}"
    moved = {change.name for candidate in view.candidates for change in candidate.constants}
    untried = [name for name in knobs if name not in moved]
    if untried:
        yield f"knobs that were never moved: {', '.join(untried)}"


def area_lines(view: SearchView) -> Iterator[str]:
    """A line for each function that code changes touched more than once, the most tried first."""
    tallies: dict[str, Tally] = {}
    for candidate in view.candidates:
        for place in candidate.places:
            tallies.setdefault(place, Tally()).add(candidate)
    for place, tally in sorted(tallies.items(), key=lambda item: -item[1].tried):
        if tally.tried == 1:
            return  # a place touched once is told with its trial
        yield f"{one_line(place, NAME)}: {tally.words(view.words)}"


def failure_groups(candidates: Iterable[CandidateView]) -> list[list[CandidateView]]:
    """Failures with the same status and the same words at the end, numbers aside; of each kind the largest first.

    Kinds take turns, so that a thousand crashes do not hide the one candidate that ran out of memory.
    """
    groups: dict[tuple[str, str], list[CandidateView]] = {}
    for candidate in candidates:
        if candidate.status != "ok":
            end = next((line for line in reversed(candidate.error[-600:].splitlines()) if line.strip()), "")
            gist = NUMBER.sub("#", one_line(end, GIST))
            groups.setdefault((candidate.status, gist), []).append(candidate)
    return _in_turns(groups)


def rejection_groups(rejected: Iterable[RejectedIdea]) -> list[list[RejectedIdea]]:
    """Ideas that took no slot, by why: the largest group first, the latest among equals; kinds take turns."""
    groups: dict[tuple[str, str], list[RejectedIdea]] = {}
    for idea in reversed(list(rejected)):
        why = LINE_NUMBER.sub("", one_line(idea.detail.strip().split("\n")[0], GIST))
        groups.setdefault((idea.refusal, why), []).append(idea)
    return _in_turns(groups)


def _in_turns(groups: dict[tuple[str, str], list[T]]) -> list[list[T]]:
    """Each kind's largest group, then each kind's second, and so on; the kind is the first part of a key."""
    turns: Counter[str] = Counter()
    ranked = []
    for (kind, _), group in sorted(groups.items(), key=lambda item: -len(item[1])):
        ranked.append((turns[kind], group))
        turns[kind] += 1
    return [group for _, group in sorted(ranked, key=lambda item: (item[0], -len(item[1])))]


def _frontier_knobs(view: SearchView) -> dict[str, str]:
    try:
        return {knob.name: f"now {spell(knob.value)}, {knob.range}" for knob in read_knobs(view.frontier.text)}
    except CandidateError:
        return {}


def _way(before: str, after: str) -> str:
    """Lowered, raised, or the value that it was set to."""
    if not after:
        return "removed"
    if not before:
        return "added"
    try:
        return "raised" if float(after.replace("_", "")) > float(before.replace("_", "")) else "lowered"
    except ValueError:
        return f"set to {one_line(after, NAME)}"
