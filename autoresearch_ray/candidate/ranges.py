"""The ranges that a knob's comment can give: `log(0.005, 0.2)`, `int(2, 8)`, `float(0, 0.5)`, `log_int(4, 64)`,
`choice("relu2", "gelu")`. A third number of `int` and `log_int` is a step, for what a program rounds.

Every range maps its values to the unit interval and back, so that one step size means the same for all knobs. Integers
and choices own equal shares of the interval (of its logarithm for `log_int`); a value stands at its share's middle.
"""

import ast
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from autoresearch_ray.common.errors import CandidateError

Value = bool | int | float | str
KINDS = ("log", "float", "log_int", "int", "choice")
SEARCH = re.compile(r"(?:^#+\s*|;\s*)search\b(?P<a>.*)$|\bsearch\s+(?P<b>\w+\s*\(.*)$")  # finds a range in a comment
LOG_DIGITS = 3  # significant digits of a log knob: steps of at most 1 %


@dataclass(frozen=True, slots=True)
class Interval:
    """Numbers from `low` to `high`, both included."""

    low: float
    high: float
    log: bool
    integer: bool
    step: int = 1  # integers only: values are `low` plus a multiple of it

    def contains(self, value: object) -> bool:
        """Whether a knob may have this value: an int where integers are asked for, any finite number else."""
        number = isinstance(value, int if self.integer else (int, float)) and not isinstance(value, bool)
        return number and self.low <= value <= self.high  # type: ignore[operator]  # a number, as the line before says

    def to_unit(self, value: Value) -> float:
        """The value as a number in [0, 1]."""
        assert self.contains(value), f"{value!r} is not in {self}"
        low, high = self._ends()
        return min(1.0, max(0.0, (self._scale(float(value)) - low) / (high - low)))

    def to_units(self, values: Sequence[Value]) -> list[float]:
        """`to_unit` for many values, all of which the range must contain."""
        low, high = self._ends()
        return [min(1.0, max(0.0, (self._scale(float(value)) - low) / (high - low))) for value in values]

    def from_unit(self, u: float) -> Value:
        """The value at `u` in [0, 1], floats rounded to what is worth telling apart."""
        low, high = self._ends()
        raw = low + min(1.0, max(0.0, u)) * (high - low)
        raw = math.exp(raw) if self.log else raw
        if self.integer:
            steps = math.floor((raw - self.low) / self.step + 0.5)
            return int(self.low + self.step * min(len(self.values()) - 1, max(0, steps)))
        return min(float(self.high), max(float(self.low), self._round(raw)))

    def values(self) -> Sequence[Value]:
        """All of them; none for a continuous range."""
        return range(int(self.low), int(self.high) + 1, self.step) if self.integer else ()

    def _ends(self) -> tuple[float, float]:
        half = min(self.step / 2, self.low / 2 if self.log else math.inf) if self.integer else 0.0
        return self._scale(self.low - half), self._scale(self.high + half)

    def _scale(self, value: float) -> float:
        return math.log(value) if self.log else value

    def _round(self, raw: float) -> float:
        if self.log:
            return float(f"{raw:.{LOG_DIGITS}g}")
        return round(raw, 3 - math.floor(math.log10(self.high - self.low)))

    def __str__(self) -> str:
        kind = {(True, True): "log_int", (True, False): "log", (False, True): "int", (False, False): "float"}
        step = f", {self.step}" if self.step > 1 else ""
        return f"{kind[self.log, self.integer]}({self.low:g}, {self.high:g}{step})"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few values, in no order."""

    options: tuple[Value, ...]

    def contains(self, value: object) -> bool:
        """Whether `value` is an option, of the same type: True is not 1."""
        return any(same(option, value) for option in self.options)

    def to_unit(self, value: Value) -> float:
        """The value as a number in [0, 1]: the middle of its share."""
        index = next((i for i, option in enumerate(self.options) if same(option, value)), None)
        assert index is not None, f"{value!r} is not in {self}"
        return (index + 0.5) / len(self.options)

    def to_units(self, values: Sequence[Value]) -> list[float]:
        """`to_unit` for many values."""
        return [self.to_unit(value) for value in values]

    def from_unit(self, u: float) -> Value:
        """The option whose share holds `u`."""
        return self.options[min(len(self.options) - 1, max(0, int(u * len(self.options))))]

    def values(self) -> Sequence[Value]:
        """All of them."""
        return self.options

    def __str__(self) -> str:
        return f"choice({', '.join(map(repr, self.options))})"


Range = Interval | Choice


@dataclass(frozen=True, slots=True)
class Knob:
    """One tunable constant of a candidate."""

    name: str
    value: Value
    range: Range
    line: int  # line number in its file


def same(one: object, other: object) -> bool:
    """Equal and of one type, inside tuples too: 1, 1.0 and True are three values."""
    if isinstance(one, (tuple, list)) and isinstance(other, (tuple, list)):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


def spell(value: object) -> str:
    """The literal that stands for `value` in a candidate; a float keeps its point or exponent."""
    if isinstance(value, float) and not math.isfinite(value):
        raise CandidateError(f"{value} has no literal; expected a finite number")
    text = repr(value)
    if isinstance(value, str) and '"' not in value:
        return f'"{text[1:-1]}"'  # double quotes, as the formatter writes them
    return text


def parse_range(text: str) -> Range:
    """The range that `text` spells; ValueError says what is wrong with it."""
    match = re.fullmatch(r"(\w+)\s*\((.*)\)", text.strip())
    if match is None or match[1] not in KINDS:
        raise ValueError(f"expected one of {', '.join(f'{kind}(...)' for kind in KINDS)} at the comment's end")
    try:
        arguments = ast.literal_eval(f"({match[2]},)")
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise ValueError(f"expected literal values in {match[1]}(...)") from None
    return _choice(arguments) if match[1] == "choice" else _interval(match[1], arguments)


def _choice(options: tuple[object, ...]) -> Choice:
    kept = tuple(option for option in options if isinstance(option, (bool, int, float, str)))
    distinct = all(not same(a, b) for i, a in enumerate(kept) for b in kept[:i])
    if len(kept) != len(options) or len(kept) < 2 or not distinct:
        raise ValueError("expected at least two different numbers, strings or booleans in choice(...)")
    return Choice(kept)


def _interval(kind: str, given: tuple[object, ...]) -> Interval:
    integer, log = kind.endswith("int"), kind.startswith("log")
    numbers = [e for e in given if isinstance(e, int if integer else (int, float)) and not isinstance(e, bool)]
    if (
        len(given) not in ((2, 3) if integer else (2,))
        or numbers != list(given)
        or not all(map(math.isfinite, numbers))
    ):
        raise ValueError(f"expected two {'integers' if integer else 'numbers'}: {kind}(low, high)")
    low, high, step = (*numbers, 1)[:3]
    if not low < high or (log and low <= 0):
        raise ValueError(f"expected {'0 < ' if log else ''}low < high in {kind}(low, high)")
    if integer and not 1 <= step <= high - low:
        raise ValueError(f"expected a step from 1 to {high - low:g} in {kind}(low, high, step)")
    return Interval(low, high, log, integer, int(step))
