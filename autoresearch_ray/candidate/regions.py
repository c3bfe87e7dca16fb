"""Where two changes of one text touch each other, line by line or token by token; pure lists of pieces."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

Pieces = Sequence[str]


@dataclass(frozen=True)
class Edit:
    """Pieces `low` to `high` of the base became `new`."""

    low: int
    high: int
    new: tuple[str, ...]


@dataclass(frozen=True)
class Region:
    """Pieces `low` to `high` of the base, and the edits of each side there; one of them may have none."""

    low: int
    high: int
    ours: tuple[Edit, ...]
    theirs: tuple[Edit, ...]


def edits(base: Pieces, side: Pieces) -> list[Edit]:
    """A side's changes, in order."""
    matcher = difflib.SequenceMatcher(None, base, side, autojunk=False)
    return [Edit(i, j, tuple(side[k:m])) for tag, i, j, k, m in matcher.get_opcodes() if tag != "equal"]


def regions(base: Pieces, ours: Pieces, theirs: Pieces) -> list[Region]:
    """The edits of both in order; those that touch one piece of the base, or add at one place, form one region."""
    every = [(edit.low, edit.high, 0, edit) for edit in edits(base, ours)]
    every += [(edit.low, edit.high, 1, edit) for edit in edits(base, theirs)]
    found: list[Region] = []
    for low, high, side, edit in sorted(every, key=lambda entry: entry[:3]):
        mine, other = ((edit,), ()) if side == 0 else ((), (edit,))
        if found and (low < found[-1].high or low == high == found[-1].low == found[-1].high):
            before = found.pop()
            low, high = before.low, max(before.high, high)
            mine, other = (*before.ours, *mine), (*before.theirs, *other)
        found.append(Region(low, high, mine, other))
    return found


def apply(base: Pieces, low: int, high: int, changes: Sequence[Edit]) -> list[str]:
    """Pieces `low` to `high` of the base with these edits."""
    made: list[str] = []
    for edit in changes:
        made += [*base[low : edit.low], *edit.new]
        low = edit.high
    return made + list(base[low:high])
