"""When two candidates are the same program, and how long a candidate is.

`normal_sha` looks through comments, formatting, docstrings, the names of function locals and the order of independent
constants that stand together. It is careful, not complete: two texts with one sha do the same; two with different
shas may. Of files that are not Python it looks through comments and blank lines alone (`plain_text.py`).
"""

import ast
import hashlib
import re
import tokenize
from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache
from graphlib import TopologicalSorter
from itertools import pairwise
from typing import TypeVar

from autoresearch_ray.candidate import plain_text
from autoresearch_ray.candidate.difference import find_changed_spans, pair_files
from autoresearch_ray.candidate.languages import is_python
from autoresearch_ray.candidate.local_names import rename_locals
from autoresearch_ray.candidate.syntax import docstring, parse, read_names, tokens
from autoresearch_ray.candidate.template import KEPT_TEMPLATES, KEPT_TEXTS, Template, split
from autoresearch_ray.common.errors import CandidateError
from autoresearch_ray.common.paths import CANDIDATE_FILE
from autoresearch_ray.records.source_files import has_headings
from autoresearch_ray.records.source_files import split as split_files

T = TypeVar("T")

SILENT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
ORDERLY = (  # expressions that may be reordered: they only make a value
    *(ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.Tuple, ast.List, ast.Dict, ast.Set, ast.IfExp),
    *(ast.UnaryOp, ast.BinOp, ast.BoolOp, ast.Compare),
    *(ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop),
)


def normal_sha(source: str) -> str:
    """The sha256 (hex) of the program behind the text; knob ranges are comments. CandidateError if it is no Python."""
    if has_headings(source):
        return _sha_of_files(source)
    text = split(source)
    digest = hashlib.sha256()
    for piece, hole in _program(text.template):
        digest.update(piece.encode())
        if hole is not None:
            digest.update(ast.dump(ast.parse(text.literals[hole], mode="eval").body).encode())
    return digest.hexdigest()


def code_lines(source: str) -> int:
    """The lines that carry code; blank lines, comments and docstrings are free. `a; b` counts as two."""
    if has_headings(source):
        return sum(
            _tell(path, code_lines, text) if is_python(path) else plain_text.code_lines(path, text)
            for path, text in split_files(source)
        )
    return _code_lines(split(source).template)


def line_diff(old: str, new: str) -> tuple[int, int]:
    """(added, removed) lines between two texts, comments and blank lines included, as a diff shows them."""
    if has_headings(old) or has_headings(new):
        counts = [line_diff(before, after) for _, before, after in pair_files(old, new)]
        return sum(added for added, _ in counts), sum(removed for _, removed in counts)
    spans = list(find_changed_spans(old.splitlines(), new.splitlines()))
    return sum(j2 - j1 for _, _, j1, j2 in spans), sum(i2 - i1 for i1, i2, _, _ in spans)


def _sha_of_files(source: str) -> str:
    files = split_files(source)
    if len(files) == 1 and files[0][0] == CANDIDATE_FILE:
        return normal_sha(files[0][1])  # a lone train.py, whether it has its heading or not
    every = "".join(f"{path}\n{_sha_of_file(path, text)}\n" for path, text in files)
    return hashlib.sha256(every.encode()).hexdigest()


@lru_cache(maxsize=KEPT_TEXTS)
def _sha_of_file(path: str, text: str) -> str:
    if is_python(path):
        return _tell(path, normal_sha, text)
    return hashlib.sha256(plain_text.bare_text(path, text).encode()).hexdigest()


def _tell(path: str, read: Callable[[str], T], text: str) -> T:
    """The result of reading a file; an error names the file."""
    try:
        return read(text)
    except CandidateError as error:
        raise CandidateError(f"{path}: {error}") from None


