"""The text of two changes brought together: definitions by name, then lines, then the items of a list.

A change of one side is taken, even next to a change of the other side. Additions of both sides at one place are kept,
ours first: definitions and statements, and items of one list or call. Text that both sides rewrote conflicts.
`losses.py` then finds what a merge without a conflict would lose in silence.
"""

import ast
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

from autoresearch_ray.candidate.list_items import join_items
from autoresearch_ray.candidate.regions import Region, apply, regions
from autoresearch_ray.candidate.syntax import parse, read_names
from autoresearch_ray.common.errors import CandidateError

LEAVES = (ast.Return, ast.Raise, ast.Break, ast.Continue)

Lines = Sequence[str]


@dataclass(frozen=True)
class Unit:
    """A definition or another statement with the blank lines and comments before it; `parts` of a class."""

    key: str
    lines: tuple[str, ...]
    parts: tuple["Unit", ...] = ()


@dataclass
class Weaving:
    """One merge under way; `conflicts` says where ours was kept."""

    conflicts: list[str] = field(default_factory=list)

    def units(self, base: Sequence[Unit], ours: Sequence[Unit], theirs: Sequence[Unit]) -> list[str] | None:
        """Units by their keys; None if they stand in three different orders."""
        before, here, there = ({unit.key: unit for unit in side} for side in (base, ours, theirs))
        order = _order([[unit.key for unit in side] for side in (base, ours, theirs)])
        if order is None:
            return None
        woven: list[str] = []
        for key in order:
            woven += self._unit(key, before.get(key), here.get(key), there.get(key))
        return woven

    def _unit(self, key: str, base: Unit | None, ours: Unit | None, theirs: Unit | None) -> Lines:
        if ours == theirs or theirs == base:
            return ours.lines if ours else ()
        if ours == base:
            return theirs.lines if theirs else ()
        if base is None or ours is None or theirs is None:
            self.conflicts.append(
                f"{key}: {'added' if base is None else 'removed or changed'} on both sides; ours kept"
            )
            return ours.lines if ours else ()
        if base.parts and ours.parts and theirs.parts:
            parts = self.units(base.parts, ours.parts, theirs.parts)
            if parts is not None:
                return parts
        return self.lines(key, base.lines, ours.lines, theirs.lines)

    def lines(self, key: str, base: Lines, ours: Lines, theirs: Lines) -> list[str]:
        """Changed lines beside each other are taken from both sides."""
        woven: list[str] = []
        at = 0
        for region in regions(base, ours, theirs):
            woven += [*base[at : region.low], *self._region(key, base, region)]
            at = region.high
        return woven + list(base[at:])

    def _region(self, key: str, base: Lines, region: Region) -> Lines:
        low, high = region.low, region.high
        ours, theirs = apply(base, low, high, region.ours), apply(base, low, high, region.theirs)
        if ours == theirs or not region.theirs:
            return ours
        if not region.ours:
            return theirs
        together = _both_added(ours, theirs) if low == high else join_items(base[low:high], ours, theirs)
        if together is None:
            self.conflicts.append(
                f"{key}: line `{(ours or base[low:high])[0].strip()[:60]}` changed on both sides; ours kept"
            )
            return ours
        return together


def weave(base: str, ours: str, theirs: str) -> tuple[str, tuple[str, ...]]:
    """The text with both changes, and the conflicts, a line each; ours is kept where there are some."""
    weaving = Weaving()
    sides = [text.splitlines(keepends=True) for text in (base, ours, theirs)]
    units = [_units(parse(text), lines) for text, lines in zip((base, ours, theirs), sides, strict=True)]
    woven = weaving.units(*units) if all(units) else None
    if woven is None:
        weaving.conflicts.clear()
        woven = weaving.lines("the text", *sides)
    text = "".join(woven)
    return text, tuple(weaving.conflicts)


def _units(tree: ast.Module | ast.ClassDef, lines: Lines, begin: int = 0, end: int | None = None) -> tuple[Unit, ...]:
    """The statements of a module or class by their keys; none where two have one key or share a line."""
    units: list[Unit] = []
    at, end = begin, len(lines) if end is None else end
    if isinstance(tree, ast.ClassDef):
        head = _first_line(tree.body[0])
        units, at = [Unit("head", tuple(lines[at:head]))], head
    for node in tree.body:
        stop = node.end_lineno or 0
        if _first_line(node) < at:
            return ()
        parts = _units(node, lines, at, stop) if isinstance(node, ast.ClassDef) else ()
        units.append(Unit(_key(node), tuple(lines[at:stop]), parts))
        at = stop
    if at < end:
        units.append(Unit("end", tuple(lines[at:end])))
    return tuple(units) if len({unit.key for unit in units}) == len(units) else ()


def _first_line(node: ast.stmt) -> int:
    """The index of a statement's first line; decorators come before a definition."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(one.lineno for one in decorators)]) - 1


def _key(node: ast.stmt) -> str:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return name
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name
        case ast.Expr(value=ast.Constant(value=str())):
            return "docstring"
        case ast.ImportFrom(module=module):
            return f"from {module}"
    return ast.unparse(node)


def _order(sides: list[list[str]]) -> list[str] | None:
    """The keys of a merge in order: of the side that changed it, with what the other added behind its predecessor."""
    base, ours, theirs = sides
    common = {*base} & {*ours} & {*theirs}
    before, here, there = ([key for key in side if key in common] for side in sides)
    if here != before and there != before and here != there:
        return None
    leading, following = (theirs, ours) if here == before else (ours, theirs)
    order = list(leading)
    for index, key in enumerate(following):
        if key not in order:
            anchor = next((other for other in reversed(following[:index]) if other in order), None)
            at = order.index(anchor) + 1 if anchor is not None else 0
            if following is theirs and key not in base:  # ours comes first
                while at < len(order) and order[at] not in base and order[at] not in following:
                    at += 1
            order.insert(at, key)
    return order


def _both_added(ours: Lines, theirs: Lines) -> list[str] | None:
    """Lines that both sides add at one place, ours first; None where their order or their number matters."""
    if all(line.split("#")[0].rstrip().endswith(",") for line in (*ours, *theirs)):
        return [*ours, *theirs]  # items of one list or call
    one, other = _statements(ours), _statements(theirs)
    if one is None or other is None or _indent(ours) != _indent(theirs):
        return None
    if any(isinstance(node, LEAVES) for node in (*one, *other)):
        return None
    bound = _bindings(one) & _bindings(other)
    if any(name.isupper() for name in bound) or not bound <= read_names(other):
        return None  # a constant twice, or a value of ours that theirs overwrites unread
    return [*ours, *theirs]


def _statements(lines: Lines) -> list[ast.stmt] | None:
    try:
        return parse(textwrap.dedent("".join(lines))).body
    except CandidateError:
        return None


def _indent(lines: Lines) -> int:
    first = next((line for line in lines if line.strip()), "")
    return len(first) - len(first.lstrip())


def _bindings(nodes: Sequence[ast.stmt]) -> set[str]:
    """Names that the statements bind."""
    found = {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return found | {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
