"""The headline of a run as a table of one row, so that several runs stand below each other."""

import math

import pandas as pd

from autoresearch_ray.observe import facts, headline
from autoresearch_ray.observe.tables.columns import Schema, make_series
from autoresearch_ray.records.history import History
from autoresearch_ray.records.proposers import MICROS

SCHEMA: Schema = {
    "tag": "string",
    "experiment": "category",
    "dataset": "string",
    "budget_seconds": "float64",
    "trials": "Int64",
    "failed": "Int64",
    "wins": "Int64",
    "doubt": "string",
    "metric": "category",
    "metric_direction": "category",
    "baseline": "float64",
    "best": "float64",
    "gain": "float64",
    "gain_low": "float64",
    "gain_high": "float64",
    "noise_sd": "float64",
    "noise_freedom": "Int64",
    "slots": "Int64",
    "hours": "float64",
    "utilisation": "float64",
    "dollars": "float64",
}


def run_table(history: History) -> pd.DataFrame:
    """One row: what `headline.summarise` says, what was spent on models, and what its scores may be compared with."""
    summary = headline.summarise(history)
    words, scoring = summary.words, summary.words.scoring
    priced = [cost.micros for cost in facts.model_costs(history) if cost.priced]
    row = {
        "doubt": scoring.doubt,
        "metric": scoring.name,
        "metric_direction": scoring.direction,
        "baseline": words.shown(summary.baseline),
        "best": words.shown(summary.best),
        "dataset": str(facts.setting(history, "dataset_fingerprint", "")),
        "budget_seconds": facts.setting(history, "budget_seconds", None),
        "failed": sum(n for status, n in summary.statuses.items() if status not in ("ok", "running", "stopped")),
        "gain_low": summary.gain_low if summary.wins else math.nan,
        "gain_high": summary.gain_high if summary.wins else math.nan,
        "hours": summary.wall_seconds / 3600,
        "dollars": sum(priced) / MICROS if priced else math.nan,
    }
    values = {name: row[name] if name in row else getattr(summary, name) for name in SCHEMA}
    return pd.DataFrame({name: make_series(dtype, [values[name]]) for name, dtype in SCHEMA.items()})