@lru_cache(maxsize=KEPT_TEMPLATES)
def _program(template: Template) -> tuple[tuple[str, int | None], ...]:
    """The normalised tree as text, in pieces, each with the hole behind it; none behind the last."""
    tree = parse(template.sample)
    mark = hashlib.sha256(template.sample.encode()).hexdigest()  # the text does not know it
    holes = {line: hole for hole, line in enumerate(template.lines)}
    for statement in tree.body:
        if isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.lineno in holes:
            statement.value = ast.Constant(f"{mark}:{holes[statement.lineno]}")
    _drop_idle_statements(tree)
    rename_locals(tree)
    tree.body = _order(tree.body)
    *pieces, last = re.split(rf"Constant\(value='{mark}:(\d+)'\)", ast.dump(tree))
    return (*((piece, int(hole)) for piece, hole in zip(pieces[::2], pieces[1::2], strict=True)), (last, None))


@lru_cache(maxsize=4096)
@lru_cache(maxsize=KEPT_TEMPLATES)
def _code_lines(template: Template) -> int:
    tree = parse(template.sample)
    silent = sorted(_span(text) for node in ast.walk(tree) if (text := docstring(node)) is not None)
    starts = [start for start, _ in silent]
    lines: set[int] = set()
    for token in tokens(template.sample):
        before = bisect_right(starts, token.start)  # docstrings do not lie in one another
        free = before > 0 and token.end <= silent[before - 1][1]
        if token.type not in SILENT and not free:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines) + sum(_count_joined(node) for node in ast.walk(tree))


def _count_joined(node: ast.AST) -> int:
    """How many statements in a body begin on the line where the previous one ends; docstrings do not count."""
    bodies = [getattr(node, field, None) for field in ("body", "orelse", "finalbody")]
    pairs = [pair for body in bodies if isinstance(body, list) for pair in pairwise(body)]
    return sum(one.end_lineno == other.lineno and one is not docstring(node) for one, other in pairs)


def _span(text: ast.Expr) -> tuple[tuple[int, int], tuple[int, int]]:
    """A statement's start and end as tokens give them: (line, column); a docstring's line holds only blanks before."""
    assert text.end_lineno is not None and text.end_col_offset is not None, ast.dump(text)
    return (text.lineno, text.col_offset), (text.end_lineno, text.end_col_offset)


def _drop_idle_statements(tree: ast.Module) -> None:
    """Remove docstrings, other bare literals, and `pass` beside other statements."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            node.kind = None  # u"" is ""
        for field in ("body", "orelse", "finalbody"):
            body = getattr(node, field, None)
            if isinstance(body, list) and body:
                busy = [statement for statement in body if not isinstance(statement, ast.Pass)]
                busy = [one for one in busy if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]
                setattr(node, field, busy if busy or field != "body" else [ast.Pass()])


def _order(body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements with each run of neighbouring plain constants in one canonical order."""
    ordered: list[ast.stmt] = []
    run: dict[str, ast.stmt] = {}
    for statement in body:
        name = _plain_constant(statement)
        if name is None or name in run:
            ordered += _sort_run(run)
            run = {}
        if name is None:
            ordered.append(statement)
        else:
            run[name] = statement
    return ordered + _sort_run(run)


def _plain_constant(statement: ast.stmt) -> str | None:
    """The name of `NAME = literals, names and arithmetic`, annotated or not; None for anything else."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            parts = [value]
        case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=ast.expr() as value):
            parts = [annotation, value]
        case _:
            return None
    orderly = all(isinstance(node, ORDERLY) for part in parts for node in ast.walk(part))
    return name if orderly else None


def _sort_run(run: dict[str, ast.stmt]) -> list[ast.stmt]:
    """A run sorted by name, definitions before their uses. A use before its definition leaves the run as it is."""
    uses = {name: read_names([statement]) & set(run) for name, statement in run.items()}
    seen: set[str] = set()
    for name, used in uses.items():
        if not used <= seen:
            return list(run.values())
        seen.add(name)
    sorter = TopologicalSorter(uses)
    sorter.prepare()
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order += ready
        sorter.done(*ready)
    return [run[name] for name in order]
