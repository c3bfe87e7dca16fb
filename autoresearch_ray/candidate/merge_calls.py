"""Calls of a merge that do not fit what they call, and uses of what the other side has redefined.

A function that one side gave other parameters, another number of returned values, or another meaning with its calls,
must not be called anew by the other. The same holds for attributes, locals and constants: a definition that was changed
together with its uses means something else now.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from autoresearch_ray.candidate.merge_statements import functions_of, head, nodes_of, own_statements
from autoresearch_ray.candidate.syntax import TREES

Arguments = ast.arguments


def call_faults(base: ast.Module, ours: ast.Module, theirs: ast.Module, merged: ast.Module) -> list[str]:
    """A name each, with what does not fit."""
    unfit = _unfit(merged) - _unfit(ours) - _unfit(theirs)
    found = [f"{name}: called with other arguments than it has" for name in sorted(unfit)]
    before, mine, other = (_signatures(tree) for tree in (base, ours, theirs))
    found += [
        f"{name}: its parameters changed on both sides"
        for name in sorted(before.keys() & mine.keys() & other.keys())
        if len({side[name].parameters for side in (before, mine, other)}) == 3
    ]
    for side, against in ((ours, theirs), (theirs, ours)):
        found += [
            f"{name}: redefined on one side and used anew on the other" for name in _list_reused(base, side, against)
        ]
    return found


def _list_reused(base: ast.Module, side: ast.Module, against: ast.Module) -> list[str]:
    """Definitions that `side` has changed and `against` uses more often than the base."""
    before, after, there = _uses(base), _uses(side), _uses(against)
    changed = _find_redefined(base, side)
    definitions, now = _definitions(base), _definitions(side)
    for name in definitions.keys() & now.keys():
        if definitions[name] != now[name] and before[name] - after[name] and after[name] - before[name]:
            changed.add(name)
    return sorted(name.rpartition(":")[2] for name in changed if there[name].total() > before[name].total())


class Uses(dict[str, Counter[str]]):
    """The statements, or calls, that read a name; none where there is no such name."""

    def __missing__(self, name: str) -> Counter[str]:
        return Counter()


def _find_redefined(base: ast.Module, side: ast.Module) -> set[str]:
    """Functions with other parameters than a call before could have meant, or with other kinds of values."""
    before, after = _signatures(base), _signatures(side)
    calls, called = _uses(base), _uses(side)
    changed = set()
    for name in before.keys() & after.keys():
        old, new, use = before[name], after[name], f"call:{name}"
        if old.text == new.text:
            continue
        recalled = calls[use] - called[use] and called[use] - calls[use]
        if not _extends(old.node.args, new.node.args) or old.returns != new.returns or recalled:
            changed.add(use)
        if old.returns != new.returns:
            changed |= _results(side, name)
    return changed


def _results(tree: ast.Module, name: str) -> set[str]:
    """The locals that hold what a function returned; keys as in `_uses`."""
    found = set()
    for function in functions_of(tree):
        if isinstance(function, ast.FunctionDef):
            for statement in own_statements(function):
                match statement:
                    case ast.Assign(targets=[ast.Name(id=local)], value=ast.Call(func=ast.Name(id=called))):
                        found |= {f"{function.name}:{local}"} if called == name else set()
    return found


@lru_cache(maxsize=TREES)
def _signatures(tree: ast.Module) -> dict[str, "_Function"]:
    """Functions, methods and constructors (by their class) whose name is one function's alone."""
    found: dict[str, list[ast.FunctionDef]] = {}
    for node in nodes_of(tree):
        if isinstance(node, ast.FunctionDef) and node.name != "__init__":
            found.setdefault(node.name, []).append(node)
        if isinstance(node, ast.ClassDef):
            makers = [one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"]
            found.setdefault(node.name, []).extend(makers)
    return {name: _Function.of(nodes[0]) for name, nodes in found.items() if len(nodes) == 1}


def _extends(old: Arguments, new: Arguments) -> bool:
    """Whether every call of the old parameters means the same with the new ones."""
    names, longer = ([arg.arg for arg in (*a.posonlyargs, *a.args)] for a in (old, new))
    added = len(longer) - len(names)
    fills = added <= len(new.defaults) and all(value is not None for value in new.kw_defaults[len(old.kw_defaults) :])
    return longer[: len(names)] == names and added >= 0 and (not added or fills)


@dataclass(frozen=True)
class _Function:
    """A function and what of it its callers rely on."""

    node: ast.FunctionDef
    text: str
    parameters: str
    returns: tuple[str, ...]  # each returned value: its number of items, or a list's items

    @classmethod
    def of(cls, node: ast.FunctionDef) -> "_Function":
        values = [inner.value for inner in own_statements(node) if isinstance(inner, ast.Return)]
        returns = [
            ast.unparse(value) if isinstance(value, ast.List) else f"{len(value.elts)} values"
            for value in values
            if isinstance(value, (ast.List, ast.Tuple))
        ]
        text = "\n".join([head(node), *(head(statement) for statement in own_statements(node))])
        return cls(node, text, ast.unparse(node.args), tuple(returns))


@lru_cache(maxsize=TREES)
def _unfit(tree: ast.Module) -> Counter[str]:
    """Calls that do not fit the definition of that name, by the name."""
    signatures = _signatures(tree)
    classes = [node for node in nodes_of(tree) if isinstance(node, ast.ClassDef)]
    methods = {one.name for node in classes for one in node.body if isinstance(one, ast.FunctionDef)}
    methods |= {node.name for node in classes}
    unfit: Counter[str] = Counter()
    for name, call in chain.from_iterable(map(_calls_of, nodes_of(tree))):
        if name in signatures and not _fits(call, signatures[name].node, name in methods):
            unfit[name] += 1
    return unfit


def _fits(call: ast.Call, function: ast.FunctionDef, bound: bool) -> bool:
    arguments, args = function.args, call.args
    names = [arg.arg for arg in (*arguments.posonlyargs, *arguments.args)][int(bound) :]
    given = {keyword.arg for keyword in call.keywords}
    if any(isinstance(arg, ast.Starred) for arg in args) or None in given:
        return True
    if len(args) > len(names) and arguments.vararg is None:
        return False
    parameters = {*names[len(args) :], *(arg.arg for arg in arguments.kwonlyargs)}
    if not given <= parameters and arguments.kwarg is None:
        return False
    needed = {*names[len(args) : len(names) - len(arguments.defaults)]}
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return {*needed, *(arg.arg for arg, value in pairs if value is None)} <= given


@lru_cache(maxsize=TREES)
def _uses(tree: ast.Module) -> Uses:
    """The statements that read each name: locals as FUNCTION:NAME, attributes as .NAME, calls as call:NAME."""
    found = Uses()

    def note(name: str, text: str) -> None:
        found.setdefault(name, Counter())[text] += 1

    for function in functions_of(tree):
        owner = getattr(function, "name", "")
        for statement in own_statements(function):
            text = head(statement)
            for node in _nodes(statement):
                match node:
                    case ast.Name(id=name, ctx=ast.Load()):
                        note(f"{owner}:{name}", text)
                        note(name, text)
                    case ast.Attribute(attr=name, ctx=ast.Load()):
                        note(f".{name}", text)
                for name, call in _calls_of(node):
                    note(f"call:{name}", ast.unparse(call))
    return found


def _calls_of(node: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    match node:
        case ast.Call(func=ast.Name(id=name)) | ast.Call(func=ast.Attribute(attr=name)):
            yield name, node


def _nodes(statement: ast.stmt) -> Iterator[ast.AST]:
    """The expressions of a statement, without the statements within it."""
    for child in ast.iter_child_nodes(statement):
        if not isinstance(child, (ast.stmt, ast.ExceptHandler)):
            yield from ast.walk(child)


@lru_cache(maxsize=TREES)
def _definitions(tree: ast.Module) -> dict[str, str]:
    """What gives an attribute its value, a local its only value, and a constant its kind; keys as in `_uses`."""
    found: dict[str, list[str]] = {}
    for function in functions_of(tree):
        owner = getattr(function, "name", "")
        for statement in own_statements(function):
            if isinstance(statement, ast.Assign):
                for target in statement.targets:
                    text = type(statement.value).__name__ if not owner else ast.unparse(statement.value)
                    match target:
                        case ast.Name(id=name):
                            found.setdefault(f"{owner}:{name}" if owner else name, []).append(text)
                        case ast.Attribute(value=ast.Name(id="self"), attr=name):
                            found.setdefault(f".{name}", []).append(text)
            else:
                bound = [n.id for n in _nodes(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
                for name in bound:
                    found.setdefault(f"{owner}:{name}", []).extend(("", ""))  # not one value alone
    return {name: texts[0] for name, texts in found.items() if len(texts) == 1}
