"""What differs between two candidates, said shortly: constants by value, the rest by the functions that it touches.

`difference` goes by lines and is cheap, for it is done for every trial of a run; texts need not parse.
"""

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autoresearch_ray.candidate.knobs import constants
from autoresearch_ray.errors import CandidateError

CONTEXT_LINES = 3  # of a unified diff
LINES = 16  # of a diff that are kept
LINE_CHARACTERS = 160
NAMED = 4  # places in the words of a change

CONSTANT = re.compile(r"([A-Z][A-Z0-9_]*)\s*(?::[^=]+)?=(?!=)\s*(.*?)\s*(?:\s#.*)?$")
OUTER = re.compile(r"(?:async\s+def|def|class)\s+(\w+)|([A-Za-z_]\w*)\s*(?::[^=]+)?=(?!=)|(import|from)\b")
BEGINS = re.compile(rf"{OUTER.pattern}|\s*@|\s+(?:async\s+)?def\s")
METHOD = re.compile(r"\s+(?:async\s+)?def\s+(\w+)")


@dataclass(frozen=True, slots=True)
class ConstantChange:
    """A module-level constant's literal before and after; "" where it does not exist."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A change between two texts."""

    constants: tuple[ConstantChange, ...]
    places: tuple[
        tuple[str, int, int], ...
    ]  # (function or method, lines added, removed), constants and comments left out
    lines: tuple[str, ...]  # the first of the diff, each with + or -

    def words(self) -> str:
        """The change in a line."""
        parts = [_constant_words(change) for change in self.constants]
        parts += [f"{name} +{added} -{removed}" for name, added, removed in self.places[:NAMED]]
        if len(self.places) > NAMED:
            parts.append(f"{len(self.places) - NAMED} more places")
        return "; ".join(parts) or "nothing"


@dataclass(slots=True)
class _Found:
    """What is collected, by name and in order."""

    before: dict[str, str]
    after: dict[str, str]
    places: dict[str, tuple[int, int]]
    lines: list[str]


def difference(before: str, after: str) -> Difference:
    """The change from one text to the other."""
    old, new = before.splitlines(), after.splitlines()
    found = _Found({}, {}, {}, [])
    for i1, i2, j1, j2 in find_changed_spans(old, new):
        for sign, lines, start, end, values in (("-", old, i1, i2, found.before), ("+", new, j1, j2, found.after)):
            _collect(found, sign, lines, start, end, values)
    names = [*found.after, *(name for name in found.before if name not in found.after)]
    constants = (ConstantChange(name, found.before.get(name, ""), found.after.get(name, "")) for name in names)
    places = tuple((name, *counts) for name, counts in found.places.items())
    return Difference(tuple(constants), places, tuple(found.lines))


def compare_constants(before: str, after: str) -> list[ConstantChange]:
    """Constants (NAME = literal, assigned once) that differ, in the order of the later text; none of a text that is no
    program."""
    old, new = _literals(before), _literals(after)
    names = [*new, *(name for name in old if name not in new)]
    return [ConstantChange(n, old.get(n, ""), new.get(n, "")) for n in names if old.get(n) != new.get(n)]


def diff_lines(before: str, after: str) -> list[str]:
    """The lines of a unified diff, without the two file names."""
    return list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=CONTEXT_LINES, lineterm=""))[2:]


def find_changed_spans(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[int, int, int, int]]:
    """(i1, i2, j1, j2): lines i1 to i2 of the old text became j1 to j2 of the new one."""
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    matcher = difflib.SequenceMatcher(None, old[head : len(old) - tail], new[head : len(new) - tail], autojunk=False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag != "equal":
            yield head + i1, head + i2, head + j1, head + j2


def _literals(source: str) -> dict[str, str]:
    try:
        return {name: repr(value) for name, value in constants(source).items() if name.isupper()}
    except CandidateError:
        return {}


def _collect(found: _Found, sign: str, lines: Sequence[str], start: int, end: int, values: dict[str, str]) -> None:
    place = None
    for number in range(start, end):
        line = lines[number]
        if len(found.lines) < LINES and line.strip():
            found.lines.append(f"{sign} {line[:LINE_CHARACTERS]}")
        constant = CONSTANT.match(line)
        if constant is not None:
            values[constant[1]] = constant[2]
            place = None
        elif line.strip() and not line.lstrip().startswith("#"):
            place = _place(lines, number) if place is None or BEGINS.match(line) else place
            added, removed = found.places.get(place, (0, 0))
            found.places[place] = (added + (sign == "+"), removed + (sign == "-"))


def _place(lines: Sequence[str], number: int) -> str:
    """The function, method or module-level name whose definition holds the line."""
    while lines[number].lstrip().startswith("@") and number + 1 < len(lines):
        number += 1  # a decorator belongs to what follows
    method = ""
    for line in reversed(lines[: number + 1]):
        if line[:1].isspace():
            inner = METHOD.match(line)
            method = method or (inner[1] if inner else "")
            continue
        outer = OUTER.match(line)
        if outer is not None:
            name = outer[1] or outer[2] or "imports"
            return f"{name}.{method}" if method and line.startswith("class") else name
    return "module"


def _constant_words(change: ConstantChange) -> str:
    if not change.before:
        return f"{change.name} = {change.after} added"
    if not change.after:
        return f"{change.name} = {change.before} removed"
    if change.before == change.after:
        return f"{change.name}'s comment"
    return f"{change.name} {change.before} -> {change.after}"
