"""What differs between two candidates, said shortly: constants by value, the rest by the functions that it touches.

`difference` goes by lines and is cheap, for it is done for every trial of a run; texts need not parse. What differs in
a text with headings (`source_files.py`) is told file by file, and names the file.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from autoresearch_ray.candidate.knobs import constants, file_constants, file_knobs, names_of
from autoresearch_ray.candidate.languages import is_python, language_of
from autoresearch_ray.candidate.plain_knobs import constant_of_line
from autoresearch_ray.common.errors import CandidateError
from autoresearch_ray.common.paths import CANDIDATE_FILE
from autoresearch_ray.records.source_files import has_headings, split

CONTEXT_LINES = 3  # context of a unified diff
LINES = 16  # most lines of a diff
LINE_CHARACTERS = 160
NAMED = 4  # places in the words of a change

CONSTANT = re.compile(r"([A-Z][A-Z0-9_]*)\s*(?::[^=]+)?=(?!=)\s*(.*?)\s*(?:\s#.*)?$")
OUTER = re.compile(r"(?:async\s+def|def|class)\s+(\w+)|([A-Za-z_]\w*)\s*(?::[^=]+)?=(?!=)|(import|from)\b")
BEGINS = re.compile(rf"{OUTER.pattern}|\s*@|\s+(?:async\s+)?def\s")
METHOD = re.compile(r"\s+(?:async\s+)?def\s+(\w+)")
KNOB = re.compile(r"([A-Za-z_]\w*)\s*(?::[^=]+)?=(?!=)\s*(.*?)\s*#.*\bsearch\s+\w+\s*\(")  # a script's: any case
FUNCTION = re.compile(
    r"(?:[A-Za-z_][^;={]*?[\s*&])?([A-Za-z_]\w*)\s*(?:<[^(]*>)?\s*\([^;]*$"
)  # the first line of one, in most languages

Read = Callable[[str], tuple[str, str] | None]  # a line -> name and literal, if it is a constant


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
    """Constants, places and lines of a change while they are collected."""

    before: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def difference(self) -> Difference:
        """All of it."""
        names = [*self.after, *(name for name in self.before if name not in self.after)]
        constants = (ConstantChange(name, self.before.get(name, ""), self.after.get(name, "")) for name in names)
        places = tuple((name, *counts) for name, counts in self.places.items())
        return Difference(tuple(constants), places, tuple(self.lines))


def difference(before: str, after: str) -> Difference:
    """The change from one text to the other."""
    if has_headings(before) or has_headings(after):
        return _compare_files(before, after)
    found = _Found()
    _collect_all(found, before, after, partial(_read_assignment, (CONSTANT,)), _place)
    return found.difference()


def compare_constants(before: str, after: str) -> list[ConstantChange]:
    """Constants (NAME = literal, assigned once) that differ, in the order of the later text; none of a text that is no
    program."""
    if has_headings(before) or has_headings(after):
        return _compare_file_constants(before, after)
    old, new = _literals(before), _literals(after)
    names = [*new, *(name for name in old if name not in new)]
    return [ConstantChange(n, old.get(n, ""), new.get(n, "")) for n in names if old.get(n) != new.get(n)]


def diff_lines(before: str, after: str) -> list[str]:
    """The lines of a unified diff, without the two file names; with them where several files may differ."""
    if has_headings(before) or has_headings(after):
        found = list[str]()
        for path, old, new in pair_files(before, after):
            lines = diff_lines(old, new)
            found += [f"--- {path}", f"+++ {path}", *lines] if lines else []
        return found
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


def pair_files(before: str, after: str) -> list[tuple[str, str, str]]:
    """(path, text before, text after) of the files of two texts, "" where there is none, in the order of the later."""
    old, new = (dict(split(text) if has_headings(text) else ((CANDIDATE_FILE, text),)) for text in (before, after))
    return [(path, old.get(path, ""), new.get(path, "")) for path in {**new, **old}]


def _compare_files(before: str, after: str) -> Difference:
    """The change of every file, whose places bear its path; constants are called as `knobs.py` calls them."""
    whole = _Found()
    names = [_names(text) for text in (before, after)]
    for path, old, new in pair_files(before, after):
        if old == new:
            continue
        found = _Found()
        if is_python(path):
            _collect_all(found, old, new, partial(_read_assignment, (CONSTANT, KNOB)), _place)
        else:
            _collect_all(found, old, new, partial(constant_of_line, path), _function, path)
        for values, own, calls in ((whole.before, found.before, names), (whole.after, found.after, names)):
            values |= {_name(calls, path, name): literal for name, literal in own.items()}
        whole.places |= {f"{path}:{place}" if place else path: counts for place, counts in found.places.items()}
        whole.lines += [f"  {path}:", *found.lines] if found.lines and len(whole.lines) < LINES else []
    whole.lines = whole.lines[:LINES]
    return whole.difference()


def _compare_file_constants(before: str, after: str) -> list[ConstantChange]:
    changes = list[ConstantChange]()
    try:
        names = [names_of(text) for text in (before, after)]
    except CandidateError:
        return []
    for path, *texts in pair_files(before, after):
        if texts[0] != texts[1]:
            old, new = (_literals_of_file(path, text) for text in texts)
            changes += [
                ConstantChange(_name(names, path, name), old.get(name, ""), new.get(name, ""))
                for name in {**new, **old}
                if old.get(name) != new.get(name)
            ]
    return changes


def _literals_of_file(path: str, text: str) -> dict[str, str]:
    try:
        knobs = {knob.name for knob in file_knobs(path, text)}
        every = file_constants(path, text).items()
    except CandidateError:
        return {}
    return {name: repr(value) for name, value in every if name.isupper() or name in knobs}


def _names(text: str) -> Mapping[tuple[str, str], str]:
    """How its constants are called; none of a text that is no program."""
    try:
        return names_of(text)
    except CandidateError:
        return {}


def _name(names: Sequence[Mapping[tuple[str, str], str]], path: str, name: str) -> str:
    """How a constant is called in the later text, else in the earlier one."""
    return names[1].get((path, name)) or names[0].get((path, name)) or name


def _literals(source: str) -> dict[str, str]:
    try:
        return {name: repr(value) for name, value in constants(source).items() if name.isupper()}
    except CandidateError:
        return {}


def _collect_all(
    found: _Found, before: str, after: str, read: Read, place_of: Callable[[Sequence[str], int], str], path: str = ""
) -> None:
    old, new = before.splitlines(), after.splitlines()
    marks = (*language_of(path).marks, "/*") if path else ("#",)
    for i1, i2, j1, j2 in find_changed_spans(old, new):
        for sign, lines, start, end, values in (("-", old, i1, i2, found.before), ("+", new, j1, j2, found.after)):
            place = None
            for number in range(start, end):
                line = lines[number]
                if len(found.lines) < LINES and line.strip():
                    found.lines.append(f"{sign} {line[:LINE_CHARACTERS]}")
                constant = read(line)
                if constant is not None:
                    values[constant[0]] = constant[1]
                    place = None
                elif line.strip() and not line.lstrip().startswith(marks):
                    place = place_of(lines, number) if place is None or path or BEGINS.match(line) else place
                    added, removed = found.places.get(place, (0, 0))
                    found.places[place] = (added + (sign == "+"), removed + (sign == "-"))


def _read_assignment(patterns: Sequence[re.Pattern[str]], line: str) -> tuple[str, str] | None:
    """Name and literal by the first pattern that fits."""
    match = next((match for pattern in patterns if (match := pattern.match(line))), None)
    return None if match is None else (match[1], match[2])


def _function(lines: Sequence[str], number: int) -> str:
    """The function of a language that is not Python whose first line stands above, as git guesses it; "" for none."""
    for line in reversed(lines[: number + 1]):
        if line[:1].isalpha() or line[:1] == "_":
            match = FUNCTION.match(line)
            return match[1] if match is not None else ""
    return ""


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
