"""The text of two changes brought together: definitions by name, then lines, then the items of a list.

What only one side changed is taken, also beside what the other side changed. What both sides add at one place is kept,
ours first: definitions and statements, and items of one list or call. What both rewrote conflicts, and so does a merge
that would lose something in silence: a statement that is never reached, a name that is gone, a value that is
overwritten unread. A merge is valid text, not a tested one.
"""

import ast
import difflib
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

from autoresearch_ray.candidate.syntax import parse
from autoresearch_ray.errors import CandidateError

TOKEN = re.compile(r"\w+|\n|[^\S\n]+|[^\w\s]")
LEAVES = (ast.Return, ast.Raise, ast.Break, ast.Continue)

Lines = Sequence[str]


@dataclass(frozen=True)
class Unit:
    """A definition or another statement with the blank lines and comments before it; `parts` of a class."""

    key: str
    lines: tuple[str, ...]
    parts: tuple["Unit", ...] = ()


@dataclass(frozen=True)
class Edit:
    """Pieces `low` to `high` of the base became `new`."""

    low: int
    high: int
    new: tuple[str, ...]


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
        for low, high, mine, other in _regions(_edits(base, ours), _edits(base, theirs)):
            woven += base[at:low]
            at = high
            woven += self._region(key, base, low, high, mine, other)
        return woven + list(base[at:])

    def _region(self, key: str, base: Lines, low: int, high: int, mine: list[Edit], other: list[Edit]) -> Lines:
        ours, theirs = _applied(base, low, high, mine), _applied(base, low, high, other)
        if ours == theirs or not other:
            return ours
        if not mine:
            return theirs
        together = _both_added(ours, theirs) if low == high else _items(base[low:high], ours, theirs)
        if together is None:
            self.conflicts.append(
                f"{key}: line `{(ours or base[low:high])[0].strip()[:60]}` changed on both sides; ours kept"
            )
            return ours
        return together


def weave(base: str, ours: str, theirs: str) -> tuple[str, tuple[str, ...]]:
    """The text with both changes, and the conflicts, a line each; ours is kept where there are some. All parse."""
    weaving = Weaving()
    sides = [text.splitlines(keepends=True) for text in (base, ours, theirs)]
    units = [_units(parse(text), lines) for text, lines in zip((base, ours, theirs), sides, strict=True)]
    woven = weaving.units(*units) if all(units) else None
    if woven is None:
        weaving.conflicts.clear()
        woven = weaving.lines("the text", *sides)
    text = "".join(woven)
    if not weaving.conflicts:
        weaving.conflicts += _losses(text, ours, theirs)
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
    """Its index; decorators stand before a definition."""
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
            known = next((other for other in reversed(following[:index]) if other in order), None)
            at = order.index(known) + 1 if known is not None else 0
            if following is theirs and key not in base:  # ours comes first
                while at < len(order) and order[at] not in base and order[at] not in following:
                    at += 1
            order.insert(at, key)
    return order


def _edits(base: Lines, side: Lines) -> list[Edit]:
    matcher = difflib.SequenceMatcher(None, base, side, autojunk=False)
    return [Edit(i, j, tuple(side[k:m])) for tag, i, j, k, m in matcher.get_opcodes() if tag != "equal"]


def _regions(ours: list[Edit], theirs: list[Edit]) -> list[tuple[int, int, list[Edit], list[Edit]]]:
    """Edits in order, those together that touch the same piece of the base or add at the same place."""
    every = sorted([(e.low, e.high, 0, e) for e in ours] + [(e.low, e.high, 1, e) for e in theirs], key=lambda x: x[:3])
    regions: list[tuple[int, int, list[Edit], list[Edit]]] = []
    for low, high, side, edit in every:
        if regions:
            begin, end, *edits = regions[-1]
            same_place = low == high == begin == end
            if low < end or same_place:
                edits[side].append(edit)
                regions[-1] = (begin, max(end, high), edits[0], edits[1])
                continue
        regions.append((low, high, [edit], []) if side == 0 else (low, high, [], [edit]))
    return regions


def _applied(base: Lines, low: int, high: int, edits: list[Edit]) -> list[str]:
    """Pieces `low` to `high` of the base with these edits."""
    made: list[str] = []
    for edit in edits:
        made += [*base[low : edit.low], *edit.new]
        low = edit.high
    return made + list(base[low:high])


