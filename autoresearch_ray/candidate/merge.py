"""Three-way merge of candidates: constants by name, then the text (`weave.py`).

A clean merge is a valid text, not a tested one: its measurement is the caller's.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from autoresearch_ray.candidate.knobs import constants, read_knobs, set_constants
from autoresearch_ray.candidate.losses import idle_values, losses
from autoresearch_ray.candidate.ranges import same
from autoresearch_ray.candidate.template import split
from autoresearch_ray.candidate.weave import weave
from autoresearch_ray.errors import CandidateError


@dataclass(frozen=True, slots=True)
class Merged:
    """What came of a merge; with conflicts it is ours with what could be had of theirs."""

    source: str
    clean: bool  # no conflict at all
    conflicts: tuple[str, ...]  # a line each: the constant or the place, and what was kept
    whole: bool = True  # the code of both sides; if not, of theirs only the values of constants


def three_way(base: str, ours: str, theirs: str) -> Merged:
    """Bring the changes from `base` to `theirs` onto `ours`. All three must parse (else CandidateError).

    A constant changed on one side is taken, changed to two values is a conflict and ours is kept. If the text
    conflicts, the result is ours with the constants of theirs.
    """
    if base in (ours, theirs) or ours == theirs:
        return Merged(theirs if base == ours else ours, True, ())
    values, clashes = _merge_constants(constants(base), constants(ours), constants(theirs))
    texts = [set_constants(text, _own(values, text)) for text in (base, ours, theirs)]
    text, overlaps = (texts[1], ()) if _alike(texts[0], texts[2]) else weave(*texts)  # theirs has other values alone
    if not overlaps:
        overlaps = _faults(text)
    if not overlaps:
        find = idle_values if texts[0] in texts[1:] else losses  # a side that changed constants alone
        before, here, there = texts if clashes else (base, ours, theirs)
        lost = find(before, here, there, text)
        overlaps = tuple(f"{loss}; ours kept" for loss in lost)
    kept = texts[1] if overlaps else text
    if overlaps and _faults(kept):
        kept = ours  # theirs' values do not fit the ranges of ours
    return Merged(kept, not clashes and not overlaps, (*clashes, *overlaps), whole=not overlaps)


def theirs_onto(base: str, ours: str, theirs: str) -> str | None:
    """The merge, with theirs' value where both changed a constant; None where code of theirs would be left out.

    For a change that has earned another test.
    """
    merged = three_way(base, ours, theirs)
    if not merged.whole and not _only_values(base, theirs):
        return None
    before, here = constants(base), constants(merged.source)
    wanted = {n: v for n, v in constants(theirs).items() if n in before and n in here and not same(v, before[n])}
    text = set_constants(merged.source, wanted)
    return merged.source if _faults(text) else text


def _only_values(base: str, theirs: str) -> bool:
    """Whether a change is one of the values of constants, as a tuner's is."""
    before, after = constants(base), constants(theirs)
    return before.keys() == after.keys() and set_constants(base, after) == theirs


def _alike(one: str, other: str) -> bool:
    """Whether texts are equal, apart from blanks between a constant and its comment."""
    a, b = split(one), split(other)
    return a.template is b.template and a.literals == b.literals


def _merge_constants(
    base: Mapping[str, object], ours: Mapping[str, object], theirs: Mapping[str, object]
) -> tuple[dict[str, object], tuple[str, ...]]:
    """The value of every constant that all three have, and the conflicts."""
    values: dict[str, object] = {}
    clashes = []
    for name in base:
        if name not in ours or name not in theirs:
            continue  # added or removed: a matter of text
        values[name] = theirs[name] if same(ours[name], base[name]) else ours[name]
        if not (same(ours[name], base[name]) or same(theirs[name], base[name]) or same(ours[name], theirs[name])):
            clashes.append(f"{name}: {ours[name]!r} in ours, {theirs[name]!r} in theirs; ours kept")
    return values, tuple(clashes)


def _own(values: Mapping[str, object], text: str) -> dict[str, object]:
    held = constants(text)
    return {name: value for name, value in values.items() if name in held}


def _faults(text: str) -> tuple[str, ...]:
    """Why the text is not a candidate, if it is none."""
    try:
        read_knobs(text)
    except CandidateError as error:
        return (f"the merged text is not valid: {error}; ours kept",)
    return ()
