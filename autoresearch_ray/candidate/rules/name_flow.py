"""A candidate as the rules read it: its nodes, and the outside objects that each name may stand for.

Such an object has a dotted path: `torch.nn.functional.relu` whatever it was imported as, `builtins.open`, `task.clock`.
Paths follow plain assignments, loops over literals, defaults, the arguments of the candidate's own functions and
attributes of `self`. A call's result counts as the candidate's own. `path[]` is a literal that contains the object. The
reading is by syntax alone, without order or values: it is no sandbox.
"""

import ast
import builtins
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from autoresearch_ray.candidate.scopes import FUNCTIONS, Scope, Scopes, names_bound_by, parameters, with_defaults
from autoresearch_ray.candidate.syntax import docstring, parse
from autoresearch_ray.common.errors import CandidateError

BY_NAME = ("getattr", "hasattr", "setattr", "delattr")
ROUNDS = 8  # rounds over all assignments: each passes a path on by one name
PARTS = 8  # most parts of a path: longer ones add nothing

Paths = frozenset[str]
Binding = tuple[Scope | None, str]  # (None, name) is the attribute `name` of any `self`
Flow = tuple[Binding, Callable[[], Paths]]
Positioned = ast.expr | ast.stmt | ast.pattern | ast.keyword | ast.arg | ast.excepthandler
NOTHING: Paths = frozenset()


@dataclass(frozen=True)
class Use:
    """An attribute that is read, written or deleted: by syntax, in a pattern, or by `getattr` and its like."""

    node: ast.expr | ast.pattern
    base: ast.expr | None  # None in a pattern
    name: str
    stored: bool


def refusal(rule: str, node: Positioned, text: str) -> CandidateError:
    """The error of a rule; `text` says what was seen and what to do."""
    return CandidateError(f"{rule}: line {node.lineno}: {text}")


