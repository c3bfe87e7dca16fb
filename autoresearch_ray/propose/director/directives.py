"""Directives as a text that people and models write, and back.

    note: what the results say, in a few sentences
    direction: Muon's schedule for the embeddings
    reason: what speaks for it
    share: 0.4
    stop: more variants of attention

Every `direction:` begins a new one; a line without a key goes on with the one before it. Lines that begin with # are
left out. Marks of Markdown around a key do no harm.
"""

import math
import re
from dataclasses import dataclass, field, replace

from autoresearch_ray.common.errors import DirectivesError
from autoresearch_ray.common.text import one_line
from autoresearch_ray.records.guidance import Direction, Directives

MOST_DIRECTIONS, MOST_STOPS = 6, 6
TITLE, REASON, STOP, NOTE = 120, 500, 200, 700  # characters
KEYS = r"(note|direction|reason|share|stop)"
KEY = re.compile(rf"^(?:##+\s*)?[\s*_`>-]*(?:\d+[.)])?[\s*_`]*{KEYS}[*_`\s]*:[*_`]*\s*(.*)$", re.IGNORECASE)


@dataclass(slots=True)
class _Draft:
    title: str
    reason: str = ""
    share: str = ""


@dataclass(slots=True)
class _Read:
    """What was read so far; a line without a key continues the last item."""

    notes: list[str] = field(default_factory=list)
    directions: list[_Draft] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)


def parse_directives(text: str, before: Directives, author: str, results: int, at: float) -> Directives:
    """The version after `before`. DirectivesError, in one line, where no direction and no stop is in the text."""
    read, key = _Read(), ""
    for line in text.splitlines():
        if line.lstrip().startswith("#") and not KEY.match(line):
            continue
        match = KEY.match(line)
        key, words = (match[1].lower(), match[2]) if match else (key, line)
        _add(read, key, words.strip(), begins=match is not None)
    if not read.directions and not read.stops:
        raise DirectivesError("no `direction:` and no `stop:` in it; expected at least one of either on a line")
    directions = [_direction(draft) for draft in read.directions if draft.title][:MOST_DIRECTIONS]
    return number_directions(
        Directives(
            version=before.version + 1,
            author=author,
            directions=tuple(directions),
            stops=tuple(one_line(stop, STOP) for stop in read.stops[:MOST_STOPS] if stop),
            note=one_line(" ".join(read.notes), NOTE),
            results=results,
            at=at,
        ),
        before,
    )


def number_directions(directives: Directives, before: Directives) -> Directives:
    """The directives with a name for each direction; a title that was there before keeps its name."""
    names = {_key(direction.title): direction.name for direction in before.directions}
    number, named = before.numbered, list[Direction]()
    for direction in directives.directions:
        name = names.get(_key(direction.title))
        if name is None:
            number += 1
            name = f"d{number}"
        if name not in {other.name for other in named}:
            named.append(replace(direction, name=name))
    return replace(directives, directions=tuple(named), numbered=number)


def directives_text(directives: Directives) -> str:
    """The directives as a text that `parse_directives` reads."""
    lines = [f"note: {directives.note}"] if directives.note else []
    for direction in directives.directions:
        lines += ["", f"direction: {direction.title}"]
        lines += [f"reason: {direction.reason}"] if direction.reason else []
        lines += [f"share: {direction.share:g}"]
    lines += [""] if directives.stops else []
    lines += [f"stop: {stop}" for stop in directives.stops]
    return "\n".join(lines).strip() + "\n"


def _add(read: _Read, key: str, words: str, *, begins: bool) -> None:
    if key == "direction":
        if begins:
            read.directions.append(_Draft(words))
        elif words and read.directions:
            read.directions[-1].title += f" {words}"
    elif key == "stop":
        if begins:
            read.stops.append(words)
        elif words:
            read.stops[-1] += f" {words}"
    elif key == "note":
        read.notes.append(words)
    elif key and read.directions and words:
        draft = read.directions[-1]
        setattr(draft, key, f"{getattr(draft, key)} {words}".strip())


def _direction(draft: _Draft) -> Direction:
    return Direction(
        "", one_line(draft.title.strip(" .*_`"), TITLE), one_line(draft.reason, REASON), _share(draft.share)
    )


def _share(text: str) -> float:
    """A weight; a percentage is one too. What cannot be read is an equal weight."""
    match = re.search(r"\d+(?:\.\d+)?", text)
    value = float(match[0]) / (100 if match and "%" in text else 1) if match else 1.0
    return min(100.0, max(0.01, value)) if math.isfinite(value) else 1.0


def _key(title: str) -> str:
    return " ".join(re.findall(r"\w+", title.lower()))
