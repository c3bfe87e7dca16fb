"""The map of the code names what there is: every module, and only functions that exist."""

import ast
import re
from pathlib import Path

import figures

PACKAGE = Path(__file__).parents[1] / "autoresearch_ray"
MAP = (PACKAGE / "README.md").read_text()
MODULES = [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]


def test_every_module_is_named_in_the_part_of_its_folder() -> None:
    top, *folders = re.split(r"^\*\*`(\w+)/`\*\*", MAP.split("## The walk of one proposal")[0], flags=re.M)
    parts = dict(zip(folders[::2], folders[1::2], strict=True)) | {"": top}
    missing = []
    for path in MODULES:
        folder, *inner = path.relative_to(PACKAGE).with_suffix("").parts
        part = parts[folder] if inner else parts[""]
        names = {word.rstrip("/").rpartition("/")[2] for word in re.findall(r"`([^`\s]+)`", part)}
        if path.stem not in names and path.stem != "__main__":
            missing.append(path)
    assert missing == []


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


def test_hardly_a_function_begins_with_a_participle() -> None:
    nodes = [node for module in figures.read_package(PACKAGE) for node in module.nodes]
    functions = [node for node in nodes if isinstance(node, figures.Function)]
    found = sorted({function.name for function in functions if figures.begins_with_participle(function)})
    assert len(found) <= len(functions) / 50, found
