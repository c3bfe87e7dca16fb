"""The trial table: one row a trial, for pandas, parquet and upstream's results.tsv.

Made from the store's history alone, so that rebuilding it changes nothing. A failure has no score. `score` is as it was
printed, of any metric; `val_bpb` is the same of runs of our contract, and empty in others.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from autoresearch_ray.common.errors import DataError, SettingsError
from autoresearch_ray.common.paths import TABLE_FILE
from autoresearch_ray.common.text import encodable, last_line, one_line
from autoresearch_ray.observe import facts
from autoresearch_ray.observe.seeds import seed_effects
from autoresearch_ray.observe.tables.columns import Dtype, Schema, make_series
from autoresearch_ray.records.history import History, TrialRow
from autoresearch_ray.settings.score_words import MOST_DIGITS
from autoresearch_ray.settings.scoring import OURS, Scoring

TSV_HEADER = "commit\tval_bpb\tmemory_gb\tstatus\tdescription"
NO_COMMIT = "-------"
DESCRIPTION_LIMIT = 400  # characters; the parquet file has all of it

Origin = Literal["trial", "proposal", "result", "decision", "made"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its type and where its value is found."""

    name: str
    dtype: Dtype
    origin: Origin
    attribute: str = ""  # if it differs from the name


def _columns(origin: Origin, dtype: Dtype, *names: str) -> tuple[Column, ...]:
    return tuple(Column(name, dtype, origin) for name in names)


COLUMNS = (
    Column("trial_id", "string", "trial"),
    Column("proposal_id", "string", "proposal"),
    *_columns("proposal", "category", "kind", "proposer"),
    Column("parent_revision", "Int64", "proposal", "parent_version"),
    *_columns("trial", "Int64", "staleness", "max_staleness"),
    *_columns("proposal", "string", "source_sha", "parent_sha"),
    Column("merged", "string", "made"),
    Column("hypothesis", "string", "proposal"),
    Column("direction", "category", "proposal"),
    Column("dollars", "float64", "proposal"),
    Column("purpose", "category", "trial"),
    *_columns("trial", "Int64", "seed", "seed_number"),
    Column("seed_effect", "float64", "made"),
    Column("status", "category", "made"),
    *_columns("made", "float64", "score", "holdout_score"),
    *_columns("made", "category", "metric", "metric_direction"),
    *_columns("made", "float64", "val_bpb", "holdout_bpb"),
    *_columns(
        "result", "float64", "expected_bpb", "training_seconds", "startup_seconds", "eval_seconds", "total_seconds"
    ),
    *_columns("result", "Int64", "steps", "tokens"),
    Column("tokens_per_second", "float64", "result"),
    Column("parameters", "Int64", "result"),
    Column("peak_memory_mb", "float64", "result"),
    Column("slot", "Int64", "result"),
    *_columns("result", "category", "node", "device_name"),
    Column("gpus", "float64", "result"),
    Column("cotenants", "Int64", "result"),
    Column("isolation", "category", "result"),
    Column("checks", "string", "made"),
    Column("decision", "category", "decision", "verdict"),
    Column("decision_reason", "string", "decision", "reason"),
    Column("holdout_gain", "float64", "decision"),
    Column("decided_at", "time", "decision"),
    Column("code_lines", "Int64", "decision"),
    *_columns("decision", "float64", "expected_gain", "expected_sd", "pair_sd"),
    Column("commit", "string", "made"),
    *_columns("proposal", "Int64", "lines_added", "lines_removed"),
    *_columns("result", "time", "started_at", "finished_at"),
    Column("error", "string", "result"),
)
SCHEMA: Schema = {column.name: column.dtype for column in COLUMNS}


