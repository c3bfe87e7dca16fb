"""Whether a merge has every statement that its sides added, in its block, and none that they took out.

For each statement and block: the number in the merge is that of the base and what both sides added or removed. One
that both sides changed in different arguments is new in the merge, in the place of one of each side. Where one side
has moved statements into another function, what the other side put among them goes along.
"""

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache

from autoresearch_ray.candidate.syntax import TREES, docstring

LEAVES = (ast.Return, ast.Raise, ast.Break, ast.Continue)
HEADS = 500 * TREES  # cache size: making the texts of statements is half of the work
MOVED = 2  # so many equal statements count as a move to another function; one may be a coincidence
Block = tuple[str, ...]  # outermost first: "GPT", "forward()", "for"
InBlock = tuple[Block, str]  # the block that a statement stands in, and its text


def statement_faults(base: ast.Module, ours: ast.Module, theirs: ast.Module, merged: ast.Module) -> list[str]:
    """Statements that are lost, doubled, never reached or in another block."""
    before, mine, other, made = map(_count, (base, ours, theirs, merged))
    by_ours, by_theirs = _moves(before, mine), _moves(before, other)
    before, mine, other = _move(_move(before, by_ours), by_theirs), _move(mine, by_theirs), _move(other, by_ours)
    missing: dict[str, Counter[InBlock]] = {"ours": Counter(), "theirs": Counter()}
    extra: Counter[InBlock] = Counter()
    for key in {*before, *mine, *other, *made}:
        one, two, got = (side[key] - before[key] for side in (mine, other, made))
        wanted = one + two
        if one * two > 0:  # both sides made the same change: a statement that both added occurs once
            wanted = max(one, two) if one > 0 else max(wanted, min(got, one, two))
        if got < wanted:
            missing["ours" if one > 0 else "theirs"][key] = wanted - got
        elif got > wanted:
            extra[key] = got - wanted
    _bring_along(missing["ours"], extra, by_theirs)
    _bring_along(missing["theirs"], extra, by_ours)
    counts = [_by_block(keys) for keys in (*missing.values(), extra)]
    wrong = [block for block in {*counts[0], *counts[1], *counts[2]} if len({count[block] for count in counts}) > 1]
    found = [f"{'.'.join(block) or 'the text'}: a statement is lost or in another block" for block in sorted(wrong)]
    if _count_unreached(merged) > max(_count_unreached(ours), _count_unreached(theirs)):
        found.append("a statement of the merged text is never reached")
    return found


@lru_cache(maxsize=TREES)
def _count(tree: ast.Module) -> Counter[InBlock]:
    return Counter(statements(tree))


def statements(tree: ast.Module | ast.stmt, block: Block = ()) -> Iterator[InBlock]:
    """Every statement with its block, without docstrings; of a compound one its head."""
    for field in ("body", "orelse", "finalbody", "handlers"):
        for node in getattr(tree, field, []):
            if node is docstring(tree):
                continue
            inside = _block(tree, node, field, block)
            yield inside, head(node)
            yield from statements(node, inside)


@lru_cache(maxsize=TREES)
def nodes_of(tree: ast.Module) -> tuple[ast.AST, ...]:
    """All nodes of a tree: walking one takes longer than most of what is done on the way."""
    return tuple(ast.walk(tree))


@lru_cache(maxsize=TREES)
def functions_of(tree: ast.Module) -> tuple[ast.FunctionDef | ast.Module, ...]:
    """The module and its functions, inner ones too."""
    return tuple(node for node in nodes_of(tree) if isinstance(node, (ast.FunctionDef, ast.Module)))


