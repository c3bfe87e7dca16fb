"""How the records become JSON and back: one line, NaN as null, every border the same way.

Literals, ints and strings are taken as they come; what a candidate's process says is checked where it is heard.
"""

import json
import math
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from autoresearch_ray.common.errors import RecordError

FORMER_NAMES: dict[str, dict[str, str]] = {  # fields of stored records, by their class: as they were called -> now
    "Proposal": {"parent_revision": "parent_version"},
    "Decision": {"revision": "frontier_version"},
}

T = TypeVar("T")


def to_json(record: object) -> str:
    """One line of JSON for any record here; NaN becomes null."""
    return json.dumps(_plain(record), separators=(",", ":"), allow_nan=False)


def from_json(cls: type[T], text: str | bytes) -> T:
    """The record of `cls` that `to_json` wrote. RecordError for anything else, unknown keys too."""
    kind: Any = cls
    try:
        return _reader(kind)(json.loads(text))  # type: ignore[no-any-return]  # typed by cls, built from JSON
    except (ValueError, TypeError, KeyError, AttributeError, AssertionError) as error:
        raise RecordError(
            f"a stored text is no {cls.__name__} of this version ({type(error).__name__}: {error})"
        ) from error


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else ()


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        assert not math.isinf(value), f"an infinite number in a record: {value}"
        return None if math.isnan(value) else value
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    kind: Any = type(value)
    names = _field_names(kind)
    return {name: _plain(getattr(value, name)) for name in names} if names else value


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    """What builds a value of this type from JSON: made once a type, for looking at types is slow."""
    if isinstance(kind, type) and is_dataclass(kind):
        return _record_reader(kind)
    if kind is float:
        return _float
    arguments = get_args(kind)
    if get_origin(kind) is tuple and arguments[-1] is not Ellipsis:
        items = [_reader(argument) for argument in arguments]
        return lambda values: tuple([item(value) for item, value in zip(items, values, strict=True)])
    if get_origin(kind) is tuple:
        item = _reader(arguments[0])
        return lambda values: tuple([item(value) for value in values])
    if get_origin(kind) is dict:
        item = _reader(arguments[1])
        return lambda values: {key: item(value) for key, value in values.items()}
    if type(None) in arguments:
        item = _reader(arguments[0])
        return lambda value: None if value is None else item(value)
    return _same


def _record_reader(kind: type) -> Callable[[dict[str, Any]], Any]:
    hints = get_type_hints(kind)
    readers = {name: _reader(hint) for name, hint in hints.items()}
    floats = [name for name, reader in readers.items() if reader is _float]  # mostly are already
    others = [(name, reader) for name, reader in readers.items() if reader not in (_float, _same)]

    former = FORMER_NAMES.get(kind.__name__, {})

    def read(values: dict[str, Any]) -> Any:
        for then, now in former.items():
            if then in values:
                values[now] = values.pop(then)
        for name in floats:
            if type(values.get(name, 0.0)) is not float:
                values[name] = _float(values[name])
        for name, reader in others:
            if name in values:
                values[name] = reader(values[name])
        try:
            return kind(**values)
        except TypeError:
            unknown = sorted(values.keys() - hints.keys())
            assert not unknown, f"{kind.__name__}: unknown fields {unknown}"
            raise

    return read


def _float(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _same(value: Any) -> Any:
    return value
