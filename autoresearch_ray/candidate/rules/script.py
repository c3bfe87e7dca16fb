"""What a script's candidate must keep to (`contract: script`): its files, their form, its knobs, and no code left out.

    check_script(text, paths=("model.py", "train.py"), start=settings.baseline)

What a script imports and does is its own matter: the walls around its process contain it.
"""

import ast
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from autoresearch_ray.candidate.knobs import Knob, file_knobs, read_knobs
from autoresearch_ray.candidate.languages import is_python, language_of
from autoresearch_ray.candidate.plain_knobs import bare_comment
from autoresearch_ray.candidate.rules.elisions import REMEDY, check_elisions, elides, find_elisions
from autoresearch_ray.candidate.rules.name_flow import Reading, check_compiles
from autoresearch_ray.candidate.syntax import parse
from autoresearch_ray.common.errors import CandidateError
from autoresearch_ray.common.paths import CANDIDATE_FILE
from autoresearch_ray.records.source_files import HEADING, has_headings, split

MAX_BYTES = 400_000  # all files together: scripts are longer than our train.py, but must not hold data


def check_script(text: str, paths: Sequence[str], start: str | None = None) -> None:
    """Raise CandidateError if `text` breaks a rule.

    `paths` are the files that may change. `start` is the text that the search began with: what it has of places where
    code seems to be left out may stay. None: this text is the start.
    """
    size = len(text.encode(errors="replace"))
    if size > MAX_BYTES:
        raise CandidateError(f"length: {size:,} bytes, expected at most {MAX_BYTES:,}; a candidate holds no data")
    files = dict(_split(text, paths))
    before = {} if start is None else dict(split(start) if has_headings(start) else ((CANDIDATE_FILE, start),))
    for path, source in files.items():
        if start is not None and source == before.get(path):
            continue
        try:
            _check_form(source)
            if start is not None:
                _check_comments(path, source, before.get(path, ""))
            if is_python(path):
                parse(source)
                check_compiles(source)
                if start is not None:
                    _check_statements(source, before.get(path, ""))
        except CandidateError as error:
            raise CandidateError(f"{path}: {error}") from None
    try:
        knobs = read_knobs(text)
    except CandidateError as error:
        raise CandidateError(f"knobs: {error}") from None
    if start is not None and knobs and has_headings(text):
        _check_names(files, before)


def _split(text: str, paths: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The files. CandidateError where they are not exactly those that may change."""
    expected = [str(path) for path in sorted(map(PurePosixPath, paths))]
    files = split(text) if has_headings(text) else ((CANDIDATE_FILE, text),)
    seen = [path for path, _ in files]
    if seen != expected:
        added, missing = sorted({*seen} - {*expected}), sorted({*expected} - {*seen})
        twice = sorted(path for path, count in Counter(seen).items() if count > 1)
        faults = [
            f"{', '.join(group)} {what}"
            for group, what in ((added, "added"), (missing, "missing"), (twice, "twice"))
            if group
        ]
        raise CandidateError(
            f"files: {'; '.join(faults) or ', '.join(seen) + ' in this order'}; expected exactly "
            f"{', '.join(expected)}, each below its heading"
        )
    return files


def _check_form(source: str) -> None:
    if "\0" in source:
        raise CandidateError("form: a zero byte; expected text")
    try:
        source.encode()
    except UnicodeEncodeError as error:
        raise CandidateError(f"form: character {error.start} cannot be written as UTF-8; expected text") from None
    if source and not source.endswith("\n"):
        raise CandidateError("form: the last line does not end; expected a line's end behind it")
    if HEADING.search(source):
        raise CandidateError("form: a line looks like the heading of a file; say it in other words")


def _check_comments(path: str, source: str, before: str) -> None:
    """No comment stands for code that was left out."""
    known = Counter(words for _, words in _elisions(path, before))
    for line, words in _elisions(path, source):
        known[words] -= 1
        if known[words] < 0:
            raise CandidateError(f"elisions: line {line}: the comment `{words[:60]}` stands for code; {REMEDY}")


def _elisions(path: str, source: str) -> Iterator[tuple[int, str]]:
    if is_python(path):
        yield from find_elisions(source)
        return
    for kind, start, end in language_of(path).scan(source) or ():
        comment = source[start:end]
        alone = not source[source.rfind("\n", 0, start) + 1 : start].strip()
        if kind != "string" and alone and elides(bare_comment(comment)):
            yield source.count("\n", 0, start) + 1, comment.strip()


def _check_statements(source: str, before: str) -> None:
    """No statement `...` or text stands for code, but for as many as stood there before."""
    if _count_idle(source) <= _count_idle(before):
        return
    try:
        check_elisions(Reading(before))
    except CandidateError:
        return  # the start has such statements too: it is the script's style
    check_elisions(Reading(source))


def _count_idle(source: str) -> int:
    """Statements that are nothing but `...` or a text."""
    return sum(
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and (node.value.value is ... or (isinstance(node.value.value, str) and elides(node.value.value)))
        for node in ast.walk(parse(source))
    )


def _check_names(files: dict[str, str], before: dict[str, str]) -> None:
    """No knob takes the name of another file's knob that had it alone: results are told apart by names."""
    had = Counter(knob.name for path, text in before.items() for knob in file_knobs(path, text))
    have = Counter(knob.name for path, text in files.items() for knob in file_knobs(path, text))
    for path, text in files.items():
        old: tuple[Knob, ...] = file_knobs(path, before[path]) if path in before else ()
        for knob in file_knobs(path, text):
            if have[knob.name] > max(1, had[knob.name]) and knob.name not in {one.name for one in old}:
                raise CandidateError(
                    f"knobs: {path}: line {knob.line}: another file has a knob {knob.name} too; give this one another "
                    f"name"
                )
