"""What differs between two candidates: lines, and constants at the top level."""

import ast
import difflib
import warnings
from dataclasses import dataclass

CONTEXT_LINES = 3


@dataclass(frozen=True, slots=True)
class Change:
    """A constant's text before and after; "" where it does not exist."""

    name: str
    before: str
    after: str


def unified_diff(before: str, after: str) -> list[str]:
    """The lines of a unified diff, without the two file names."""
    return list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=CONTEXT_LINES, lineterm=""))[2:]


def changed_constants(before: str, after: str) -> list[Change]:
    """Top-level constants (NAME = literal) that differ, in the order of the later text."""
    old, new = _constants(before), _constants(after)
    names = [*new, *(name for name in old if name not in new)]
    return [Change(n, old.get(n, ""), new.get(n, "")) for n in names if old.get(n) != new.get(n)]


def _constants(source: str) -> dict[str, str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes, in a text that is not ours
            body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # what ast.parse says of a text that is no program
        return {}
    found = {}
    for node in body:
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            target: ast.expr = node.target
            value = node.value
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value = node.targets[0], node.value
        else:
            continue
        if isinstance(target, ast.Name) and target.id.isupper() and _is_literal(value):
            found[target.id] = ast.unparse(value)
    return found


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return False
    return True
