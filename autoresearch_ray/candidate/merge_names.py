"""Names of a merge that are used and gone, used before they have a value, or new on both sides with two meanings."""

import ast
import builtins
from collections.abc import Iterator
from functools import lru_cache

from autoresearch_ray.candidate.merge_statements import functions_of, head, nodes_of, own_statements
from autoresearch_ray.candidate.scopes import COMPREHENSIONS, Scopes, parameters
from autoresearch_ray.candidate.syntax import TREES

LATER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)  # their names are looked up when called
PASSING = (ast.For, ast.With, ast.comprehension)  # bind a name for what is inside
SELF = "self"


def name_faults(base: ast.Module, ours: ast.Module, theirs: ast.Module, merged: ast.Module) -> list[str]:
    """A name each, with what is wrong with it now and was not before."""
    stored, loaded = _handles(merged)
    handles = _handles(ours)[0] | _handles(theirs)[0]
    gone = loaded & handles - stored
    homes = _homes(merged) - _homes(ours) - _homes(theirs)
    early = _early(merged) - _early(ours) - _early(theirs)
    before, mine, other = _meanings(base), _meanings(ours), _meanings(theirs)
    twice = {name for name in {*mine} & {*other} - {*before} if mine[name] != other[name]}
    return [
        *(f"{name}: used on one side and removed on the other" for name in sorted(gone)),
        *(f"{name}: means something else in {place or 'the module'}" for place, name in sorted(homes)),
        *(f"{name}: used before it has a value" for name in sorted(early)),
        *(f"{name.rpartition(':')[2]}: new on both sides, with two meanings" for name in sorted(twice)),
    ]


@lru_cache(maxsize=TREES)
def _homes(tree: ast.Module) -> frozenset[tuple[str, str]]:
    """The names that each function takes from elsewhere, with the function that defines them, or none."""
    scopes = Scopes(tree)
    names = {scope: getattr(node, "name", "") for node, scope in scopes.inner.items()}
    homes = set()
    for node in scopes.nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            home = scopes.of(node, node.id)
            if home is None and not hasattr(builtins, node.id):
                homes.add((names.get(scopes.scope[node], ""), f"{node.id}"))
            elif home is not None and home is not scopes.scope[node] and home.kind == "function":
                homes.add((names.get(scopes.scope[node], ""), f"{node.id} of {names[home]}"))
    return frozenset(homes)


@lru_cache(maxsize=TREES)
def _handles(tree: ast.Module) -> tuple[set[str], set[str]]:
    """Attributes, names and string keys that are bound somewhere, and those that are read somewhere."""
    stored: set[str] = set()
    loaded: set[str] = set()
    for node in nodes_of(tree):
        match node:
            case ast.Name(id=name, ctx=ctx) | ast.Attribute(attr=name, ctx=ctx):
                (loaded if isinstance(ctx, ast.Load) else stored).add(name)
            case ast.Subscript(slice=ast.Constant(value=str(name)), ctx=ctx):
                (loaded if isinstance(ctx, ast.Load) else stored).add(f'["{name}"]')
            case ast.Dict(keys=keys):
                words = [key.value for key in keys if isinstance(key, ast.Constant)]
                stored |= {f'["{word}"]' for word in words if isinstance(word, str)}
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.alias(name=name) | ast.arg(arg=name):
                stored.add(name)
            case (
                ast.Call(args=[_, ast.Constant(value=str(name)), *_])
                | ast.Call(args=[ast.Constant(value=str(name)), *_])
            ):
                stored.add(name)  # register_buffer("name", ...), setattr(x, "name", ...)
    return stored, loaded


@lru_cache(maxsize=TREES)
def _early(tree: ast.Module) -> frozenset[str]:
    """Locals, and attributes in `__init__`, whose first use stands before their first value."""
    found: set[str] = set()
    for function in functions_of(tree):
        if isinstance(function, ast.FunctionDef):
            first: dict[str, str] = {}
            bound: set[str] = set()
            for name, what in _uses(function.body):
                first.setdefault(name, what)
                bound |= {name} if what == "store" else set()
            bound -= {parameter.arg for parameter in parameters(function.args)}
            names = {name for name in bound if first[name] == "load"}
            found |= {name for name in names if not name.startswith(f"{SELF}.") or function.name == "__init__"}
    return frozenset(found)


def _uses(nodes: list[ast.stmt] | list[ast.AST]) -> Iterator[tuple[str, str]]:
    """(name, load or store) in the order in which a first pass through the statements meets them."""
    for node in nodes:
        if isinstance(node, LATER):
            if not isinstance(node, ast.Lambda):
                yield node.name, "store"
            continue
        if isinstance(node, COMPREHENSIONS):
            own = {n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)}
            yield from (use for use in _uses(list(ast.iter_child_nodes(node))) if use[0] not in own)
            continue
        match node:
            case ast.Name(id=name, ctx=ctx):
                yield name, "load" if isinstance(ctx, ast.Load) else "store"
            case ast.Attribute(value=ast.Name(id="self"), attr=attribute, ctx=ctx):
                yield f"{SELF}.{attribute}", "load" if isinstance(ctx, ast.Load) else "store"
        yield from _uses(_evaluation_order(node))


def _evaluation_order(node: ast.AST) -> list[ast.AST]:
    """The children in the order in which they are evaluated."""
    match node:
        case ast.Assign(targets=targets, value=value):
            return [value, *targets]
        case ast.AnnAssign(target=target, value=value):
            return [*([value] if value is not None else []), target]
        case ast.AugAssign(target=target, value=value):
            return [ast.Expr(value), target]
        case ast.For(target=target, iter=source, body=body, orelse=orelse):
            return [source, target, *body, *orelse]
        case ast.Call(func=ast.Attribute(attr="register_buffer"), args=[ast.Constant(value=str(name)), *rest]):
            return [*rest, ast.Attribute(ast.Name(SELF, ast.Load()), name, ast.Store())]
    return list(ast.iter_child_nodes(node))


@lru_cache(maxsize=TREES)
def _meanings(tree: ast.Module) -> dict[str, frozenset[str]]:
    """The statements that give a local, an attribute or an inner function its value, loop variables left out."""
    found: dict[str, set[str]] = {}
    for function in functions_of(tree):
        owner = getattr(function, "name", "")
        for node in own_statements(function):
            match node:
                case ast.Assign(targets=targets):
                    for target in targets:
                        for part in ast.walk(target):
                            _note(found, owner, part, node)
                case ast.AnnAssign(target=target):
                    _note(found, owner, target, node)
                case ast.FunctionDef(name=name):
                    found.setdefault(f"{owner}:{name}", set()).add(ast.unparse(node))
                case ast.Expr(
                    ast.Call(func=ast.Attribute(attr="register_buffer"), args=[ast.Constant(value=str(name)), *_])
                ):
                    found.setdefault(f":{SELF}.{name}", set()).add(ast.unparse(node))
    return {name: frozenset(meanings) for name, meanings in found.items()}


def _note(found: dict[str, set[str]], owner: str, target: ast.AST, statement: ast.stmt) -> None:
    match target:
        case ast.Name(id=name, ctx=ast.Store()):
            found.setdefault(f"{owner}:{name}", set()).add(head(statement))
        case ast.Attribute(value=ast.Name(id="self"), attr=attribute, ctx=ast.Store()):
            found.setdefault(f":{SELF}.{attribute}", set()).add(head(statement))
