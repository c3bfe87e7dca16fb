"""The knobs of all trials as one long table: one row a trial and knob."""

from typing import Any

import pandas as pd

from autoresearch_ray.candidate.knobs import Knob, read_knobs, spell
from autoresearch_ray.common.errors import CandidateError
from autoresearch_ray.observe.tables.columns import Schema, make_table
from autoresearch_ray.records.history import History

SCHEMA: Schema = {
    "trial_id": "string",
    "knob": "category",
    "value": "float64",
    "text": "string",
    "range": "category",
}


def knob_table(history: History) -> pd.DataFrame:
    """A row for each knob of each trial's candidate, in the text's order; none where knobs cannot be read."""
    found = [
        (row.trial.trial_id, knob) for row in history.rows for knob in _knobs(history, row.trial.proposal.source_sha)
    ]
    knobs = [knob for _, knob in found]
    made: dict[str, list[Any]] = {
        "trial_id": [trial_id for trial_id, _ in found],
        "knob": [knob.name for knob in knobs],
        "value": [float(knob.value) if type(knob.value) in (int, float) else None for knob in knobs],
        "text": [spell(knob.value) for knob in knobs],
        "range": [str(knob.range) for knob in knobs],
    }
    return make_table(SCHEMA, knobs, made)


def _knobs(history: History, sha: str) -> tuple[Knob, ...]:
    candidate = history.candidates.get(sha)
    try:
        return read_knobs(candidate.text) if candidate is not None else ()
    except CandidateError:
        return ()
