"""A candidate's text as a syntax tree and as tokens; text that has none is a CandidateError.

Nothing of a candidate is ever executed here.
"""

import ast
import io
import tokenize
import warnings
from collections.abc import Iterator, Sequence

from autoresearch_ray.common.errors import CandidateError

MAX_DEPTH = 100  # deepest nesting of nodes: trees are walked recursively
TREES = 16  # cache size in texts: many merges in a row are onto the same frontier
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)  # nodes that may have a docstring


def parse(source: str) -> ast.Module:
    """The syntax tree of a candidate."""
    if "\r" in source.replace("\r\n", "\n") or "\f" in source or "\0" in source:
        raise CandidateError("syntax: a control character (\\r, \\f or \\0); expected lines that end in \\n")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # "\d" in a string is not our business
            warnings.simplefilter("ignore", DeprecationWarning)  # the same, in Python 3.11
            tree = ast.parse(source)
    except SyntaxError as error:
        raise CandidateError(f"syntax: line {error.lineno}: {error.msg}; expected valid Python") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise CandidateError(
            f"syntax: the text cannot be parsed ({error or 'nested too deeply'}); simplify it"
        ) from None
    _check_depth(tree)
    return tree


def tokens(source: str) -> Iterator[tokenize.TokenInfo]:
    """The tokens of a candidate, comments among them."""
    try:
        yield from tokenize.generate_tokens(io.StringIO(source).readline)
    except (tokenize.TokenError, SyntaxError) as error:
        raise CandidateError(f"syntax: the text cannot be split into tokens: {error}; expected valid Python") from None


def docstring(node: ast.AST) -> ast.Expr | None:
    """The statement that is the docstring of a module, class or function."""
    if not isinstance(node, DOCUMENTED) or not node.body:
        return None
    match node.body[0]:
        case ast.Expr(value=ast.Constant(value=str())) as first:
            return first
    return None


def read_names(nodes: Sequence[ast.AST]) -> set[str]:
    """Names that are read anywhere in the nodes."""
    return {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def _check_depth(tree: ast.Module) -> None:
    level: list[ast.AST] = [tree]
    for _ in range(MAX_DEPTH):
        deepest, level = level, [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return
    line = next((node.lineno for node in deepest if isinstance(node, (ast.expr, ast.stmt))), 1)
    raise CandidateError(f"syntax: line {line}: nested more than {MAX_DEPTH} levels deep; simplify it")
