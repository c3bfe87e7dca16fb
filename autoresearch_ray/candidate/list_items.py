"""One statement changed on both sides: merged where the sides changed different arguments or items of it.

Two edits are apart if a comma of the innermost bracket around both lies between them, or if one lies in a bracket that
the other is outside of: an argument of a call, and what is made of the call's value. Whole items that both sides add
at one place are kept, ours first. Anything else may be two ideas of one expression, whose order or precedence matters.
"""

import re
from collections.abc import Sequence

from autoresearch_ray.candidate.regions import Region, apply, regions

TOKEN = re.compile(r"\w+|\n|[^\S\n]+|[^\w\s]")
OPEN, CLOSE = "([{", ")]}"


def join_items(base: Sequence[str], ours: Sequence[str], theirs: Sequence[str]) -> list[str] | None:
    """The lines with the changes of both sides; None where they are not apart."""
    pieces, mine, other = (TOKEN.findall("".join(lines)) for lines in (base, ours, theirs))
    groups = _groups(pieces)
    woven: list[str] = []
    at = 0
    before: list[Region] = []
    for region in regions(pieces, mine, other):
        low, high = region.low, region.high
        by_ours, by_theirs = bool(region.ours), bool(region.theirs)
        for earlier in before:
            crossing = (by_ours and earlier.theirs) or (by_theirs and earlier.ours)
            if crossing and not _apart(pieces, groups, earlier, region):
                return None
        before.append(region)
        one, two = apply(pieces, low, high, region.ours), apply(pieces, low, high, region.theirs)
        woven += pieces[at:low]
        at = high
        if by_ours and by_theirs and one != two:
            if low != high or not (_adds_items(one) and _adds_items(two)):
                return None
            woven += one + two
        else:
            woven += one if by_ours else two
    return "".join(woven + pieces[at:]).splitlines(keepends=True)


def _groups(pieces: Sequence[str]) -> list[tuple[int, ...]]:
    """The brackets around each gap between pieces, outermost first; the first pieces may close some."""
    path: tuple[int, ...] = (0,)
    groups, number = [path], 0
    for piece in pieces:
        if piece in OPEN:
            number += 1
            path = (*path, number)
        elif piece in CLOSE:
            number += 1
            path = path[:-1] if len(path) > 1 else (-number,)
        groups.append(path)
    return groups


def _apart(pieces: Sequence[str], groups: Sequence[tuple[int, ...]], one: Region, other: Region) -> bool:
    """Whether two edits, the first before the second, are of different items or of an item and its inside."""
    end, start = one.high, other.low
    if groups[one.low] != groups[one.high] or groups[other.low] != groups[other.high]:
        return False  # an edit across a bracket
    here, there = groups[end], groups[start]
    if here != there:
        return end != start and not _calls(pieces, groups, end, start)
    if _list_additions(one).endswith(",") or _list_additions(other).startswith(","):
        return True
    return any(pieces[i] == "," and groups[i] == here for i in range(end, start))


def _list_additions(region: Region) -> str:
    """The items that are added at a place; nothing where anything is replaced."""
    edits = (*region.ours, *region.theirs)
    return "".join(edits[0].new).strip() if len(edits) == 1 and region.low == region.high else ""


def _calls(pieces: Sequence[str], groups: Sequence[tuple[int, ...]], end: int, start: int) -> bool:
    """Whether the edit that ends at `end` changes the name of the call or index that contains the edit at `start`."""
    at = end
    while at < start and (pieces[at] == "." or pieces[at].isidentifier()):
        at += 1
    return at < start and pieces[at] in OPEN and groups[at + 1] == groups[start][: len(groups[at + 1])]


def _adds_items(pieces: Sequence[str]) -> bool:
    """Whether what is added are whole items, with a comma before the first or behind the last."""
    text = "".join(pieces).strip()
    return (text.startswith(",") or text.endswith(",")) and text not in (",", "")
