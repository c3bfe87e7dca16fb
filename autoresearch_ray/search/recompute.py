"""A run's decisions made again from its trial table: to check them, or to see what other rules would have decided."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.common.paths import SETTINGS_FILE
from autoresearch_ray.decide.decide import decide
from autoresearch_ray.decide.state import Outcome, SearchState
from autoresearch_ray.observe.tables.trials import read_table
from autoresearch_ray.records.decisions import Decision
from autoresearch_ray.settings.decision_rules import Rules
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.settings.scoring import Scoring


def recompute_decisions(run_dir: Path | str, rules: Rules | None = None) -> pd.DataFrame:
    """Every decision of a run, made again from its table in the same order: a row a decided trial.

    Columns: trial_id, decision and decision_reason as stored; recomputed and recomputed_reason; agrees. `rules` are the
    run's own if none are given. Decisions that an older version made by its own rules may disagree. SettingsError
    where the folder has no table or no settings, DataError where the table cannot be read.
    """
    table = read_table(run_dir)
    settings = _settings_of(Path(run_dir))
    again = decisions_of(table, rules or settings.rules, settings.experiment.scoring)
    made = {decision.trial_id: decision for decision in again}
    decided = table[table.decision != ""].reset_index(drop=True)
    found = [made.get(str(trial_id)) for trial_id in decided.trial_id]
    shown = decided[["trial_id", "decision", "decision_reason"]].assign(
        recomputed=[one.verdict if one else "" for one in found],
        recomputed_reason=[one.reason if one else "" for one in found],
    )
    same = (shown.decision == shown.recomputed) & (shown.decision_reason == shown.recomputed_reason)
    return shown.assign(agrees=same)


def decisions_of(table: pd.DataFrame, rules: Rules, scoring: Scoring) -> list[Decision]:
    """The decisions that follow from the results of one run's table (as `load_trials` gives it) by these rules."""
    decided = table[table.decision != ""]
    # What finished before the noise was known was decided at one moment, after the last baseline.
    decided = decided.assign(after=decided.purpose != "baseline").sort_values(["decided_at", "after", "finished_at"])
    state, found = SearchState(scoring=scoring), list[Decision]()
    rows: Iterable[Any] = decided.itertuples(index=False)
    for row in rows:
        settled = decide(state, _outcome(row, scoring.sign), rules, row.decided_at.timestamp())
        state = settled.state
        found += settled.decisions
    return found


def _outcome(row: Any, sign: int) -> Outcome:
    strength, _, checks = str(row.checks).partition(": ")
    return Outcome(
        trial_id=row.trial_id,
        purpose=row.purpose,
        proposal_id=row.proposal_id,
        kind=row.kind,
        proposer=row.proposer,
        hypothesis=row.hypothesis,
        source_sha=row.source_sha,
        parent_sha=row.parent_sha,
        status=row.status,
        val_bpb=sign * row.score,
        holdout_bpb=sign * row.holdout_score,
        code_lines=int(row.code_lines),
        error=row.error,
        checks=tuple(checks.split()) if strength == "full" else (),
        seed_number=int(row.seed_number),
        merged=tuple(row.merged.split()),
    )


def _settings_of(run_dir: Path) -> RunSettings:
    path = run_dir / SETTINGS_FILE
    try:
        return RunSettings.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: cannot be read ({error}); expected the settings of a run") from None
