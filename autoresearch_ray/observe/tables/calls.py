"""The calls of models as a table: what each cost, by the store, and what became of it, by the run's transcripts.

No text of a prompt or an answer is in it. A transcript is written when its conversation ends: a call without one was
never finished, or its file was not kept.
"""

import gzip
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from autoresearch_ray.common.paths import CALLS_FOLDER
from autoresearch_ray.observe.tables.columns import Schema, make_table
from autoresearch_ray.records.history import History
from autoresearch_ray.records.proposers import MICROS, Charge

DIRECTIVES = "directives "  # prefix of a version's number among a conversation's results
SCHEMA: Schema = {
    "call_id": "string",
    "who": "category",
    "state": "category",
    "at": "time",
    "dollars": "float64",
    "reserved_dollars": "float64",
    "input_tokens": "Int64",
    "cached_tokens": "Int64",
    "written_tokens": "Int64",
    "output_tokens": "Int64",
    "conversation": "category",
    "turn": "Int64",
    "model": "category",
    "stop": "category",
    "seconds": "float64",
    "error": "string",
    "proposals": "string",
    "directives": "Int64",
}


@dataclass(frozen=True, slots=True)
class Transcribed:
    """One call as its transcript has it."""

    conversation: str
    turn: int  # 1 for the first call of the conversation
    model: str = ""  # the provider's name for the model that answered
    stop: str = ""  # how the answer ended
    seconds: float = math.nan  # duration of the answer
    error: str = ""
    proposals: str = ""  # proposals from the conversation
    directives: int | None = None  # the version that the conversation led to


def call_table(history: History, transcripts: Mapping[str, Transcribed]) -> pd.DataFrame:
    """One row a call, oldest first; `transcripts` by call id."""
    pairs = sorted(zip(history.call_ids, history.charges, strict=True), key=lambda pair: (pair[1].at, pair[0]))
    ids, charges = [call_id for call_id, _ in pairs], [charge for _, charge in pairs]
    told = [transcripts.get(call_id, Transcribed("", 0)) for call_id in ids]
    tokens = ("input_tokens", "cached_tokens", "written_tokens", "output_tokens")
    made: dict[str, list[Any]] = {
        "call_id": ids,
        "dollars": [_to_dollars(charge, charge.micros) for charge in charges],
        "reserved_dollars": [_to_dollars(charge, charge.reserved_micros) for charge in charges],
        "turn": [one.turn or None for one in told],
    }
    for name in tokens:
        made[name] = [getattr(charge, name) if charge.state == "settled" else None for charge in charges]
    for name in ("conversation", "model", "stop", "seconds", "error", "proposals", "directives"):
        made[name] = [getattr(one, name) for one in told]
    return make_table(SCHEMA, charges, made)


def read_transcripts(run_dir: Path) -> dict[str, Transcribed]:
    """The calls in a run's transcripts, keyed by call id; a file that is no transcript is skipped."""
    found: dict[str, Transcribed] = {}
    for path in sorted((run_dir / CALLS_FOLDER).glob("*.json.gz")):
        try:
            found |= _read_transcript(
                path.name.removesuffix(".json.gz"), json.loads(gzip.decompress(path.read_bytes()))
            )
        except (OSError, EOFError, zlib.error, ValueError, LookupError, TypeError, AttributeError):
            continue
    return found


def _read_transcript(conversation: str, content: Any) -> dict[str, Transcribed]:
    led_to = [str(name) for name in content["proposals"]]
    proposals = " ".join(name for name in led_to if not name.startswith(DIRECTIVES))
    versions = [int(name.removeprefix(DIRECTIVES)) for name in led_to if name.startswith(DIRECTIVES)]
    calls: Iterator[tuple[int, Any]] = enumerate(content["calls"], 1)
    return {
        str(call["call_id"]): Transcribed(
            conversation,
            turn,
            **({name: call["answer"][name] for name in ("model", "stop", "seconds")} if call["answer"] else {}),
            error=str(call["error"]),
            proposals=proposals,
            directives=max(versions, default=None),
        )
        for turn, call in calls
    }


def _to_dollars(charge: Charge, micros: int) -> float:
    return micros / MICROS if charge.priced else math.nan
