"""The rule about randomness: it comes from the task's seed, so that a lucky seed cannot be sold as progress."""

import ast

from autoresearch_ray.candidate.rules.modules import words
from autoresearch_ray.candidate.rules.name_flow import Reading, refusal

SEEDERS = words(
    "torch.manual_seed torch.random.manual_seed torch.cuda.manual_seed torch.cuda.manual_seed_all random.seed "
    "random.Random numpy.random.seed numpy.random.default_rng numpy.random.RandomState numpy.random.SeedSequence "
    "numpy.random.PCG64 numpy.random.PCG64DXSM numpy.random.MT19937 numpy.random.Philox numpy.random.SFC64"
)
METHODS = words("manual_seed manual_seed_all seed set_state setstate set_rng_state")  # methods of any object
PURE = frozenset(f"builtins.{name}" for name in words("int float abs hash ord len sum min max round pow str bytes"))
REMEDY = "derive it from the task's: torch.manual_seed(task.seed), or task.seed + 1 for a second one"


def check_seeds(reading: Reading) -> None:
    """No generator is seeded with a constant."""
    own = {node.name for node in reading.nodes if isinstance(node, ast.FunctionDef)}
    for node in reading.nodes:
        if not isinstance(node, ast.Call) or not (node.args or node.keywords) or not _seeds(reading, node, own):
            continue
        given = [*node.args[:1], *(keyword.value for keyword in node.keywords if keyword.arg in ("seed", "x", "a"))]
        for value in given:
            if _fixed(reading, value, frozenset()):
                raise refusal("seeds", node, f"{ast.unparse(node)[:60]} fixes the seed; {REMEDY}")


def _seeds(reading: Reading, call: ast.Call, own: set[str]) -> bool:
    if reading.paths(call.func) & SEEDERS:
        return True
    return isinstance(call.func, ast.Attribute) and call.func.attr in METHODS - own


def _fixed(reading: Reading, value: ast.expr, seen: frozenset[str]) -> bool:
    """Whether an expression has the same value whatever the task's seed is."""
    match value:
        case ast.Constant():
            return value.value is not None
        case ast.BinOp(left=left, op=ast.Mult(), right=right) if _is(left, 0) or _is(right, 0):
            return True
        case ast.BinOp(op=ast.Mod(), right=right) if _is(right, 1):
            return True
        case ast.BinOp(left=left, right=right):
            return all(_fixed(reading, part, seen) for part in (left, right))
        case ast.IfExp(body=body, orelse=orelse):
            return all(_fixed(reading, part, seen) for part in (body, orelse))
        case ast.UnaryOp(operand=part) | ast.Subscript(value=part):
            return _fixed(reading, part, seen)
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return all(_fixed(reading, part, seen) for part in parts)
        case ast.Call(func=function, args=parts):
            return bool(reading.paths(function) & PURE) and all(_fixed(reading, part, seen) for part in parts)
        case ast.Name(id=name) if name not in seen:
            bound = reading.values(value)
            return bool(bound) and all(_fixed(reading, one, seen | {name}) for one in bound)
        case ast.Attribute(attr=name) if name not in seen and not reading.paths(value):
            settings = _settings(reading, name)
            return bool(settings) and all(_fixed(reading, one, seen | {name}) for one in settings)
    return False


def _is(value: ast.expr, number: int) -> bool:
    return isinstance(value, ast.Constant) and value.value == number


def _settings(reading: Reading, name: str) -> list[ast.expr]:
    """Everything that an attribute of this name is set to: in a class body, on an object, or by keyword."""
    found: list[ast.expr] = []
    for node in reading.nodes:
        match node:
            case ast.ClassDef(body=body):
                for statement in body:
                    match statement:
                        case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                            found.append(value)
                        case ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value) if target == name:
                            found.append(value)
            case ast.Assign(targets=[ast.Attribute(attr=target)], value=value) if target == name:
                found.append(value)
            case ast.keyword(arg=target, value=value) if target == name:
                found.append(value)
    return found
