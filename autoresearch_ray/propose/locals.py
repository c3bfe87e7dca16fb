"""Give the locals of functions names by their order of appearance, so that renaming one changes nothing.

Kept as they are, for they can be seen from outside or it is not worth telling: parameters (keyword calls), names that
an import or a nested class binds, names used in a nested class body, names that start with two underscores, and every
name of a function that mentions `locals`, `vars`, `eval`, `exec` or `dir`.
"""

import ast
from itertools import count

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
SCOPES = (*FUNCTIONS, *COMPREHENSIONS, ast.ClassDef)
REFLECTIVE = {"locals", "vars", "eval", "exec", "dir"}

Names = dict[str, str]


def rename_locals(tree: ast.Module) -> None:
    """Rename, in place, the locals of every function of the module; each outermost function counts from zero."""
    for node in _outermost(tree):
        inside = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
        if not REFLECTIVE & {n.id for n in inside}:
            _Renamer(kept=_bound_in_classes(node)).visit(node)


def _outermost(node: ast.AST) -> list[ast.AST]:
    """The functions that stand in no other function, methods of module-level classes included."""
    found: list[ast.AST] = []
    for child in ast.iter_child_nodes(node):
        found += [child] if isinstance(child, FUNCTIONS) else _outermost(child)
    return found


def _bound_in_classes(node: ast.AST) -> set[str]:
    classes = [n for n in ast.walk(node) if isinstance(n, ast.ClassDef)]
    return {name for c in classes for name in [c.name, *_bindings(c.body)[0]]}


def _parameters(arguments: ast.arguments) -> list[str]:
    ordinary = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return [a.arg for a in [*ordinary, arguments.vararg, arguments.kwarg] if a is not None]


def _bindings(nodes: list[ast.stmt] | list[ast.expr]) -> tuple[list[str], set[str]]:
    """(names bound in this scope in order, names that are not its own or must stay) of a function's or class's body."""
    bound: list[str] = []
    foreign: set[str] = set()

    def look(node: ast.AST) -> None:
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                bound.append(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                bound.append(name)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                bound.append(name)
            case ast.MatchMapping(rest=str(name)):
                bound.append(name)
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                foreign.update(names)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                foreign.update((alias.asname or alias.name).split(".")[0] for alias in aliases)
        if isinstance(node, COMPREHENSIONS):
            bound.extend(n.target.id for n in ast.walk(node) if isinstance(n, ast.NamedExpr))
        elif not isinstance(node, SCOPES):
            for child in ast.iter_child_nodes(node):
                look(child)
        else:
            for outer in _outside(node):
                look(outer)

    for node in nodes:
        look(node)
    return bound, foreign


def _outside(node: ast.AST) -> list[ast.AST]:
    """The parts of a scope's definition that are evaluated outside of it."""
    match node:
        case ast.Lambda(args=arguments):
            return _defaults(arguments)
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
            hints = [a.annotation for a in every if a is not None and a.annotation is not None]
            returns = [node.returns] if node.returns is not None else []
            return [*node.decorator_list, *_defaults(node.args), *hints, *returns]
        case ast.ClassDef():
            return [*node.decorator_list, *node.bases, *node.keywords]
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            return [node.generators[0].iter]
    raise AssertionError(f"not a scope: {ast.dump(node)}")


def _defaults(arguments: ast.arguments) -> list[ast.AST]:
    return [default for default in [*arguments.defaults, *arguments.kw_defaults] if default is not None]


class _Renamer:
    """Walks one outermost function; `names` maps what a scope sees to its new name."""

    def __init__(self, kept: set[str]) -> None:
        self.kept = kept
        self.numbers = count()

    def visit(self, node: ast.AST, names: Names | None = None) -> None:
        names = names or {}
        if isinstance(node, SCOPES):
            for outer in _outside(node):
                self.visit(outer, names)
            self._enter(node, names)
            return
        self._rename(node, names)
        for child in ast.iter_child_nodes(node):
            self.visit(child, names)

    def _enter(self, node: ast.AST, names: Names) -> None:
        match node:
            case ast.Lambda():
                self.visit(node.body, self._scope(names, [], set(_parameters(node.args)), [node.body]))
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                node.name = names.get(node.name, node.name)
                inner = self._scope(names, [], set(_parameters(node.args)), node.body)
                for statement in node.body:
                    self.visit(statement, inner)
            case ast.ClassDef():
                for statement in node.body:
                    self.visit(statement, names)
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                self._comprehension(node, names)

    def _comprehension(self, node: ast.AST, names: Names) -> None:
        assert isinstance(node, COMPREHENSIONS), ast.dump(node)
        targets = [n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)]
        inner = self._scope(names, targets, set(), [])
        for i, generator in enumerate(node.generators):
            self.visit(generator.target, inner)
            for part in [*([generator.iter] if i else []), *generator.ifs]:
                self.visit(part, inner)
        results = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        for part in results:
            self.visit(part, inner)

    def _scope(
        self, names: Names, bound: list[str], parameters: set[str], body: list[ast.stmt] | list[ast.expr]
    ) -> Names:
        """What is seen in a new scope: the outer names, less what it hides, and its own under new names."""
        inside, foreign = _bindings(body)
        globals_ = {n for node in body for g in ast.walk(node) if isinstance(g, ast.Global) for n in g.names}
        imported = foreign - {
            n for node in body for g in ast.walk(node) if isinstance(g, ast.Nonlocal) for n in g.names
        }
        seen = {old: new for old, new in names.items() if old not in parameters | globals_ | imported}
        for name in [*bound, *inside]:
            if name in foreign or name in parameters or name in self.kept or name.startswith("__"):
                if name not in foreign:
                    seen.pop(name, None)
            elif seen.get(name) == names.get(name):  # not yet given a name of this scope
                seen[name] = f"%{next(self.numbers)}"
        return seen

    def _rename(self, node: ast.AST, names: Names) -> None:
        match node:
            case ast.Name(id=name):
                node.id = names.get(name, name)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                node.name = names.get(name, name)
            case ast.MatchMapping(rest=str(name)):
                node.rest = names.get(name, name)
            case ast.Nonlocal():
                node.names = [names.get(name, name) for name in node.names]
