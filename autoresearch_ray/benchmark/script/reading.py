"""A script's metrics, read from what it prints or from a JSON file that it writes."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from autoresearch_ray.common.text import last_line
from autoresearch_ray.settings.script_experiment import LIMIT, ScriptExperiment

NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?:nan|inf|NaN|Inf|NAN|INF)(?:inity)?"
LONGEST_LINE = 1 << 16  # bytes; of a longer one the end is read
# Facts that upstream's script prints besides its score, and the fields of a result for them.
KNOWN_FACTS = {
    "training_seconds": ("training_seconds", 1.0),
    "num_steps": ("steps", 1.0),
    "peak_vram_mb": ("peak_memory_mb", 1.0),
    "num_params_M": ("parameters", 1e6),
    "total_tokens_M": ("tokens", 1e6),
}


class ReadingError(Exception):
    """A script's output holds no valid score; the message is one line."""


@dataclass
class Printed:
    """The metrics in an output that comes in pieces."""

    patterns: dict[str, re.Pattern[str]]  # keyed by name, each with one group; a match lies in one line
    values: dict[str, list[str]] = field(default_factory=dict)  # the first and the last
    counts: Counter[str] = field(default_factory=Counter)
    last: str = ""  # line, for a person
    _rest: bytes = b""

    def take(self, piece: bytes) -> None:
        """Read on."""
        lines, end, rest = (self._rest + piece).replace(b"\r", b"\n").rpartition(b"\n")
        self._rest = rest[-LONGEST_LINE:]
        self._read(lines + end)

    def end(self) -> None:
        """There is no more."""
        self._read(self._rest)
        self._rest = b""

    def _read(self, lines: bytes) -> None:
        text = lines.decode(errors="replace")
        self.last = last_line(text) or self.last
        for name, pattern in self.patterns.items():
            for match in pattern.finditer(text):
                self.counts[name] += 1
                self.values[name] = [*self.values.get(name, [])[:1], match[1]]

    def number(self, name: str, take: str = "only") -> float:
        """The value of a metric. ReadingError if there is none, or several and only one is expected."""
        found = self.values.get(name, [])
        if not found:
            words = f"its last was: {self.last}" if self.last else "nor any other"
            raise ReadingError(f"printed no line `{name}: NUMBER`; {words}")
        if take == "only" and self.counts[name] > 1:
            told = ", ".join(found[:1] + found[-1:])
            raise ReadingError(f"printed {name} {self.counts[name]} times ({told}); expected once, or `take: last`")
        return to_number(name, found[-1])


def patterns_for(experiment: ScriptExperiment) -> dict[str, re.Pattern[str]]:
    """How each metric of an experiment is found in an output."""
    own = {experiment.metric: re.compile(experiment.pattern, re.MULTILINE)} if experiment.pattern else {}
    names = names_of(experiment) | KNOWN_FACTS.keys()
    return {name: pattern_of(name) for name in names} | own


def names_of(experiment: ScriptExperiment) -> set[str]:
    """The metrics that a run must give."""
    return {experiment.metric, *filter(None, [experiment.holdout]), *experiment.limits}


def pattern_of(name: str) -> re.Pattern[str]:
    """A line that begins with the metric's name, `NAME: NUMBER` or `NAME = NUMBER`."""
    return re.compile(rf"^[ \t]*{re.escape(name)}[ \t]*[:=][ \t]*({NUMBER})(?![\w.])", re.MULTILINE)


def to_number(name: str, text: str) -> float:
    """The printed text as a number. ReadingError if it is none, or not finite."""
    try:
        value = float(text)
    except ValueError:
        raise ReadingError(f"{name} is {text[:40]!r}, expected a number") from None
    if not math.isfinite(value):
        raise ReadingError(f"{name} is {text[:40]}, expected a finite number")
    return value


def read_json(content: bytes, names: Iterable[str], file: str) -> dict[str, float]:
    """The metrics in a JSON file, `a.b` for one in a mapping. ReadingError names what is wrong."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ReadingError(f"{file} is not JSON ({str(error)[:80]})") from None
    found = {}
    for name in names:
        value = document
        for key in name.split("."):
            if not isinstance(value, dict) or key not in value:
                raise ReadingError(f"{file} has no `{name}`")
            value = value[key]
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise ReadingError(f"{name} is {str(value)[:40]!r} in {file}, expected a number")
        found[name] = to_number(name, str(value))
    return found


def check_limits(experiment: ScriptExperiment, values: dict[str, float]) -> None:
    """ReadingError for a metric that lies outside its limit."""
    for name, limit in experiment.limits.items():
        match = LIMIT.fullmatch(limit.strip())
        assert match is not None, limit
        bound, value = float(match["number"]), values[name]
        if value > bound if match["sign"] == "<=" else value < bound:
            raise ReadingError(f"{name} is {value:g}, expected {match['sign']} {bound:g}")
