"""What a candidate's text must keep to before it may take a slot; one rule a function.

A rule raises CandidateError with the line, what was seen and the remedy. The rules keep candidates readable and their
imports harmless; they are no sandbox: what a candidate does when it runs is the trial's to contain.
"""

import ast
from collections.abc import Iterator

from autoresearch_ray.errors import CandidateError
from autoresearch_ray.propose.knobs import read_knobs
from autoresearch_ray.propose.syntax import docstring, parse

MAX_LINES = 630  # of train.py and program.md together, DESIGN section 3
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
CONSTANT_PARTS = (
    *(ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.Slice, ast.Starred, ast.IfExp),
    *(ast.Tuple, ast.List, ast.Set, ast.Dict, ast.UnaryOp, ast.BinOp, ast.BoolOp, ast.Compare),
    *(ast.JoinedStr, ast.FormattedValue, ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context),
)


def check_candidate(source: str, program_lines: int = 0) -> None:
    """Raise CandidateError if `source` breaks a rule; `program_lines` is the length of program.md."""
    tree = parse(source)
    check_length(source, program_lines)
    check_train(tree)
    check_module_level(tree)
    read_knobs(source)


def check_length(source: str, program_lines: int) -> None:
    """train.py and program.md stay within 630 lines together."""
    lines = len(source.splitlines())
    if lines + program_lines > MAX_LINES:
        raise CandidateError(
            f"length: train.py has {lines} lines and program.md {program_lines}, expected at most {MAX_LINES}; "
            f"delete what does not pay"
        )


def check_train(tree: ast.Module) -> None:
    """`def train(task)` stands at module level, once, and can be called with the task alone."""
    found = [n for n in tree.body if isinstance(n, DEFINITIONS) and n.name == "train"]
    if len(found) != 1:
        seen = "no definition" if not found else f"line {found[1].lineno}: a second definition"
        raise CandidateError(f"train: {seen} of train at module level; expected one `def train(task)`")
    train = found[0]
    if not isinstance(train, ast.FunctionDef) or not _takes_one(train.args):
        raise CandidateError(f"train: line {train.lineno}: expected `def train(task)`, a function of the task alone")


def check_module_level(tree: ast.Module) -> None:
    """Nothing runs at import but imports, definitions and constants, in class bodies too."""
    for statement in _import_time(tree):
        match statement:
            case ast.Import() | ast.ImportFrom() | ast.Pass():
                pass
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                for default in [*statement.args.defaults, *statement.args.kw_defaults]:
                    _check_constant(default, "the default of a parameter")
            case ast.ClassDef():
                pass  # its body is looked at by itself
            case ast.Assign(targets=targets, value=value) if all(map(_names_only, targets)):
                _check_constant(value, "a constant")
            case ast.AnnAssign(target=ast.Name(), value=value):
                _check_constant(value, "a constant")
            case _:
                raise CandidateError(
                    f"module level: line {statement.lineno}: {type(statement).__name__} runs at import; expected only "
                    f"imports, definitions and constants; move it into train(task)"
                )


def _takes_one(arguments: ast.arguments) -> bool:
    ordinary = len(arguments.posonlyargs) + len(arguments.args)
    required = ordinary - len(arguments.defaults)
    return required <= 1 <= ordinary and all(default is not None for default in arguments.kw_defaults)


def _import_time(node: ast.Module | ast.ClassDef) -> Iterator[ast.stmt]:
    """The statements that an import executes, docstrings left out."""
    for statement in node.body:
        if statement is docstring(node):
            continue
        yield statement
        if isinstance(statement, ast.ClassDef):
            yield from _import_time(statement)


def _names_only(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) or (isinstance(target, ast.Tuple) and all(map(_names_only, target.elts)))


def _check_constant(value: ast.expr | None, what: str) -> None:
    """Literals, names and arithmetic; a lambda's body does not run; `field(...)` is how dataclasses say defaults."""
    if value is None or isinstance(value, ast.Lambda):
        return
    if isinstance(value, ast.Call) and ast.unparse(value.func) in ("field", "dataclasses.field"):
        return
    if not isinstance(value, CONSTANT_PARTS):
        raise CandidateError(
            f"module level: line {value.lineno}: {type(value).__name__} in {what} runs at import; expected literals or "
            f"arithmetic; compute it in train(task)"
        )
    for part in ast.iter_child_nodes(value):
        if isinstance(part, ast.expr):
            _check_constant(part, what)
