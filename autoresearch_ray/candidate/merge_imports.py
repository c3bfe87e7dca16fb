"""What a merge of several Python files would break between them: a name that one file takes from another that is gone.

One side renames a function of model.py with its uses; the other uses it once more in train.py. Each file merges, and
the program ends at once.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import PurePosixPath

from autoresearch_ray.candidate.languages import KEPT_FILES, is_python
from autoresearch_ray.candidate.syntax import parse

Use = tuple[str, str]  # a module as its file imports it, and a name of it


def import_faults(ours: Mapping[str, str], theirs: Mapping[str, str], merged: Mapping[str, str]) -> tuple[str, ...]:
    """A line each for what is missing now and was missing on neither side. All Python files must parse."""
    before = {*_missing(ours), *_missing(theirs)}
    found = (missing for missing in _missing(merged) if missing not in before)
    return tuple(f"{path}: {name} of {module} is gone on the other side; ours kept" for path, module, name in found)


def _missing(files: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """(path, path of the module, name) of what a file takes from another that does not have it."""
    modules = [path for path in files if is_python(path)]
    for path in modules:
        for module, name in _uses(files[path]):
            its_path = _path_of(module, modules)
            if its_path is not None and its_path != path:
                names = _collect_bound_names(files[its_path])
                if name not in names and "*" not in names and "__getattr__" not in names:
                    yield path, its_path, name


def _path_of(module: str, paths: Sequence[str]) -> str | None:
    """The one file that a module's dotted name may mean."""
    ends = PurePosixPath(*module.split(".")).with_suffix(".py").parts
    found = [path for path in paths if PurePosixPath(path).parts[-len(ends) :] == ends]
    return found[0] if len(found) == 1 else None


@lru_cache(maxsize=KEPT_FILES)
def _uses(text: str) -> tuple[Use, ...]:
    """The names that a file takes from modules, by `from m import name` and by `m.name`."""
    tree = parse(text)
    found: list[Use] = []
    modules: dict[str, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=aliases):
                found += [(module, alias.name) for alias in aliases if alias.name != "*"]
            case ast.Import(names=aliases):
                modules |= {alias.asname or alias.name: alias.name for alias in aliases}
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attribute, ctx=ast.Load()) if name in modules:
                found.append((modules[name], attribute))
    return tuple(dict.fromkeys(found))


@lru_cache(maxsize=KEPT_FILES)
def _collect_bound_names(text: str) -> frozenset[str]:
    """Every name that is bound anywhere in a file: more than its module has, for in doubt a name is there."""
    names = {"__name__", "__file__", "__doc__"}
    for node in ast.walk(parse(text)):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                names |= {(alias.asname or alias.name).split(".")[0] for alias in aliases}
    return frozenset(names)
