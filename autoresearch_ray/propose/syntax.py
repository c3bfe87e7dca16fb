"""A candidate's text as a syntax tree and as tokens; text that has none is a CandidateError.

Nothing of a candidate is ever executed here.
"""

import ast
import io
import tokenize
import warnings
from collections.abc import Iterator

from autoresearch_ray.errors import CandidateError

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)  # what may carry a docstring


def parse(source: str) -> ast.Module:
    """The syntax tree of a candidate."""
    if "\r" in source.replace("\r\n", "\n") or "\f" in source or "\0" in source:
        raise CandidateError("the text has a control character (\\r, \\f or \\0); expected lines that end in \\n")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # "\d" in a string is not our business
            warnings.simplefilter("ignore", DeprecationWarning)  # the same, in Python 3.11
            return ast.parse(source)
    except SyntaxError as error:
        raise CandidateError(f"line {error.lineno}: {error.msg}; expected valid Python") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise CandidateError(f"the text cannot be parsed ({error or 'nested too deeply'}); simplify it") from None


def tokens(source: str) -> Iterator[tokenize.TokenInfo]:
    """The tokens of a candidate, comments among them."""
    try:
        yield from tokenize.generate_tokens(io.StringIO(source).readline)
    except (tokenize.TokenError, SyntaxError) as error:
        raise CandidateError(f"the text cannot be split into tokens: {error}; expected valid Python") from None


def docstring(node: ast.AST) -> ast.Expr | None:
    """The statement that is the docstring of a module, class or function."""
    if not isinstance(node, DOCUMENTED) or not node.body:
        return None
    match node.body[0]:
        case ast.Expr(value=ast.Constant(value=str())) as first:
            return first
    return None
