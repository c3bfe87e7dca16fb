"""Give the locals of functions names by their order of appearance, so that renaming one changes nothing.

Kept as they are, for they can be seen from outside or it is not worth telling: parameters (keyword calls), names that
an import or a nested class binds, names that start with two underscores, and every name of a function that mentions
`locals`, `vars`, `eval`, `exec` or `dir`.
"""

import ast

from autoresearch_ray.candidate.scopes import FUNCTIONS, Scope, Scopes, names_bound_by

REFLECTIVE = {"locals", "vars", "eval", "exec", "dir"}
KEEPERS = (ast.arg, ast.Import, ast.ImportFrom, ast.ClassDef)

Binding = tuple[Scope, str]


def rename_locals(tree: ast.Module) -> None:
    """Rename, in place, the locals of every function of the module; each outermost function counts from zero."""
    scopes = Scopes(tree)
    for function in _outermost(tree):
        inside = set(ast.walk(function))
        nodes = [node for node in scopes.nodes if node in inside]
        if not any(isinstance(node, ast.Name) and node.id in REFLECTIVE for node in nodes):
            _rename(scopes, nodes)


def _outermost(node: ast.AST) -> list[ast.AST]:
    """The functions that stand in no other function, methods of module-level classes included."""
    found: list[ast.AST] = []
    for child in ast.iter_child_nodes(node):
        found += [child] if isinstance(child, FUNCTIONS) else _outermost(child)
    return found


def _rename(scopes: Scopes, nodes: list[ast.AST]) -> None:
    kept = {(scopes.of(n, name), name) for n in nodes if isinstance(n, KEEPERS) for name in names_bound_by(n)}
    fresh: dict[Binding, str] = {}

    def rename(node: ast.AST, name: str) -> str:
        scope = scopes.of(node, name)
        if scope is None or scope.kind in ("module", "class") or (scope, name) in kept or name.startswith("__"):
            return name
        return fresh.setdefault((scope, name), f"%{len(fresh)}")

    outermost = nodes[0]
    for node in nodes:
        match node:
            case ast.Name(id=name):
                node.id = rename(node, name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if node is not outermost:
                node.name = rename(node, name)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                node.name = rename(node, name)
            case ast.MatchMapping(rest=str(name)):
                node.rest = rename(node, name)
            case ast.Nonlocal(names=names):
                node.names = [rename(node, name) for name in names]