@lru_cache(maxsize=HEADS)
def head(node: ast.stmt | ast.ExceptHandler) -> str:
    """The statement's text; of a compound one without its blocks."""
    match node:
        case ast.FunctionDef(name=name, args=args, returns=returns, decorator_list=marks):
            kept: list[ast.AST | None] = [args, returns, *marks]
        case ast.ClassDef(name=name, bases=bases, keywords=keywords, decorator_list=marks):
            kept = [*bases, *keywords, *marks]
        case ast.For(target=target, iter=source):
            name, kept = "for", [target, source]
        case ast.If(test=test) | ast.While(test=test):
            name, kept = type(node).__name__, [test]
        case ast.With(items=items):
            name, kept = "with", list(items)
        case ast.Try() | ast.ExceptHandler():
            name, kept = type(node).__name__, []
        case _:
            return ast.unparse(node)
    return f"{name} {', '.join(ast.unparse(part) for part in kept if part is not None)}"


def own_statements(function: ast.FunctionDef | ast.Module) -> Iterator[ast.stmt]:
    """The statements of a function or module, those of inner functions left to these."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.stmt):
            yield node
        if not isinstance(node, ast.FunctionDef):
            waiting += [
                child for child in ast.iter_child_nodes(node) if isinstance(child, (ast.stmt, ast.ExceptHandler))
            ]


def _block(tree: ast.AST, node: ast.stmt, field: str, block: Block) -> Block:
    match tree:
        case ast.Module():
            return ()
        case ast.FunctionDef(name=name):
            return (*block, f"{name}()")
        case ast.ClassDef(name=name):
            return (*block, name)
        case ast.If() if field == "orelse" and isinstance(node, ast.If) and len(tree.orelse) == 1:
            return (*block[: len(block) - (bool(block) and block[-1] == "elif")], "elif")
    return (*block, "else" if field == "orelse" else type(tree).__name__.lower())


def find_moved_functions(base: ast.Module, side: ast.Module) -> set[str]:
    """Functions, as in CLASS.NAME, of which a side has moved statements into another one."""
    return {".".join(old).removesuffix("()") for old, _ in _moves(_count(base), _count(side))}


def _moves(before: Counter[InBlock], after: Counter[InBlock]) -> dict[tuple[Block, Block], Counter[InBlock]]:
    """The pairs of functions between which a side has moved statements, and these with their blocks there."""
    taken: dict[InBlock, list[Block]] = {}
    for block, text in before - after:
        function, rest = _function(block)
        taken.setdefault((rest, text), []).append(function)
    moves: dict[tuple[Block, Block], Counter[InBlock]] = {}
    for (block, text), count in (after - before).items():
        function, rest = _function(block)
        for old in taken.get((rest, text), []):
            moves.setdefault((old, function), Counter())[rest, text] += count
    return {pair: moved for pair, moved in moves.items() if moved.total() >= MOVED}


def _move(counted: Counter[InBlock], moves: dict[tuple[Block, Block], Counter[InBlock]]) -> Counter[InBlock]:
    """The statements as if these had stood where they were moved to."""
    made = Counter(counted)
    for (old, new), moved in moves.items():
        for (rest, text), count in moved.items():
            there = min(count, made[(*old, *rest), text])
            made[(*old, *rest), text] -= there
            made[(*new, *rest), text] += there
    return made


def _bring_along(missing: Counter[InBlock], extra: Counter[InBlock], moves: Iterable[tuple[Block, Block]]) -> None:
    """Strike out what is in another function because its surroundings are."""
    for (block, text), count in list(missing.items()):
        function, rest = _function(block)
        for old, new in moves:
            if old == function and extra[(*new, *rest), text] == count:
                del missing[block, text], extra[(*new, *rest), text]
                break


def _function(block: Block) -> tuple[Block, Block]:
    """The function of a block, and the blocks within it."""
    at = max((i for i, part in enumerate(block, 1) if part.endswith("()")), default=0)
    return block[:at], block[at:]


def _by_block(keys: Counter[InBlock]) -> Counter[Block]:
    counts: Counter[Block] = Counter()
    for (block, _), count in keys.items():
        counts[block] += count
    return counts


@lru_cache(maxsize=TREES)
def _count_unreached(tree: ast.AST) -> int:
    """Statements behind a return and the like, in the same block."""
    count = 0
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                leave = next((i for i, statement in enumerate(block) if isinstance(statement, LEAVES)), len(block))
                count += max(0, len(block) - 1 - leave)
    return count