def check_compiles(source: str) -> None:
    """Errors that the parser lets pass and Python does not: `return` outside a function, a parameter twice."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source, "train.py", "exec", dont_inherit=True)
    except SyntaxError as error:
        raise CandidateError(f"syntax: line {error.lineno}: {error.msg}; expected valid Python") from None


class Reading:
    """One candidate. CandidateError if it does not parse."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.tree = parse(source)
        check_compiles(source)
        self.scopes = Scopes(self.tree)
        positioned = [node for node in self.scopes.nodes if isinstance(node, Positioned)]
        self.nodes = sorted(positioned, key=lambda node: (node.lineno, node.col_offset))  # in source order
        self._selves = set(self._first_parameters())
        self._functions = dict(self._own_functions())
        every = [node.args for node in self.scopes.nodes if isinstance(node, FUNCTIONS)]
        self._defaults_of = {parameter: value for arguments in every for parameter, value in with_defaults(arguments)}
        classes = [node for node in self.scopes.nodes if isinstance(node, ast.ClassDef)]
        self._classes = {(self.scopes.of(node, node.name), node.name) for node in classes}
        self._paths: dict[Binding, Paths] = {}
        self._arguments: dict[Binding, list[ast.expr]] = {}  # arguments by parameter, for functions called by name
        flows = [flow for node in self.scopes.nodes for flow in self._flows(node)]
        for _ in range(ROUNDS):
            if not sum(self._learn(binding, paths()) for binding, paths in flows):
                break

    def paths(self, node: ast.AST | None) -> Paths:
        """The outside names that an expression may stand for."""
        match node:
            case ast.Name(id=name):
                scope = self.scopes.of(node, name)
                if scope is None:
                    return frozenset({f"builtins.{name}"}) if hasattr(builtins, name) else NOTHING
                return self._paths.get((scope, name), NOTHING)
            case ast.Attribute(value=base, attr=name):
                own = self._paths.get((None, name), NOTHING) if self.is_self(base) else NOTHING
                return own | _extend(self.paths(base), name)
            case ast.IfExp(body=one, orelse=other):
                return self.paths(one) | self.paths(other)
            case ast.BoolOp(values=values):
                return _union(map(self.paths, values))
            case ast.NamedExpr(value=value) | ast.Starred(value=value):
                return self.paths(value)
            case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts) | ast.Dict(values=parts):
                return frozenset(f"{path}[]" for path in _union(map(self.paths, parts)))
            case ast.Subscript(value=value):
                return _elements(self.paths(value))
            case ast.Call(func=ast.Name(id="getattr"), args=[base, ast.Constant(value=str(name)), *_]):
                return _extend(self.paths(base), name)
            case ast.Call(func=ast.Name(id="type"), args=[_]):
                return frozenset({"builtins.type()"})
        return NOTHING

    def uses(self) -> Iterator[Use]:
        """Every attribute that the text names."""
        for node in self.nodes:
            match node:
                case ast.Attribute(value=base, attr=name, ctx=context):
                    yield Use(node, base, name, stored=not isinstance(context, ast.Load))
                case ast.Call(func=ast.Name(id=function), args=[base, ast.Constant(value=str(name)), *_]):
                    if function in BY_NAME:
                        yield Use(node, base, name, stored=function in ("setattr", "delattr"))
                case ast.MatchClass(kwd_attrs=names):
                    yield from (Use(node, None, name, stored=False) for name in names)

    def strings(self) -> Iterator[ast.Constant]:
        """String literals that are no docstrings."""
        silent = {text.value for node in self.scopes.nodes if (text := docstring(node)) is not None}
        for node in self.nodes:
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in silent:
                yield node

    def is_self(self, node: ast.AST | None) -> bool:
        """Whether it is the first parameter of a method that it stands in."""
        return isinstance(node, ast.Name) and (self.scopes.of(node, node.id), node.id) in self._selves

    def is_own_class(self, node: ast.AST | None) -> bool:
        """Whether it names a class that the candidate defines."""
        return isinstance(node, ast.Name) and (self.scopes.of(node, node.id), node.id) in self._classes

    def values(self, name: ast.Name) -> list[ast.expr]:
        """Every value that a name is assigned or passed; empty if it is bound in another way too, or not at all."""
        scope = self.scopes.of(name, name.id)
        found = list(self._arguments.get((scope, name.id), []))
        for node in self.scopes.nodes:
            if name.id in names_bound_by(node) and self.scopes.of(node, name.id) is scope:
                match self.scopes.parent[node]:
                    case ast.Assign(targets=targets, value=value) if node in targets:
                        found.append(value)
                    case ast.AnnAssign(value=ast.expr() as value) | ast.NamedExpr(value=value):
                        found.append(value)
                    case ast.arguments() if (scope, name.id) in self._arguments:
                        continue
                    case _:
                        return []
        return found

    def _first_parameters(self) -> Iterator[Binding]:
        for node, scope in self.scopes.inner.items():
            if not isinstance(node, FUNCTIONS) or not isinstance(self.scopes.parent[node], ast.ClassDef):
                continue
            if "staticmethod" not in map(ast.unparse, getattr(node, "decorator_list", [])):
                yield from ((scope, arg.arg) for arg in parameters(node.args)[:1])

    def _own_functions(self) -> Iterator[tuple[Binding, list[ast.arg]]]:
        """The parameters of what can be called by its name: functions, and classes that say how they are made."""
        for node in self.scopes.nodes:
            match node:
                case ast.FunctionDef(name=name, args=arguments):
                    yield (self.scopes.of(node, name), name), parameters(arguments)
                case ast.ClassDef(name=name, body=body):
                    for method in body:
                        if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                            yield (self.scopes.of(node, name), name), parameters(method.args)[1:]

    def _learn(self, binding: Binding, paths: Paths) -> bool:
        before = self._paths.get(binding, NOTHING)
        self._paths[binding] = before | paths
        return not paths <= before

    def _flows(self, node: ast.AST) -> Iterator[Flow]:
        """What a node says about the meaning of names."""
        match node:
            case ast.Import(names=aliases):
                for alias in aliases:
                    path = alias.name if alias.asname else alias.name.split(".")[0]
                    yield self._fact(node, alias.asname or path, path)
            case ast.ImportFrom(module=module, names=aliases):
                for alias in aliases:
                    yield self._fact(node, alias.asname or alias.name, f"{module}.{alias.name}")
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    yield from self._follow_assignment(target, value)
            case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.NamedExpr(target=target, value=value):
                yield from self._follow_assignment(target, value)
            case ast.For(target=target, iter=values) | ast.comprehension(target=target, iter=values):
                for value in values.elts if isinstance(values, (ast.Tuple, ast.List, ast.Set)) else ():
                    yield from self._follow_assignment(target, value)
                yield from self._bind(target, lambda: _elements(self.paths(values)))
            case ast.FunctionDef(args=arguments) | ast.Lambda(args=arguments):
                for parameter, value in with_defaults(arguments):
                    yield (self.scopes.of(parameter, parameter.arg), parameter.arg), partial(self.paths, value)
            case ast.Call(func=ast.Name(id=name) as function):
                yield from self._follow_call(node, self._functions.get((self.scopes.of(function, name), name), []))
            case ast.arg(arg="task"):
                yield self._fact(node, "task", "task")

    def _fact(self, node: ast.AST, name: str, path: str) -> Flow:
        return (self.scopes.of(node, name), name), lambda: frozenset({path})

    def _follow_assignment(self, target: ast.expr, value: ast.expr) -> Iterator[Flow]:
        match target, value:
            case ((ast.Tuple(elts=targets) | ast.List(elts=targets)), (ast.Tuple(elts=values) | ast.List(elts=values))):
                for one, its in zip(targets, values, strict=False):
                    yield from self._follow_assignment(one, its)
            case ((ast.Tuple(elts=targets) | ast.List(elts=targets)), _):
                for one in targets:
                    yield from self._bind(one, lambda: _elements(self.paths(value)))
            case _:
                yield from self._bind(target, partial(self.paths, value))

    def _bind(self, target: ast.expr, paths: Callable[[], Paths]) -> Iterator[Flow]:
        match target:
            case ast.Name(id=name):
                yield (self.scopes.of(target, name), name), paths
            case ast.Attribute(value=base, attr=name) if self.is_self(base):
                yield (None, name), paths

    def _follow_call(self, call: ast.Call, wanted: list[ast.arg]) -> Iterator[Flow]:
        passed = dict(zip(wanted, call.args, strict=False))
        passed |= {
            parameter: keyword.value
            for keyword in call.keywords
            for parameter in wanted
            if parameter.arg == keyword.arg
        }
        for parameter in wanted:
            value = passed.get(parameter, self._defaults_of.get(parameter))
            if value is not None:
                binding = self.scopes.of(parameter, parameter.arg), parameter.arg
                self._arguments.setdefault(binding, []).append(value)
                yield binding, partial(self.paths, value)


def _union(many: Iterable[Paths]) -> Paths:
    return NOTHING.union(*many)


def _extend(paths: Paths, name: str) -> Paths:
    return frozenset(f"{path}.{name}" for path in paths if path.count(".") < PARTS)


def _elements(paths: Paths) -> Paths:
    return frozenset(path.removesuffix("[]") for path in paths if path.endswith("[]"))
