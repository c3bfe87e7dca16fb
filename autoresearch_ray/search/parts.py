"""The parts of a best: every change that led to it, and the best without it.

A part is a constant that has another value than at the start, what one advance of the lineage changed in the code, or
one hunk of that. Code is taken out by a merge: from after the change to before it, onto the best. Where later changes
build on it, that conflicts.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from autoresearch_ray.candidate.difference import compare_constants, difference, find_changed_spans, pair_files
from autoresearch_ray.candidate.knobs import constants, names_of, qualified_values, qualify, set_constants
from autoresearch_ray.candidate.merge import three_way
from autoresearch_ray.candidate.normal_form import code_lines, normal_sha
from autoresearch_ray.candidate.rules import Check
from autoresearch_ray.common.errors import CandidateError
from autoresearch_ray.common.text import one_line
from autoresearch_ray.records.decisions import Step
from autoresearch_ray.records.source_files import has_headings, join
from autoresearch_ray.records.unproven import Unproven

CONFLICT = "cannot go alone: later changes build on it"
HYPOTHESIS = 120  # characters


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the best."""

    what: str
    without: str | None  # the best without it; None where it cannot go alone
    code_lines: int = 0  # that go with it
    fault: str = ""


def parts_of(
    steps: Sequence[Step], start_sha: str, best_sha: str, text_of: Callable[[str], str], check: Check
) -> list[Part]:
    """The parts of the best, oldest first; two that leave the same program are one, and what is gone is none.

    `check` says what a candidate of this run must keep to.
    """
    best = text_of(best_sha)
    seen, parts = {normal_sha(best)}, list[Part]()
    found = [*_constants(text_of(start_sha), best)]
    for before_sha, after_sha, hypothesis in _changes(steps, best_sha):
        found += _code(text_of(before_sha), text_of(after_sha), best, hypothesis, check)
    for part in found:
        normal = normal_sha(part.without) if part.without is not None else part.what
        if normal not in seen:
            seen.add(normal)
            parts.append(part)
    return parts


def _changes(steps: Sequence[Step], best_sha: str) -> list[tuple[str, str, str]]:
    """(before, after, hypothesis) of every advance between the start and this best, oldest first."""
    found, best, unproven = list[tuple[str, str, str]](), "", Unproven()
    for step in steps:
        judged, unproven = unproven.judged_by(step), unproven.after(step)
        if step.kind == "keep":
            is_ahead = bool(judged) and judged[-1].source_sha == step.source_sha  # else it came beside the frontier
            way = judged if is_ahead else (step,)
            befores = [best, *(advance.source_sha for advance in way)]
            found += [(before, one.source_sha, one.hypothesis) for before, one in zip(befores, way, strict=False)]
        if step.kind in ("start", "keep"):
            best = step.source_sha
        if step.kind == "keep" and best == best_sha:
            break
    return found


def _constants(start: str, best: str) -> list[Part]:
    """Each constant of both that has another value now, back at its start."""
    before, known = qualified_values(start), constants(best)
    return [
        Part(f"{change.name} {change.before} -> {change.after}", set_constants(best, {change.name: before[key]}))
        for change in compare_constants(start, best)
        if change.before and change.after and change.name in known
        if (key := qualify(best, change.name)) in before
    ]


def _code(before: str, after: str, best: str, hypothesis: str, check: Check) -> list[Part]:
    """What an advance changed in the code, and each hunk of that; values of constants are parts of their own."""
    change = difference(before, after)
    if not change.places:
        return []
    words = f"{one_line(hypothesis, HYPOTHESIS)} [{one_line(change.words(), HYPOTHESIS)}]"
    names = names_of(before)
    kept = {names[key]: value for key, value in qualified_values(after).items() if key in names}
    before = set_constants(before, kept)
    whole = _without(before, after, best, words, check) or Part(words, None, 0, CONFLICT)
    hunks = [_without(text, after, best, f"{place}, of: {words}", check) for text, place in _undo_hunks(before, after)]
    return [whole, *(hunk for hunk in hunks if hunk is not None)]


def _without(undone: str, after: str, best: str, words: str, check: Check) -> Part | None:
    """The best without what lies between these two; None where it cannot go alone."""
    try:
        merged = three_way(after, best, undone)
        if not merged.clean:
            return None
        check(merged.source, 0)
    except CandidateError:
        return None
    return Part(words, merged.source, code_lines(best) - code_lines(merged.source))


def _undo_hunks(before: str, after: str) -> Iterator[tuple[str, str]]:
    """(the text with one hunk undone, what it touches), where there are several."""
    texts = list(_texts_without_a_hunk(before, after))
    if len(texts) > 1:
        for text in texts:
            yield text, one_line(difference(text, after).words(), HYPOTHESIS)


def _texts_without_a_hunk(before: str, after: str) -> Iterator[str]:
    pairs = pair_files(before, after)
    files = [(path, old.splitlines(keepends=True), new.splitlines(keepends=True)) for path, old, new in pairs]
    for path, old, new in files:
        for i1, i2, j1, j2 in find_changed_spans(old, new):
            undone = "".join([*new[:j1], *old[i1:i2], *new[j2:]])
            if not has_headings(after):
                yield undone
                continue
            yield join(tuple((name, undone if name == path else "".join(lines)) for name, _, lines in files))
