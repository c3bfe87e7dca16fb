"""A candidate's text as a template: what is shared by texts that differ in the values of constants alone.

Most texts of a run differ from an earlier one in a few numbers only. Reading one (tree, tokens, scopes) takes 5 to 60
ms. So whatever does not depend on these numbers is found once for each template, by functions that cache it
(`knobs.py`, `normal_form.py`, `rules/`).

A hole is the literal of a `NAME = literal` at module level that has a line of its own: a number, a plain string, True
or False. Blanks between it and a comment belong to it. This is exact, because Python reads from left to right. Texts
that are equal up to such a statement have the same statement there, and continue in the same state after it.
"""

import ast
import re
from dataclasses import dataclass
from functools import lru_cache

from autoresearch_ray.candidate.ranges import Value
from autoresearch_ray.candidate.syntax import parse
from autoresearch_ray.common.errors import CandidateError

KEPT_TEMPLATES = 128  # cached templates; each takes some 100 kB with its findings
KEPT_TEXTS = 256  # some 15 kB each
NUMBER = r"-?(?:0|[1-9]\d{0,17})(?:\.\d{0,24})?(?:e[+-]?\d{1,3})?"
STRING = r""""[\w .,:;/+-]{0,80}"|'[\w .,:;/+-]{0,80}'"""
LINE = re.compile(
    rf"^([A-Za-z_]\w*(?: *: *[\w.]+)? *= *)({NUMBER}|{STRING}|True|False)( *)(?=#|$)", re.MULTILINE | re.ASCII
)
MARK = "\0"  # stands for a literal: no text that parses contains it
ANY = "0"  # the literal in every hole of a template's sample


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """The text that several candidates share. While it is cached it is one object, so it is compared by identity."""

    sample: str  # the text with `ANY` in its holes
    lines: tuple[int, ...]  # line numbers of the holes, from 1, in order


@dataclass(frozen=True, slots=True)
class Filled:
    """One text: its template and what stands in the holes."""

    template: Template
    literals: tuple[str, ...]
    spans: tuple[tuple[int, int, int], ...]  # (start, end, end of the blanks behind it) of each literal

    @property
    def strings(self) -> tuple[str, ...]:
        """The literals that are no numbers; the others are ""."""
        return tuple("" if literal[0] in "-0123456789" else literal for literal in self.literals)


@lru_cache(maxsize=KEPT_TEXTS)
def split(source: str) -> Filled:
    """The text as template and literals. CandidateError if it does not parse."""
    if MARK in source:
        parse(source)  # refuses it
    found = list(LINE.finditer(source))
    frame = LINE.sub(rf"\1{MARK}", source)
    try:
        is_hole = _holes(frame)
        fixed = tuple(match[2] + match[3] for match, hole in zip(found, is_hole, strict=True) if not hole)
        template = _template(frame, fixed)
    except CandidateError:
        parse(source)  # with its own literals; it fails if a literal was part of another string
        template = None
    if template is None:
        return Filled(Template(source, ()), (), ())
    holes = [match for match, hole in zip(found, is_hole, strict=True) if hole]
    spans = tuple((match.start(2), match.end(2), match.end(3)) for match in holes)
    return Filled(template, tuple(match[2] for match in holes), spans)


@lru_cache(maxsize=4096)
def value_of(literal: str) -> Value:
    """The value of a hole's literal."""
    value = ast.literal_eval(literal)
    assert isinstance(value, (bool, int, float, str)), literal
    return value


@lru_cache(maxsize=KEPT_TEMPLATES)
def _holes(frame: str) -> tuple[bool, ...]:
    """Which marks replace the value of a module-level constant. CandidateError if `ANY` cannot."""
    text = frame.replace(MARK, ANY)
    lines = _constant_lines(parse(text))
    return tuple(line in lines for line in _find_marked_lines(frame))


@lru_cache(maxsize=KEPT_TEMPLATES)
def _template(frame: str, fixed: tuple[str, ...]) -> Template | None:
    """The template of a frame whose other marks are these literals; None if these make other holes."""
    is_hole = _holes(frame)
    literals = iter(fixed)
    pieces = frame.split(MARK)
    filling = [ANY if hole else next(literals) for hole in is_hole]
    sample = "".join(piece + literal for piece, literal in zip(pieces, [*filling, ""], strict=True))
    every = _find_marked_lines(frame)
    lines = tuple(line for line, hole in zip(every, is_hole, strict=True) if hole)
    found = _constant_lines(parse(sample))
    return Template(sample, lines) if set(lines) <= found else None


def _find_marked_lines(frame: str) -> list[int]:
    return [number for number, line in enumerate(frame.split("\n"), 1) if MARK in line]


def _constant_lines(tree: ast.Module) -> set[int]:
    """The lines that are `NAME = literal` from their first column to their end."""
    found = set()
    for statement in tree.body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name()], value=ast.Constant() as value)
                | ast.AnnAssign(target=ast.Name(), value=ast.Constant() as value)
            ) if statement.col_offset == 0 and statement.lineno == value.lineno == value.end_lineno:
                found.add(statement.lineno)
    return found
