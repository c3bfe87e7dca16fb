"""The rules about a candidate's shape: its length, its `train(task)`, and that nothing runs at import."""

import ast
from collections.abc import Iterator

from autoresearch_ray.candidate.rules.modules import words
from autoresearch_ray.candidate.rules.name_flow import Reading, refusal
from autoresearch_ray.candidate.scopes import parameters
from autoresearch_ray.candidate.syntax import docstring
from autoresearch_ray.common.errors import CandidateError

MAX_LINES = 630  # train.py and program.md together
MAX_CHARACTERS = 120 * MAX_LINES  # train.py alone: lines of ordinary length
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
CONSTANT_PARTS = (
    *(ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.Slice, ast.Starred, ast.IfExp),
    *(ast.Tuple, ast.List, ast.Set, ast.Dict, ast.UnaryOp, ast.BinOp, ast.BoolOp, ast.Compare),
    *(ast.JoinedStr, ast.FormattedValue, ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context),
)
PURE = frozenset(f"builtins.{name}" for name in words("bool complex float int str abs len max min pow round sum")) | {
    *(f"builtins.{name}" for name in words("dict frozenset list range set slice sorted tuple")),
    *("dataclasses.field", "collections.namedtuple", "typing.NewType", "typing.TypeVar", "functools.partial"),
    *("torch.compile", "torch.device", "torch.finfo", "torch.iinfo", "torch.tensor"),
}
DECORATORS = words(
    "builtins.classmethod builtins.property builtins.staticmethod abc.abstractmethod contextlib.contextmanager "
    "dataclasses.dataclass enum.unique functools.cache functools.cached_property functools.lru_cache "
    "functools.partial functools.total_ordering functools.wraps torch.amp.autocast torch.amp.custom_bwd "
    "torch.amp.custom_fwd torch.autocast torch.autograd.function.once_differentiable torch.compile "
    "torch.compiler.allow_in_graph torch.compiler.disable torch.cuda.amp.custom_bwd torch.cuda.amp.custom_fwd "
    "torch.enable_grad torch.inference_mode torch.library.custom_op torch.library.register_autograd "
    "torch.library.register_fake torch.no_grad torch.set_grad_enabled typing.final typing.no_type_check "
    "typing.overload typing.runtime_checkable"
)
OWN_DECORATORS = {"setter", "getter", "deleter", "register_fake", "register_autograd"}  # for a property or an operator


def check_length(source: str, program_lines: int) -> None:
    """train.py and program.md stay within 630 lines together, and the lines are of ordinary length."""
    lines = len(source.splitlines())
    if lines + program_lines > MAX_LINES:
        raise CandidateError(
            f"length: train.py has {lines} lines and program.md {program_lines}, expected at most {MAX_LINES}; "
            f"delete what does not pay"
        )
    if len(source) > MAX_CHARACTERS:
        raise CandidateError(
            f"length: train.py has {len(source):,} characters, expected at most {MAX_CHARACTERS:,}; a candidate holds "
            f"no data"
        )


def check_train(reading: Reading) -> None:
    """`def train(task)` stands at module level, once, and can be called with the task alone."""
    found = [n for n in reading.tree.body if isinstance(n, DEFINITIONS) and n.name == "train"]
    if len(found) != 1:
        seen = "no definition" if not found else f"line {found[1].lineno}: a second definition"
        raise CandidateError(f"train: {seen} of train at module level; expected one `def train(task)`")
    train = found[0]
    if not isinstance(train, ast.FunctionDef) or not _takes_one(train.args):
        raise CandidateError(f"train: line {train.lineno}: expected `def train(task)`, a function of the task alone")


def check_module_level(reading: Reading) -> None:
    """Nothing runs at import but imports, definitions and constants, in class bodies too."""
    for statement in _import_time(reading.tree):
        match statement:
            case ast.Import() | ast.ImportFrom() | ast.Pass():
                pass
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                _check_function(reading, statement)
            case ast.ClassDef():  # its body is looked at by itself
                _check_decorators(reading, statement.decorator_list)
                for base in [*statement.bases, *(keyword.value for keyword in statement.keywords)]:
                    _check_constant(reading, base, "the base of a class")
            case ast.Assign(targets=targets, value=value) if all(map(_names_only, targets)):
                _check_constant(reading, value, "a constant")
            case ast.AnnAssign(target=ast.Name(), annotation=annotation, value=value):
                _check_constant(reading, annotation, "an annotation")
                _check_constant(reading, value, "a constant")
            case _:
                raise refusal(
                    "module level",
                    statement,
                    f"{type(statement).__name__} runs at import; expected only imports, definitions and constants; "
                    f"move it into train(task)",
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


def _check_function(reading: Reading, function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    _check_decorators(reading, function.decorator_list)
    for default in [*function.args.defaults, *function.args.kw_defaults]:
        _check_constant(reading, default, "the default of a parameter")
    for annotation in [*(arg.annotation for arg in parameters(function.args)), function.returns]:
        _check_constant(reading, annotation, "an annotation")


def _check_decorators(reading: Reading, decorators: list[ast.expr]) -> None:
    for decorator in decorators:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        own = isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.attr in OWN_DECORATORS
        if not own and not reading.paths(called) & DECORATORS:
            raise refusal(
                "module level",
                decorator,
                f"the decorator {ast.unparse(called)[:40]} runs at import; expected one of Python's or torch's; apply "
                f"it in train(task)",
            )
        if isinstance(decorator, ast.Call):
            _check_arguments(reading, decorator, "the argument of a decorator")


def _check_constant(reading: Reading, value: ast.expr | None, what: str) -> None:
    """Literals, names, arithmetic and what makes a constant (`float("inf")`); a lambda's body does not run."""
    if value is None:
        return
    if isinstance(value, ast.Lambda):
        for default in [*value.args.defaults, *value.args.kw_defaults]:
            _check_constant(reading, default, "the default of a parameter")
        return
    if isinstance(value, ast.Call) and any(p in PURE or p.startswith("math.") for p in reading.paths(value.func)):
        _check_arguments(reading, value, what)
        return
    if not isinstance(value, CONSTANT_PARTS):
        raise refusal(
            "module level",
            value,
            f"{type(value).__name__} in {what} runs at import; expected literals or arithmetic; compute it in "
            f"train(task)",
        )
    for part in ast.iter_child_nodes(value):
        if isinstance(part, ast.expr):
            _check_constant(reading, part, what)


def _check_arguments(reading: Reading, call: ast.Call, what: str) -> None:
    for argument in [*call.args, *(keyword.value for keyword in call.keywords)]:
        _check_constant(reading, argument, what)
