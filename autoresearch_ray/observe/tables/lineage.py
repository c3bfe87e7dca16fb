"""The lineage as a table: one row a step, which is a change of frontier or best."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from autoresearch_ray.observe import facts
from autoresearch_ray.observe.tables.columns import Schema, make_table
from autoresearch_ray.observe.tables.trials import score_columns
from autoresearch_ray.records.history import History

SCHEMA: Schema = {
    "index": "Int64",
    "kind": "category",
    "source_sha": "string",
    "trial_id": "string",
    "proposal_id": "string",
    "hypothesis": "string",
    "proposer": "category",
    "score": "float64",
    "metric": "category",
    "metric_direction": "category",
    "val_bpb": "float64",
    "gain": "float64",
    "gain_low": "float64",
    "gain_high": "float64",
    "probability": "float64",
    "holdout_gain": "float64",
    "removes": "boolean",
    "checks": "string",
    "reason": "string",
    "at": "time",
    "commit": "string",
}


def lineage_table(history: History) -> pd.DataFrame:
    """One row a step, in order; a win has the hypotheses of all its advances."""
    steps, won = history.steps, {win.step.index: win.hypothesis for win in facts.wins(history)}
    scoring = facts.scoring(history)
    made: dict[str, Sequence[Any]] = {
        **score_columns(scoring, [scoring.sign * step.val_bpb + 0.0 for step in steps]),
        "hypothesis": [won.get(step.index, step.hypothesis) for step in steps],
        "checks": [" ".join(step.checks) for step in steps],
        "commit": [history.commits.get(step.index, "") for step in steps],
    }
    return make_table(SCHEMA, steps, made)
