"""What the files of a checkout of karpathy/autoresearch, or of a fork, say of themselves; none of them is run.

Upstream has a train.py that imports from prepare.py and prints its score on a line `val_bpb: NUMBER`. Forks rename,
move and drop much else, so nothing else is asked for.
"""

import ast
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from autoresearch_ray.common.errors import SettingsError

TRAIN, PREPARE, PROGRAM = "train.py", "prepare.py", "program.md"
METRIC = re.compile(r"\s*(val_(?:bpb|loss))\s*[:=]")  # names at the start of a printed string; the first is upstream's
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")  # a repository of the Hugging Face hub
OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@dataclass(frozen=True, slots=True)
class Checkout:
    """One folder, read."""

    folder: Path
    train: str  # train.py's text
    metric: str
    time_budget: float | None  # seconds of training, where prepare.py says them as a number
    cache: Path | None  # prepare.py's data folder, if below the home folder; may not exist yet
    needs_cuda: bool  # uses CUDA without testing whether it is available
    kernels: tuple[str, ...]  # repositories that train.py loads kernels from
    has_program: bool


def read_checkout(folder: Path) -> Checkout:
    """The facts in a checkout's files. SettingsError if the folder is no such checkout."""
    missing = [name for name in (TRAIN, PREPARE) if not (folder / name).is_file()]
    if missing:
        raise _refuse(folder, f"it has no {' and no '.join(missing)}")
    texts = {name: _read(folder, name) for name in (TRAIN, PREPARE)}
    train, prepare = (_parse(folder, name, text) for name, text in texts.items())
    if not any(_imports_prepare(node) for node in ast.walk(train)):
        raise _refuse(folder, f"its {TRAIN} does not import from {PREPARE}")
    metrics = {match[1] for tree in (train, prepare) for text in _strings(tree) if (match := METRIC.match(text))}
    if not metrics:
        raise _refuse(folder, f"its {TRAIN} prints no line `val_bpb: NUMBER`")
    strings = [text for tree in (train, prepare) for text in _strings(tree)]
    names = {node.id for node in ast.walk(train) if isinstance(node, ast.Name)}
    return Checkout(
        folder,
        texts[TRAIN],
        min(metrics),  # val_bpb before val_loss
        _number(_value_of(prepare, "TIME_BUDGET")) or _number(_value_of(train, "TIME_BUDGET")),
        _cache(prepare),
        ("cuda" in strings or ".cuda()" in texts[TRAIN]) and "cuda.is_available" not in "".join(texts.values()),
        tuple(dict.fromkeys(t for t in _strings(train) if REPOSITORY.fullmatch(t))) if "get_kernel" in names else (),
        (folder / PROGRAM).is_file(),
    )


def _refuse(folder: Path, seen: str) -> SettingsError:
    return SettingsError(
        f"{folder}: is no checkout of karpathy/autoresearch or of a fork, {seen}; expected {TRAIN} and {PREPARE} as "
        "there, or one YAML file with `contract: script` (docs/scripts.md says how to write one)"
    )


def _read(folder: Path, name: str) -> str:
    try:
        return (folder / name).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text"
        raise _refuse(folder, f"its {name} cannot be read ({reason})") from None


def _parse(folder: Path, name: str, text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError) as error:
        where = f" at line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise _refuse(folder, f"its {name} is not Python{where}") from None


def _imports_prepare(node: ast.AST) -> bool:
    module = Path(PREPARE).stem
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").rpartition(".")[2] == module
    return isinstance(node, ast.Import) and any(name.name.rpartition(".")[2] == module for name in node.names)


def _strings(tree: ast.AST) -> Iterator[str]:
    return (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))


def _value_of(tree: ast.Module, name: str) -> ast.expr | None:
    """The value that a name is assigned at the top of a file."""
    for statement in tree.body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=found)], value=node)
                | ast.AnnAssign(target=ast.Name(id=found), value=ast.expr() as node)
            ) if found == name:
                return node
    return None


def _number(node: ast.expr | None) -> float | None:
    """The value of a number, or of numbers that are added, subtracted, multiplied or divided; None for others."""
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return float(value)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            one, other = _number(left), _number(right)
            if one is None or other is None or (isinstance(op, ast.Div) and not other):
                return None
            return OPERATORS[type(op)](one, other)
    return None


def _cache(prepare: ast.Module) -> Path | None:
    """The folder below the home folder that CACHE_DIR names, from its strings: `~`, `.cache`, `autoresearch`."""
    node = _value_of(prepare, "CACHE_DIR")
    if node is None or not any(word in ast.unparse(node) for word in ("~", "home()")):
        return None
    parts = [
        text.removeprefix("~").strip("/") for text in _strings(node) if not text.isupper()
    ]  # nor a variable's name
    return Path.home().joinpath(*filter(None, parts)) if any(parts) else None