def trial_table(history: History) -> pd.DataFrame:
    """One row a trial in the order of ids; scores NaN unless status is ok, "running" before there is a result."""
    scoring = facts.scoring(history)
    scores = [scoring.sign * facts.score(row) + 0.0 for row in history.rows]
    held_out = [
        scoring.sign * row.result.holdout_bpb + 0.0 if row.result and row.result.status == "ok" else math.nan
        for row in history.rows
    ]
    made: dict[str, Sequence[Any]] = {
        **score_columns(scoring, scores),
        "holdout_score": held_out,
        "holdout_bpb": held_out if scoring.is_ours else [None] * len(held_out),
        "status": [facts.status(row) for row in history.rows],
        "commit": _commits(history),
        "checks": [_checks(row) for row in history.rows],
        "merged": [" ".join(row.trial.proposal.merged) for row in history.rows],
        "seed_effect": [scoring.sign * effect for effect in seed_effects(history.rows)],
    }
    records: dict[str, list[Any]] = {
        "trial": [row.trial for row in history.rows],
        "proposal": [row.trial.proposal for row in history.rows],
        "result": [row.result for row in history.rows],
        "decision": [row.decision for row in history.rows],
    }
    columns = {}
    for column in COLUMNS:
        if column.origin == "made":
            values = made[column.name]
        else:
            get = attrgetter(column.attribute or column.name)
            values = [None if record is None else get(record) for record in records[column.origin]]
        columns[column.name] = make_series(column.dtype, values)
    return pd.DataFrame(columns)


def read_table(run_dir: Path | str) -> pd.DataFrame:
    """The trial table in a run's folder, as it was written. SettingsError if there is none, DataError if unreadable."""
    path = Path(run_dir) / TABLE_FILE
    if not path.is_file():
        raise SettingsError(
            f"{path}: does not exist; expected a run's folder such as runs/TAG; "
            f"if its state.db is there, `python -m autoresearch_ray.report {run_dir}` makes the table"
        )
    try:
        return _complete_older(pd.DataFrame(pq.read_table(path, partitioning=None).to_pandas()))
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"{path}: cannot be read ({last_line(str(error))}); "
            f"`python -m autoresearch_ray.report {run_dir}` makes it again"
        ) from None


def results_tsv(history: History) -> str:
    """Upstream's five columns, one line a finished trial; a failure's score is nan."""
    scoring = facts.score_words(history)
    lines = [TSV_HEADER.replace("val_bpb", scoring.name)]
    for row, commit, words in zip(history.rows, _commits(history), facts.describe_trials(history), strict=True):
        if row.result is None:
            continue
        memory = f"{row.result.peak_memory_mb / 1024:.1f}"
        description = one_line(encodable(f"{row.trial.proposal.kind}: {words}"), DESCRIPTION_LIMIT)
        value = facts.score(row)
        score = f"{value:.6f}" if scoring.is_ours else f"{scoring.shown(value):.{MOST_DIGITS}g}"
        lines.append(f"{commit[:7] or NO_COMMIT}\t{score}\t{memory}\t{_outcome(row)}\t{description}")
    return "\n".join(lines) + "\n"


def score_columns(scoring: Scoring, scores: Sequence[float]) -> dict[str, Sequence[Any]]:
    """The columns that say what scores are, of scores as they were printed."""
    return {
        "score": scores,
        "metric": [scoring.name] * len(scores),
        "metric_direction": [scoring.direction] * len(scores),
        "val_bpb": scores if scoring.is_ours else [None] * len(scores),
    }


def _complete_older(table: pd.DataFrame) -> pd.DataFrame:
    """A table of a version that knew our metric alone."""
    if "score" in table.columns or "val_bpb" not in table.columns:
        return table
    return table.assign(
        score=table.val_bpb,
        holdout_score=table.get("holdout_bpb", math.nan),
        metric=pd.Series(OURS.name, table.index, dtype="string"),
        metric_direction=pd.Series(OURS.direction, table.index, dtype="string"),
    )


def _outcome(row: TrialRow) -> str:
    if row.result is not None and row.result.status != "ok":
        return row.result.status
    return row.decision.verdict if row.decision else "measure"


def _commits(history: History) -> list[str]:
    settled = facts.steps_by_trial(history)
    steps = [settled.get(row.trial.trial_id) for row in history.rows]
    return [history.commits.get(step.index, "") if step else "" for step in steps]


def _checks(row: TrialRow) -> str:
    """The probes' strength and what held, as `full: clock cores causal ...`; "" without a score."""
    checks = row.result.checks if row.result is not None else ()
    return f"{row.result.strength}: {' '.join(checks)}" if row.result is not None and checks else ""
