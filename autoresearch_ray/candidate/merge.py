"""Three-way merge of candidates: constants by name, then the text (`weave.py`; other languages by lines).

Texts with headings (`source_files.py`) are merged file by file. If the code of one file conflicts, no file's code is
taken, because half an idea is none. A clean merge is a valid text, not a tested one: the caller has to measure it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from autoresearch_ray.candidate.knobs import (
    constants,
    file_constants,
    file_knobs,
    read_knobs,
    set_constants,
    set_in_file,
)
from autoresearch_ray.candidate.languages import is_python
from autoresearch_ray.candidate.line_merge import merge_lines
from autoresearch_ray.candidate.losses import idle_values, losses
from autoresearch_ray.candidate.merge_imports import import_faults
from autoresearch_ray.candidate.ranges import same
from autoresearch_ray.candidate.template import split
from autoresearch_ray.candidate.weave import weave
from autoresearch_ray.common.errors import CandidateError
from autoresearch_ray.records.source_files import has_headings, join
from autoresearch_ray.records.source_files import split as split_files


@dataclass(frozen=True, slots=True)
class Merged:
    """A merge's result; with conflicts it is ours plus the parts of theirs that fit."""

    source: str
    clean: bool  # no conflict at all
    conflicts: tuple[str, ...]  # a line each: the constant or the place, and what was kept
    whole: bool = True  # True: it has the code of both sides. False: of theirs it has only values of constants


def three_way(base: str, ours: str, theirs: str) -> Merged:
    """Bring the changes from `base` to `theirs` onto `ours`. All three must parse (else CandidateError).

    A constant changed on one side is taken, changed to two values is a conflict and ours is kept. If the text
    conflicts, the result is ours with the constants of theirs.
    """
    if base in (ours, theirs) or ours == theirs:
        return Merged(theirs if base == ours else ours, True, ())
    if has_headings(base):
        return _merge_trees(base, ours, theirs)
    values, clashes = _merge_constants(constants(base), constants(ours), constants(theirs))
    texts = [
        set_constants(text, {name: values[name] for name in constants(text) if name in values})
        for text in (base, ours, theirs)
    ]
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
    if has_headings(base):
        return _set_theirs(base, merged.source, theirs)
    before, here = constants(base), constants(merged.source)
    wanted = {n: v for n, v in constants(theirs).items() if n in before and n in here and not same(v, before[n])}
    text = set_constants(merged.source, wanted)
    return merged.source if _faults(text) else text


def _merge_trees(base: str, ours: str, theirs: str) -> Merged:
    files = _sides(base, ours, theirs)
    if files is None:
        return Merged(ours, False, ("the files: not the same in all three; ours kept",), whole=False)
    merged = {path: _merge_file(path, *texts) for path, texts in files}
    faults: tuple[str, ...] = ()
    if all(one.whole for one in merged.values()):  # each file is merged, but they may not fit each other
        mine, other = ({path: texts[side] for path, texts in files} for side in (1, 2))
        faults = import_faults(mine, other, {path: one.source for path, one in merged.items()})
    if faults:
        merged = {
            path: replace(one, whole=False, source=_set_values(path, *texts))
            for (path, texts), one in zip(files, merged.values(), strict=True)
        }
    elif not all(one.whole for one in merged.values()):
        for path, texts in files:
            if merged[path].whole:
                merged[path] = replace(merged[path], source=_set_values(path, *texts))
    conflicts = tuple(f"{path}: {conflict}" for path, one in merged.items() for conflict in one.conflicts)
    return Merged(
        join(tuple((path, one.source) for path, one in merged.items())),
        not faults and all(one.clean for one in merged.values()),
        (*conflicts, *faults),
        whole=all(one.whole for one in merged.values()),
    )


def _merge_file(path: str, base: str, ours: str, theirs: str) -> Merged:
    """One file of a tree."""
    if base in (ours, theirs) or ours == theirs:
        return Merged(theirs if base == ours else ours, True, ())
    if is_python(path):
        return three_way(base, ours, theirs)
    values, clashes = _merge_constants(*(file_constants(path, text) for text in (base, ours, theirs)))
    texts = [_set_own(path, text, values) for text in (base, ours, theirs)]
    text, overlaps = merge_lines(*texts)
    faults = overlaps or _file_faults(path, text)
    if faults:
        text = ours if _file_faults(path, texts[1]) else texts[1]
    return Merged(text, not clashes and not faults, (*clashes, *faults), whole=not faults)


def _set_values(path: str, base: str, ours: str, theirs: str) -> str:
    """Ours with the values of theirs alone."""
    if theirs in (base, ours):
        return ours
    values, _ = _merge_constants(*(file_constants(path, text) for text in (base, ours, theirs)))
    text = _set_own(path, ours, values)
    return ours if _file_faults(path, text) else text


def _set_theirs(base: str, merged: str, theirs: str) -> str:
    """The merged text with every value that theirs has changed."""
    files = _sides(base, merged, theirs)
    assert files is not None, "the files of a merge are those of its sides"
    done = list[tuple[str, str]]()
    for path, (before, here, there) in files:
        old = file_constants(path, before)
        wanted = {n: v for n, v in file_constants(path, there).items() if n in old and not same(v, old[n])}
        text = _set_own(path, here, wanted)
        done.append((path, here if _file_faults(path, text) else text))
    return join(tuple(done))


def _sides(*texts: str) -> list[tuple[str, Sequence[str]]] | None:
    """Every path with the file's text on each side; None where the sides have other files."""
    if not all(map(has_headings, texts)):
        return None
    sides = [dict(split_files(text)) for text in texts]
    if any(side.keys() != sides[0].keys() for side in sides):
        return None
    return [(path, [side[path] for side in sides]) for path in sides[0]]


def _set_own(path: str, text: str, values: Mapping[str, object]) -> str:
    its_constants = file_constants(path, text)
    return set_in_file(path, text, {name: value for name, value in values.items() if name in its_constants})


def _file_faults(path: str, text: str) -> tuple[str, ...]:
    try:
        file_knobs(path, text)
    except CandidateError as error:
        return (f"the merged text is not valid: {str(error).removeprefix(f'{path}: ')}; ours kept",)
    return ()


def _only_values_of(path: str, base: str, theirs: str) -> bool:
    if base == theirs:
        return True
    before, after = file_constants(path, base), file_constants(path, theirs)
    return before.keys() == after.keys() and set_in_file(path, base, after) == theirs


def _only_values(base: str, theirs: str) -> bool:
    """Whether a change is one of the values of constants, as a tuner's is."""
    if has_headings(base):
        files = _sides(base, theirs)
        return files is not None and all(_only_values_of(path, *texts) for path, texts in files)
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


def _faults(text: str) -> tuple[str, ...]:
    """Why the text is not a candidate, if it is none."""
    try:
        read_knobs(text)
    except CandidateError as error:
        return (f"the merged text is not valid: {error}; ours kept",)
    return ()
