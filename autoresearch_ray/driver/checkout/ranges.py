"""Ranges for the constants of a train.py that has none: around the value found, by the constant's name or its kind."""

import math
import re
from collections.abc import Callable, Mapping

from autoresearch_ray.candidate.knobs import constants, read_knobs
from autoresearch_ray.candidate.ranges import parse_range

# A constant with such a word in its name says what is measured, or describes the hardware: it is no knob.
NO_KNOB = re.compile(
    "BUDGET|CACHE|COMPILE|DEBUG|DEVICE|DIR|DTYPE|EVAL|EVERY|FILE|FLOPS|GPU|INTERVAL|LEN|LENGTH|LOG|MAX|MFU|PATH|PEAK|"
    "PORT|PROJECT|RANK|RUNS|SAVE|SECONDS|SEED|SEQ|SHARDS?|STEPS|THREADS|TIME|TIMEOUT|TOKENS|VAL|VERBOSE|VERSION|VOCAB|"
    "WANDB|WORKERS|WORLD"
)
PATTERNS = ("L", "SL", "SSL", "SSSL", "SSSSSL")  # upstream's window patterns: short and long
LR_TIMES = 5.0  # a learning rate's range: from its value over this to its value times this


def _log(value: float) -> str:
    return f"log({_round(value / LR_TIMES)}, {_round(value * LR_TIMES)})" if value > 0 else "float(0, 0.1)"


def _small_share(value: float) -> str:
    return f"float(0, {_round(max(0.2, 2 * value))})"


def _doubles(value: int) -> str:
    """Powers of two around it: what heads and batches divide by."""
    return f"choice({', '.join(str(n) for n in (value // 2, value, value * 2) if n >= 1)})"


def _halves(value: int) -> str:
    """A quarter, a half and the whole of the value: more may not fit a GPU's memory."""
    return f"choice({', '.join(str(n) for n in (value // 4, value // 2, value) if n >= 1)})"


def _whole(value: int) -> str:
    low, high = max(1, value // 2), max(2, value + (value + 1) // 2)
    return f"int({low}, {high})"


def _coarse(value: int) -> str:
    step = max(1, value // 8)
    return f"int({max(step, value - 4 * step)}, {value + 8 * step}, {step})"


def _windows(value: str) -> str:
    options = dict.fromkeys((value, *PATTERNS))
    return "choice(" + ", ".join(f'"{option}"' for option in options) + ")"


Numbers, Whole = (int, float), (int,)
UPSTREAM: Mapping[str, tuple[tuple[type, ...], Callable[..., str]]] = {  # names of upstream's, and what they may hold
    "EMBEDDING_LR": (Numbers, _log),
    "UNEMBEDDING_LR": (Numbers, _log),
    "MATRIX_LR": (Numbers, _log),
    "SCALAR_LR": (Numbers, _log),
    "WEIGHT_DECAY": (Numbers, lambda value: f"float(0, {_round(max(0.1, 3 * value))})"),
    "WARMUP_RATIO": (Numbers, _small_share),
    "WARMDOWN_RATIO": (Numbers, lambda value: f"float({min(0.1, value):g}, 1)"),
    "FINAL_LR_FRAC": (Numbers, _small_share),
    "DEPTH": (Whole, _whole),
    "ASPECT_RATIO": (Whole, _coarse),
    "HEAD_DIM": (Whole, _doubles),
    "DEVICE_BATCH_SIZE": (Whole, _halves),
    "TOTAL_BATCH_SIZE": (Whole, _doubles),
    "WINDOW_PATTERN": ((str,), _windows),
}


def choose_ranges(text: str) -> dict[str, str]:
    """The range of each constant that may be turned and that has none in its comment, in their order."""
    existing = {knob.name for knob in read_knobs(text)}
    found = {name: _range_for(name, value) for name, value in constants(text).items() if name not in existing}
    return {name: said for name, said in found.items() if said}


def is_upstreams(name: str) -> bool:
    """Whether upstream has a constant of this name; others get their range by kind."""
    return name in UPSTREAM


def _range_for(name: str, value: object) -> str:
    """ "" for what is no knob, and where no range holds the value."""
    kinds, choose = UPSTREAM.get(name, (Numbers, None))
    if type(value) not in kinds or not re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
        return ""
    said = choose(value) if choose is not None else _by_kind(name, value)
    try:
        return said if said and parse_range(said).contains(value) else ""
    except ValueError:
        return ""


def _by_kind(name: str, value: object) -> str:
    """A range by kind for a constant that upstream does not have: shares, rates and counts. Others get none."""
    words = name.split("_")
    if any(map(NO_KNOB.fullmatch, words)):
        return ""
    if isinstance(value, int):
        return _whole(value) if value >= 2 else ""
    assert isinstance(value, float), value
    if "LR" in words or "RATE" in words or 0 < value < 0.01:
        return _log(value) if value > 0 else ""
    return "float(0, 1)" if 0 <= value <= 1 else f"float(0, {_round(2 * value)})" if value > 0 else ""


def _round(value: float) -> str:
    """Two digits, so that the file reads well."""
    digits = 1 - math.floor(math.log10(abs(value))) if value else 0
    return f"{round(value, digits):g}"
