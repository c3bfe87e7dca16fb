"""The decisions as a table: one row a decision, in the order in which they were made."""

from typing import Any

import pandas as pd

from autoresearch_ray.observe.tables.columns import Schema, make_table
from autoresearch_ray.records.history import History

SCHEMA: Schema = {
    "trial_id": "string",
    "decision": "category",
    "decision_reason": "string",
    "decided_at": "time",
    "revision": "Int64",
    "code_lines": "Int64",
    "expected_gain": "float64",
    "expected_sd": "float64",
    "pair_sd": "float64",
    "holdout_gain": "float64",
    "checks": "string",
}


def decision_table(history: History) -> pd.DataFrame:
    """One row a decision; of those of one moment the one on the earlier trial comes first."""
    decisions = [row.decision for row in history.rows if row.decision is not None]
    decisions.sort(key=lambda decision: decision.decided_at)
    made: dict[str, list[Any]] = {
        "decision": [decision.verdict for decision in decisions],
        "decision_reason": [decision.reason for decision in decisions],
        "revision": [decision.frontier_version for decision in decisions],
        "checks": [" ".join(decision.checks) for decision in decisions],
    }
    return make_table(SCHEMA, decisions, made)
