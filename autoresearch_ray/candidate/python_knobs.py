"""Knobs and constants of one Python text: read from its syntax tree, and written back in place."""

import ast
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType

from autoresearch_ray.candidate.ranges import SEARCH, Knob, Range, parse_range, same, spell
from autoresearch_ray.candidate.syntax import parse, tokens
from autoresearch_ray.candidate.template import KEPT_TEMPLATES, KEPT_TEXTS, Filled, Template, split, value_of
from autoresearch_ray.common.errors import CandidateError


@dataclass(frozen=True, slots=True)
class _Constant:
    name: str
    value: object
    node: ast.expr  # the literal, with its place in the text


@dataclass(frozen=True, slots=True)
class _TemplateConstant:
    """A constant of a template: it has a hole, or the same value in all texts."""

    name: str
    hole: int | None
    value: object
    line: int
    range: Range | None = None

    def value_in(self, text: Filled) -> object:
        return self.value if self.hole is None else value_of(text.literals[self.hole])


@lru_cache(maxsize=KEPT_TEXTS)
def read_knobs(source: str) -> tuple[Knob, ...]:
    """The knobs of a candidate, in their order; CandidateError names the line that is wrong and the remedy."""
    text = split(source)
    return tuple(_knob(constant, constant.value_in(text)) for constant in _template_knobs(text.template))


@lru_cache(maxsize=KEPT_TEXTS)
def constants(source: str) -> Mapping[str, object]:
    """The module-level names that are assigned once, to a literal, with their values."""
    text = split(source)
    return MappingProxyType({constant.name: constant.value_in(text) for constant in _template_constants(text.template)})


def constant_lines(source: str) -> Mapping[str, int]:
    """The line on which each constant ends, from 1."""
    return {constant.name: constant.line for constant in _template_constants(split(source).template)}


def set_constants(source: str, values: Mapping[str, object]) -> str:
    """The candidate with these module-level literal constants rewritten in place; comments keep their column.

    A constant that has the value already keeps its spelling. CandidateError if a name is not such a constant.
    """
    text = split(source)
    found = {constant.name: constant for constant in _template_constants(text.template)}
    for name in values:
        if name not in found:
            raise CandidateError(f"{name} is not a module-level constant assigned once to a literal: cannot set it")
    changed = {name: value for name, value in values.items() if not same(found[name].value_in(text), value)}
    holes = {found[name].hole: spell(value) for name, value in changed.items()}
    return _rewrite_values(source, changed) if None in holes else _refill(source, text, holes)


def _refill(source: str, text: Filled, holes: Mapping[int | None, str]) -> str:
    """The source with other literals in some of its holes."""
    parts, at = [], 0
    for index, (start, end, rest) in enumerate(text.spans):
        if index in holes:
            literal, blanks = holes[index], rest - end
            if source.startswith("#", rest):
                blanks = max(2, rest - start - len(literal.encode()))
            parts += [source[at:start], literal, " " * blanks]
            at = rest
    return "".join([*parts, source[at:]])


def _rewrite_values(source: str, values: Mapping[str, object]) -> str:
    """The source with other values of some constants, whatever their literals are."""
    changed = [constant for constant in _literals(parse(source)) if constant.name in values]
    lines = source.encode().split(b"\n")  # ast counts columns in bytes
    for constant in sorted(changed, key=lambda c: (c.node.lineno, c.node.col_offset), reverse=True):
        _rewrite(lines, constant.node, spell(values[constant.name]).encode())
    return b"\n".join(lines).decode()


def _rewrite(lines: list[bytes], node: ast.expr, text: bytes) -> None:
    """Put `text` in the literal's place; a comment behind it stays in its column where two blanks are left."""
    assert node.end_lineno is not None and node.end_col_offset is not None, ast.dump(node)
    first, last = node.lineno - 1, node.end_lineno - 1
    before, after = lines[first][: node.col_offset], lines[last][node.end_col_offset :]
    rest = after.lstrip(b" ")
    if first == last and rest.startswith(b"#"):
        blanks = len(after) - len(rest) + node.end_col_offset - node.col_offset - len(text)
        after = b" " * max(2, blanks) + rest
    lines[first : last + 1] = [before + text + after]


def _range_comments(source: str) -> list[tuple[int, str]]:
    """(line, range text) of each comment behind code that gives a range."""
    found = []
    code_line = 0
    for token in tokens(source):
        if token.type == tokenize.COMMENT:
            match = SEARCH.search(token.string)
            if match and code_line == token.start[0]:
                found.append((token.start[0], (match["a"] or match["b"] or "").strip()))
        elif token.type not in (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT):
            code_line = token.end[0]
    return found


@lru_cache(maxsize=KEPT_TEMPLATES)
def _template_constants(template: Template) -> tuple[_TemplateConstant, ...]:
    """The constants that are assigned once, to a literal."""
    tree = parse(template.sample)
    counts = _assignments(tree)
    holes = {line: hole for hole, line in enumerate(template.lines)}
    return tuple(
        _TemplateConstant(c.name, holes.get(c.node.lineno), c.value, c.node.end_lineno or 0)
        for c in _literals(tree)
        if counts[c.name] == 1
    )


@lru_cache(maxsize=KEPT_TEMPLATES)
def _template_knobs(template: Template) -> tuple[_TemplateConstant, ...]:
    """The constants that have a range in their comment, with it."""
    tree = parse(template.sample)
    names = {constant.node.end_lineno: constant.name for constant in _literals(tree)}
    once = {constant.line: constant for constant in _template_constants(template)}
    return tuple(
        _with_range(names.get(line), once.get(line), line, text) for line, text in _range_comments(template.sample)
    )


def _with_range(name: str | None, constant: _TemplateConstant | None, line: int, text: str) -> _TemplateConstant:
    if name is None:
        raise CandidateError(
            f"line {line}: a search range beside something that is not a constant; expected NAME = literal at "
            f"module level (16384, not 2**14), or a comment without `search`"
        )
    if constant is None:
        raise CandidateError(f"line {line}: knob {name} is assigned more than once; keep one assignment")
    try:
        return replace(constant, range=parse_range(text))
    except ValueError as error:
        raise CandidateError(f"line {line}: knob {name} has the range `search {text}`; {error}") from None


def _knob(constant: _TemplateConstant, value: object) -> Knob:
    assert constant.range is not None, constant
    if not isinstance(value, (bool, int, float, str)) or not constant.range.contains(value):
        raise CandidateError(
            f"line {constant.line}: knob {constant.name} = {value!r} is outside its range {constant.range}; widen the "
            f"range or change the value"
        )
    return Knob(constant.name, value, constant.range, constant.line)


def _literals(tree: ast.Module) -> list[_Constant]:
    """Every `NAME = literal` at module level."""
    found = []
    for statement in tree.body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=node)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as node)
            ):
                try:
                    found.append(_Constant(name, ast.literal_eval(node), node))
                except (ValueError, TypeError, SyntaxError):
                    continue  # an expression, not a literal
    return found


def _assignments(tree: ast.Module) -> dict[str, int]:
    """How often each name is bound at module level (`global` in a function counts)."""
    counts: dict[str, int] = {}
    for node in ast.walk(tree):
        for name in node.names if isinstance(node, ast.Global) else ():
            counts[name] = counts.get(name, 0) + 1
    for statement in tree.body:
        bound = [statement] if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) else []
        names = [node.name for node in bound]
        if not bound:
            names = [n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
        for name in names:
            counts[name] = counts.get(name, 0) + 1
    return counts
