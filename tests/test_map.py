"""The map of the code names what there is: every module, and only functions that exist."""

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "autoresearch_ray"
MAP = (PACKAGE / "README.md").read_text()
WORDS = re.findall(r"`([^`\s]+)`", MAP)
MODULES = [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]


def test_every_module_is_named_in_the_map() -> None:
    named = {word.rstrip("/").rpartition("/")[2] for word in [*WORDS, *MAP.split("\n## The tree")[0].split()]}
    assert [path for path in MODULES if path.stem not in named] == []


def test_every_function_on_the_walks_exists() -> None:
    walks = MAP.split("## The walk of one proposal")[1].split("## The words")[0]
    steps = [word.partition(".") for word in re.findall(r"`([\w/]+\.[\w.]+)`", walks) if not word.endswith(".json")]
    assert len(steps) > 25
    for place, _, names in steps:
        found = [path for path in MODULES if path.with_suffix("").as_posix().endswith(f"/{place}")]
        found += [path for path in [PACKAGE / place / "__init__.py"] if path.exists()]
        scopes: list[ast.Module | ast.ClassDef] = [ast.parse(path.read_text()) for path in found]
        scopes = scopes or [class_named(place)]
        assert any(has(scope, names.split(".")) for scope in scopes), f"{place}.{names}"


def class_named(name: str) -> ast.ClassDef:
    """The class of this name, in whichever module."""
    nodes = (node for path in MODULES for node in ast.walk(ast.parse(path.read_text())))
    return next(node for node in nodes if isinstance(node, ast.ClassDef) and node.name == name)


def has(scope: ast.Module | ast.ClassDef, names: list[str]) -> bool:
    """Whether a function or class of this path is defined there."""
    for node in scope.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name == names[0]:
            return len(names) == 1 or (isinstance(node, ast.ClassDef) and has(node, names[1:]))
    return False
