"""Knobs: constants whose comment ends in a range. They are read from a candidate's text and written back in place;
nothing is executed.

    MATRIX_LR = 0.04    # Muon learning rate for 2-D weights; search log(0.005, 0.2)

A text with headings (`source_files.py`) has the knobs of all its files. Python is read by its syntax tree, other
languages by lines (`plain_knobs.py`). There a constant has its bare name if only one file has a knob of this name, or,
without any such knob, if only one file has such a constant. Else its name is `path:NAME`. So a constant without a
range that a model adds changes no knob's name. A second knob of the same name would change it. The tuner would then
read all earlier results as if the knob had always had its present value. So `rules/script.py` refuses a second one.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from types import MappingProxyType

from autoresearch_ray.candidate import plain_knobs, python_knobs
from autoresearch_ray.candidate.languages import is_python
from autoresearch_ray.candidate.ranges import Knob, spell
from autoresearch_ray.candidate.template import KEPT_TEXTS
from autoresearch_ray.common.errors import CandidateError
from autoresearch_ray.common.paths import CANDIDATE_FILE
from autoresearch_ray.records.source_files import has_headings, join, split

__all__ = [
    "Knob",
    "constants",
    "file_constants",
    "file_knobs",
    "names_of",
    "qualified_values",
    "qualify",
    "read_knobs",
    "set_constants",
    "set_in_file",
    "spell",
]

QualifiedName = tuple[str, str]  # the file's path, and the name within it


@lru_cache(maxsize=KEPT_TEXTS)
def read_knobs(source: str) -> tuple[Knob, ...]:
    """The knobs of a candidate, in their order; CandidateError names the line that is wrong and the remedy."""
    if not has_headings(source):
        return python_knobs.read_knobs(source)
    names = names_of(source)
    return tuple(
        Knob(names[path, knob.name], knob.value, knob.range, knob.line)
        for path, text in split(source)
        for knob in file_knobs(path, text)
    )


@lru_cache(maxsize=KEPT_TEXTS)
def constants(source: str) -> Mapping[str, object]:
    """The module-level names that are assigned once, to a literal, with their values."""
    if not has_headings(source):
        return python_knobs.constants(source)
    names = names_of(source)
    values: dict[str, object] = {}
    for path, text in split(source):
        values |= {names[path, name]: value for name, value in file_constants(path, text).items()}
    return MappingProxyType(values)


def set_constants(source: str, values: Mapping[str, object]) -> str:
    """The candidate with these module-level literal constants rewritten in place; comments keep their column.

    A constant that has the value already keeps its spelling. CandidateError if a name is not such a constant.
    """
    if not has_headings(source):
        return python_knobs.set_constants(source, values)
    by_file: dict[str, dict[str, object]] = {}
    for name, value in values.items():
        path, own = qualify(source, name)
        by_file.setdefault(path, {})[own] = value
    return join(tuple((path, set_in_file(path, text, by_file.get(path, {}))) for path, text in split(source)))


def file_knobs(path: str, text: str) -> tuple[Knob, ...]:
    """The knobs of one file, by their names within it."""
    with _telling(path):
        return python_knobs.read_knobs(text) if is_python(path) else plain_knobs.read_knobs(path, text)


def file_constants(path: str, text: str) -> Mapping[str, object]:
    """The constants of one file, by their names within it."""
    with _telling(path):
        return python_knobs.constants(text) if is_python(path) else plain_knobs.constants(path, text)


def set_in_file(path: str, text: str, values: Mapping[str, object]) -> str:
    """One file with these constants rewritten."""
    if not values:
        return text
    with _telling(path):
        if is_python(path):
            return python_knobs.set_constants(text, values)
        return plain_knobs.set_constants(path, text, values)


@lru_cache(maxsize=KEPT_TEXTS)
def names_of(source: str) -> Mapping[QualifiedName, str]:
    """How each constant is called, by its qualified name. CandidateError."""
    if not has_headings(source):
        return {(CANDIDATE_FILE, name): name for name in constants(source)}
    files = split(source)
    knobs = {(path, knob.name) for path, text in files for knob in file_knobs(path, text)}
    every = [(path, name) for path, text in files for name in file_constants(path, text)]
    tuned, assigned = Counter(name for _, name in knobs), Counter(name for _, name in every)
    return {
        (path, name): name if (tuned[name] or assigned[name]) == 1 and ((path, name) in knobs or not tuned[name])
        else f"{path}:{name}"
        for path, name in every
    }  # fmt: skip


def qualify(source: str, name: str) -> QualifiedName:
    """The qualified name of the constant of this name, bare or with its path. CandidateError."""
    names = names_of(source)
    found = next((qualified for qualified, its in names.items() if its == name), None)
    if found is None:
        found = next((qualified for qualified in names if ":".join(qualified) == name), None)
    if found is None:
        several = [its for qualified, its in names.items() if qualified[1] == name]
        remedy = f"; expected one of {', '.join(several)}" if several else ": cannot set it"
        raise CandidateError(f"{name} is not a constant of one file, assigned once to a literal{remedy}")
    return found


def qualified_values(source: str) -> Mapping[QualifiedName, object]:
    """The constants by qualified names, which are the same in all texts; short ones may differ."""
    values = constants(source)
    return {qualified: values[name] for qualified, name in names_of(source).items()}


@contextmanager
def _telling(path: str) -> Iterator[None]:
    """An error in here names the file."""
    try:
        yield
    except CandidateError as error:
        raise CandidateError(f"{path}: {error}") from None
