"""Which scope each name of a candidate belongs to, by Python's rules, read from the syntax tree alone."""

import ast
from dataclasses import dataclass, field
from typing import Literal

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
SCOPED = (*FUNCTIONS, *COMPREHENSIONS, ast.ClassDef)
SHARED = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)  # one object for many places


@dataclass(eq=False)
class Scope:
    """One scope; `bound` are the names that belong to it."""

    kind: Literal["module", "class", "function", "comprehension"]
    outer: "Scope | None"
    bound: set[str] = field(default_factory=set)
    declared: dict[str, Literal["global", "nonlocal"]] = field(default_factory=dict)


class Scopes:
    """The scopes of a tree. `nodes` are its nodes in the order of the text; each is evaluated in `scope[node]`."""

    def __init__(self, tree: ast.Module) -> None:
        self.module = Scope("module", None)
        self.scope: dict[ast.AST, Scope] = {}
        self.inner: dict[ast.AST, Scope] = {}  # the scope that a function, class or comprehension opens
        self.parent: dict[ast.AST, ast.AST] = {}
        self._outside: dict[ast.AST, Scope] = {}
        self._enter(tree, self.module)
        self.nodes = tuple(self.scope)
        for node in self.nodes:
            if isinstance(node, (ast.Global, ast.Nonlocal)):
                word: Literal["global", "nonlocal"] = "global" if isinstance(node, ast.Global) else "nonlocal"
                self.scope[node].declared |= dict.fromkeys(node.names, word)
        for node in self.nodes:
            for name in names_bound_by(node):
                self._bind(node, name)

    def of(self, node: ast.AST, name: str) -> Scope | None:
        """The scope that `name`, used at `node`, belongs to; None for a builtin or an undefined name."""
        first = self._first(node)
        scope: Scope | None = first
        if first.declared.get(name) == "global":
            return self.module if name in self.module.bound else None
        while scope is not None:
            if name in scope.bound and (scope is first or scope.kind != "class"):
                return scope
            scope = scope.outer
        return None

    def _first(self, node: ast.AST) -> Scope:
        """The first scope for a name at `node`: a parameter's is its function, a walrus's is outside comprehensions."""
        if isinstance(node, ast.arg):
            return self.inner[self.parent[self.parent[node]]]
        scope = self.scope[node]
        outside = self.parent.get(node)
        if isinstance(outside, ast.NamedExpr) and node is outside.target:
            while scope.kind == "comprehension":
                assert scope.outer is not None
                scope = scope.outer
        return scope

    def _bind(self, node: ast.AST, name: str) -> None:
        scope = self._first(node)
        declared = scope.declared.get(name)
        if declared == "global":
            self.module.bound.add(name)
        elif declared is None:
            scope.bound.add(name)

    def _enter(self, node: ast.AST, scope: Scope) -> None:
        self.scope[node] = scope
        inside = scope
        if isinstance(node, SCOPED):
            inside = self.inner[node] = Scope(_kind(node), scope)
            self._outside |= dict.fromkeys(parts_outside(node), scope)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, SHARED):
                continue
            self.parent[child] = node
            self._enter(child, self._outside.get(child, inside))


def names_bound_by(node: ast.AST) -> list[str]:
    """The names that a node binds, in the scope that it stands in."""
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
            return [name]
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            return [name]
        case ast.MatchMapping(rest=str(name)):
            return [name]
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            return [(alias.asname or alias.name).split(".")[0] for alias in aliases]
    return []


def parameters(arguments: ast.arguments) -> list[ast.arg]:
    """All parameters, those by position first."""
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return [*named, *(rest for rest in (arguments.vararg, arguments.kwarg) if rest is not None)]


def with_defaults(arguments: ast.arguments) -> list[tuple[ast.arg, ast.expr]]:
    """The parameters that have a default, with it."""
    ordinary = [*arguments.posonlyargs, *arguments.args]
    pairs = [*zip(ordinary[::-1], arguments.defaults[::-1], strict=False)]
    named = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return [*pairs, *((parameter, value) for parameter, value in named if value is not None)]


def parts_outside(node: ast.AST) -> list[ast.AST]:
    """The parts of a scope's definition that are evaluated outside of it, when it is defined."""
    match node:
        case ast.Lambda(args=arguments):
            return [value for _, value in with_defaults(arguments)]
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            hints = [arg.annotation for arg in parameters(node.args) if arg.annotation is not None]
            returns = [node.returns] if node.returns is not None else []
            return [*node.decorator_list, *(value for _, value in with_defaults(node.args)), *hints, *returns]
        case ast.ClassDef():
            return [*node.decorator_list, *node.bases, *node.keywords]
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            return [node.generators[0].iter]
    raise AssertionError(f"not a scope: {ast.dump(node)}")


def _kind(node: ast.AST) -> Literal["class", "function", "comprehension"]:
    if isinstance(node, ast.ClassDef):
        return "class"
    return "function" if isinstance(node, FUNCTIONS) else "comprehension"
