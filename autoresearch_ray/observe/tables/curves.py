"""The learning curves of all trials as one long table: one row a progress report."""

import pandas as pd

from autoresearch_ray.observe.tables.columns import Schema, make_table
from autoresearch_ray.records.history import History

SCHEMA: Schema = {
    "trial_id": "category",
    "seconds": "float64",
    "step": "Int64",
    "tokens": "Int64",
    "train_bpb": "float64",
}


def curve_table(history: History) -> pd.DataFrame:
    """One row a report, trial after trial, about twenty each; a trial that reported nothing has none."""
    curves = [(row.trial.trial_id, row.result.curve) for row in history.rows if row.result is not None]
    points = [point for _, curve in curves for point in curve]
    return make_table(SCHEMA, points, {"trial_id": [trial_id for trial_id, curve in curves for _ in curve]})
