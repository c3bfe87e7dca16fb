"""Whether what a side changed still makes a difference in the merge.

    ACTIVATION = "gelu"                                         what one side did
    h = F.gelu(h) if ACTIVATION == "gelu" else leaky(h)         what the other did: it does nothing now

The programs are compared without the branches that the values of their constants rule out.
"""

import ast
from functools import lru_cache
from typing import Any, TypeVar

from autoresearch_ray.candidate.merge_statements import find_moved_functions
from autoresearch_ray.candidate.syntax import TREES, docstring

Node = TypeVar("Node", bound=ast.AST)


def effect_faults(base: ast.Module, ours: ast.Module, theirs: ast.Module, merged: ast.Module) -> list[str]:
    """One line for each definition that a side changed, if the change has no effect in the merge."""
    before, mine, other, made = map(_live, (base, ours, theirs, merged))
    found = []
    moved = find_moved_functions(base, ours) | find_moved_functions(base, theirs)
    for side, against in ((mine, other), (other, mine)):
        for name in sorted((side.texts.keys() | before.texts.keys()) - moved):
            text = side.texts.get(name)
            if text == before.texts.get(name) or text == against.texts.get(name):
                continue
            if made.texts.get(name) == against.texts.get(name):
                found.append(f"{name}: the change of one side does nothing beside the other's")
            elif any(part in side.read and part not in made.read for part in name.split(".")):
                found.append(f"{name}: changed on one side and no longer used on the other")
    return found


@lru_cache(maxsize=TREES)
def _live(tree: ast.Module) -> "_Live":
    return _Live(tree)


class _Live:
    """A program's definitions without what its constants rule out."""

    def __init__(self, tree: ast.Module) -> None:
        self._values = _literals(tree)
        live = [self._prune(statement) for statement in tree.body]
        self.texts: dict[str, str] = {}  # keyed by name; methods as CLASS.NAME
        self.read: set[str] = set()
        for statement in (statement for group in live for statement in group):
            for name, node in _definitions(statement):
                self.texts[name] = self.texts.get(name, "") + ast.dump(node)
            for node in ast.walk(statement):
                match node:
                    case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name, ctx=ast.Load()):
                        self.read.add(name)

    def _prune(self, node: ast.stmt) -> list[ast.stmt]:
        """The part of a statement that is still needed; the tree itself is not changed."""
        if isinstance(node, ast.If) and (truth := self._truth(node.test)) is not None:
            return [left for kept in (node.body if truth else node.orelse) for left in self._prune(kept)]
        fields = {name: self._keep(node, name, value) for name, value in ast.iter_fields(node)}
        return [_make(node, fields)]

    def _keep(self, owner: ast.AST, name: str, value: object) -> object:
        if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
            kept = [left for item in value if item is not docstring(owner) for left in self._prune(item)]
            return kept or ([ast.Pass()] if name == "body" else [])
        if isinstance(value, list):
            return [self._keep(owner, name, item) for item in value]
        if isinstance(value, ast.stmt):
            return self._prune(value)
        if isinstance(value, ast.IfExp) and (truth := self._truth(value.test)) is not None:
            return self._keep(owner, name, value.body if truth else value.orelse)
        if isinstance(value, ast.AST) and not isinstance(value, ast.expr_context):
            return _make(value, {field: self._keep(value, field, part) for field, part in ast.iter_fields(value)})
        return value

    def _truth(self, test: ast.expr) -> bool | None:
        """Whether a test of one constant holds; None if it is no such test."""
        match test:
            case ast.Constant(value=value):
                return bool(value)
            case ast.Name(id=name) if name in self._values:
                return bool(self._values[name])
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self._truth(operand)
                return None if inner is None else not inner
            case ast.Compare(left=ast.Name(id=name), ops=[ast.Eq() | ast.NotEq() as operator], comparators=[
                ast.Constant(value=value)
            ]) if name in self._values:  # fmt: skip
                return (self._values[name] == value) == isinstance(operator, ast.Eq)
        return None


def _make(node: Node, fields: dict[str, Any]) -> Node:
    """A node of the same kind with these fields."""
    return type(node)(**fields)


def _literals(tree: ast.Module) -> dict[str, object]:
    """The values of constants that are assigned once."""
    found: dict[str, list[object]] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=value)) if node in tree.body:
                found.setdefault(name, []).append(value)
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                found.setdefault(name, []).append(None)
    return {name: values[0] for name, values in found.items() if len(values) == 2}  # the assignment and its target


def _definitions(statement: ast.stmt) -> list[tuple[str, ast.AST]]:
    """The definitions in a statement of the module by their names, those of a class one by one."""
    match statement:
        case ast.ClassDef(name=name, body=body):
            parts = [(f"{name}.{inner}", node) for part in body for inner, node in _definitions(part)]
            return [*parts, (name, ast.Tuple([*statement.bases]))]
        case ast.FunctionDef(name=name):
            return [(name, statement)]
        case (
            ast.Assign(targets=[ast.Name(id=name)], value=value) | ast.AnnAssign(target=ast.Name(id=name), value=value)
        ):
            return [(name, value or ast.Constant(None))]
    return [("", statement)]