def _both_added(ours: Lines, theirs: Lines) -> list[str] | None:
    """Lines that both sides add at one place, ours first; None where their order or their number matters."""
    if all(_is_item(line) for line in (*ours, *theirs)):
        return [*ours, *theirs]
    one, other = _statements(ours), _statements(theirs)
    if one is None or other is None or _indent(ours) != _indent(theirs):
        return None
    if any(isinstance(node, LEAVES) for node in (*one, *other)):
        return None
    bound = _bound(one) & _bound(other)
    if any(name.isupper() for name in bound) or not bound <= _read(other):
        return None  # a constant twice, or a value of ours that theirs overwrites unread
    return [*ours, *theirs]


def _is_item(line: str) -> bool:
    return line.split("#")[0].rstrip().endswith(",")


def _statements(lines: Lines) -> list[ast.stmt] | None:
    try:
        return parse(textwrap.dedent("".join(lines))).body
    except CandidateError:
        return None


def _indent(lines: Lines) -> int:
    first = next((line for line in lines if line.strip()), "")
    return len(first) - len(first.lstrip())


def _bound(nodes: Sequence[ast.stmt]) -> set[str]:
    """Names that the statements bind."""
    found = {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return found | {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}


def _read(nodes: Sequence[ast.stmt]) -> set[str]:
    return {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def _items(base: Lines, ours: Lines, theirs: Lines) -> list[str] | None:
    """Lines in which the sides changed different items of a list or call, or added items at one place."""
    pieces = [TOKEN.findall("".join(lines)) for lines in (base, ours, theirs)]
    woven: list[str] = []
    at = 0
    sides_before: set[int] = set()
    for low, high, mine, other in _regions(_edits(pieces[0], pieces[1]), _edits(pieces[0], pieces[2])):
        between = pieces[0][at:low]
        sides = ({0} if mine else set()) | ({1} if other else set())
        if at and sides != sides_before and "," not in between:
            return None  # the same item
        woven += between
        one, two = _applied(pieces[0], low, high, mine), _applied(pieces[0], low, high, other)
        if mine and other and one != two:
            if low != high or not (_adds_items(one) and _adds_items(two)):
                return None
            woven += one + two
        else:
            woven += one if mine else two
        at, sides_before = high, sides
    return "".join(woven + pieces[0][at:]).splitlines(keepends=True)


def _adds_items(pieces: Lines) -> bool:
    """Whether what is added are whole items, with a comma before the first or behind the last."""
    text = "".join(pieces).strip()
    return (text.startswith(",") or text.endswith(",")) and text not in (",", "")


def _losses(text: str, ours: str, theirs: str) -> list[str]:
    """What a merge without conflicts would lose in silence."""
    try:
        merged, sides = parse(text), [parse(side) for side in (ours, theirs)]
    except CandidateError as error:
        return [f"the merged text is not valid: {error}; ours kept"]
    found = []
    if _unreached(merged) > max(map(_unreached, sides)):
        found.append("a statement of the merged text is never reached; ours kept")
    stored, loaded = _names(merged)
    gone = sorted(loaded & set().union(*(_names(side)[0] for side in sides)) - stored)
    return found + [f"{name}: used on one side and removed on the other; ours kept" for name in gone]


def _unreached(tree: ast.AST) -> int:
    """Statements behind a return and the like, in the same block."""
    count = 0
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                leave = next((i for i, statement in enumerate(block) if isinstance(statement, LEAVES)), len(block))
                count += max(0, len(block) - 1 - leave)
    return count


def _names(tree: ast.AST) -> tuple[set[str], set[str]]:
    """Names and attributes that are bound somewhere, and those that are read somewhere."""
    stored: set[str] = set()
    loaded: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ctx) | ast.Attribute(attr=name, ctx=ctx):
                (loaded if isinstance(ctx, ast.Load) else stored).add(name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.alias(name=name) | ast.arg(arg=name):
                stored.add(name)
            case (
                ast.Call(args=[_, ast.Constant(value=str(name)), *_])
                | ast.Call(args=[ast.Constant(value=str(name)), *_])
            ):
                stored.add(name)  # register_buffer("name", ...), setattr(x, "name", ...)
    return stored, loaded
