"""The trial table, its parquet file and results.tsv."""

import hashlib
import math
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pandas as pd
import pytest
from histories import START, Writer, empty, realistic, with_text

from autoresearch_ray.common.errors import DataError, SettingsError
from autoresearch_ray.observe.seeds import seed_effects
from autoresearch_ray.observe.tables.formats import write_table
from autoresearch_ray.observe.tables.trials import read_table, results_tsv, trial_table
from autoresearch_ray.records.codec import from_json, to_json
from autoresearch_ray.records.history import History, TrialRow
from autoresearch_ray.records.trials import OWN_SEED, Result

DESIGNED = [
    "trial_id",
    "proposal_id",
    "kind",
    "proposer",
    "parent_revision",
    "staleness",
    "max_staleness",
    "source_sha",
    "parent_sha",
    "merged",
    "hypothesis",
    "direction",
    "dollars",
    "purpose",
    "seed",
    "seed_number",
    "seed_effect",
    "status",
    "score",
    "holdout_score",
    "metric",
    "metric_direction",
    "val_bpb",
    "holdout_bpb",
    "expected_bpb",
    "training_seconds",
    "startup_seconds",
    "eval_seconds",
    "total_seconds",
    "steps",
    "tokens",
    "tokens_per_second",
    "parameters",
    "peak_memory_mb",
    "slot",
    "node",
    "device_name",
    "gpus",
    "cotenants",
    "isolation",
    "checks",
    "decision",
    "decision_reason",
    "holdout_gain",
    "decided_at",
    "code_lines",
    "expected_gain",
    "expected_sd",
    "pair_sd",
    "commit",
    "lines_added",
    "lines_removed",
    "started_at",
    "finished_at",
    "error",
]


@pytest.mark.parametrize("history", [realistic(), empty()], ids=["realistic", "empty"])
def test_the_columns_and_their_types_are_as_designed(history: History) -> None:
    table = trial_table(history)
    assert list(table.columns) == DESIGNED
    assert len(table) == len(history.rows)
    kinds = {name: str(dtype) for name, dtype in table.dtypes.items()}
    assert kinds["started_at"] == kinds["finished_at"] == "datetime64[us, UTC]"
    assert {kinds[name] for name in ("trial_id", "source_sha", "commit", "decision", "error")} == {"string"}
    assert {kinds[name] for name in ("seed", "steps", "slot", "lines_added", "parent_revision")} == {"Int64"}
    assert {kinds[name] for name in ("val_bpb", "holdout_bpb", "gpus", "tokens_per_second")} == {"float64"}


def test_rows_are_in_the_order_of_trials_and_tell_what_was_measured() -> None:
    table = trial_table(realistic())
    assert list(table.trial_id) == [f"t{number:05d}" for number in range(1, len(table) + 1)]
    row = table.iloc[12]
    assert (row.kind, row.status, row.decision, row.val_bpb) == ("knobs", "ok", "promising", 1.731)
    assert row.tokens_per_second == pytest.approx(409_600 / 20.0)
    assert table.started_at[0] == pd.Timestamp(START, unit="s", tz="UTC")


def test_the_checks_that_a_score_passed_stand_in_its_row() -> None:
    table = trial_table(realistic())
    assert table.checks[0] == "full: clock causal bits" and set(table.checks[table.status != "ok"]) == {""}
    assert set(table.checks[table.kind == "knobs"]) == {"normal: clock causal bits", ""}


def test_every_status_is_there_and_only_ok_has_a_score() -> None:
    table = trial_table(realistic())
    assert set(table.status) == {"ok", "crash", "timeout", "oom", "invalid", "lost", "stopped", "running"}
    failed = table[table.status != "ok"]
    assert failed.val_bpb.isna().all() and failed.holdout_bpb.isna().all()
    assert table[table.status == "ok"].val_bpb.notna().all()


def test_a_failure_that_claims_a_score_has_none() -> None:
    history = realistic()
    crash = next(row for row in history.rows if row.result and row.result.status == "crash")
    assert crash.result is not None
    liar = replace(crash, result=replace(crash.result, val_bpb=0.1, holdout_bpb=0.1))
    history = replace(history, rows=(liar,))
    assert trial_table(history)[["val_bpb", "holdout_bpb"]].isna().all(axis=None)
    assert results_tsv(history).splitlines()[1].split("\t")[1] == "nan"


def test_a_trial_without_result_is_running_and_has_no_measurements() -> None:
    row = trial_table(realistic()).iloc[-1]
    assert row.status == "running"
    assert row[["val_bpb", "training_seconds", "steps", "slot", "started_at", "finished_at"]].isna().all()
    assert (row.decision, row.commit, row.error) == ("", "", "")


def test_a_commit_belongs_to_the_trial_that_settled_an_advance_or_a_keep() -> None:
    history = realistic()
    table = trial_table(history)
    committed = table[table.commit != ""]
    assert list(committed.decision) == ["advance", "keep", "advance", "advance", "keep"]
    settled = {step.trial_id: history.commits[step.index] for step in history.steps if step.kind in ("advance", "keep")}
    assert dict(zip(committed.trial_id, committed.commit, strict=True)) == settled


def test_a_trial_that_advances_and_wins_at_once_has_the_win_s_commit() -> None:
    history = realistic()
    keep = next(step for step in history.steps if step.kind == "keep")
    advance = replace(keep, kind="advance", index=99)
    history = replace(history, steps=(*history.steps, advance), commits={**history.commits, 99: "f" * 40})
    table = trial_table(history).set_index("trial_id")
    assert table.commit[keep.trial_id] == history.commits[keep.index]


def test_parquet_is_identical_when_rebuilt(tmp_path: Path) -> None:
    history = realistic()
    stored = from_json(History, to_json(replace(history, commits={})))
    stored = replace(stored, commits=history.commits)  # JSON has no whole numbers as keys
    for name, source in (("one.parquet", history), ("two.parquet", stored)):
        write_table(trial_table(source), tmp_path / name)
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.parquet", "two.parquet"], "a file was left"


def test_what_was_written_is_loaded(tmp_path: Path) -> None:
    table = trial_table(realistic())
    write_table(table, tmp_path / "trials.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path), table)
    pd.testing.assert_frame_equal(read_table(str(tmp_path)), table)


def test_loading_says_what_is_missing_or_damaged(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"trials\.parquet: does not exist; expected a run's folder"):
        read_table(tmp_path / "nowhere")
    (tmp_path / "trials.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match=r"cannot be read .* makes it again"):
        read_table(tmp_path)


def test_results_tsv_has_upstream_s_columns_for_finished_trials() -> None:
    history = realistic()
    header, *lines = results_tsv(history).splitlines()
    assert header == "commit\tval_bpb\tmemory_gb\tstatus\tdescription"
    assert len(lines) == len(history.rows) - 1, "one is still running"
    rows = [line.split("\t") for line in lines]
    assert rows[0][0] == "-------" and rows[0][2:] == ["0.4", "measure", "baseline: the starting candidate"]
    assert rows[5] == ["-------", "nan", "0.4", "crash", "code: try crash"]
    assert rows[12][1] == "1.731000"
    win = rows[28]
    assert win[0] == next(history.commits[s.index] for s in history.steps if s.trial_id == "t00029")[:7]
    assert win[3:] == ["keep", "replicate: DEPTH 4 -> 3 with a learned residual scale"]
    assert {row[3] for row in rows} >= {"keep", "advance", "drop", "discard", "measure", "promising", "oom", "lost"}


def test_no_text_breaks_a_tsv_line(hostile: str) -> None:
    history = with_text(realistic(), hostile)
    text = results_tsv(history)
    assert text.encode("utf-8")
    lines = text.split("\n")
    assert len(lines) == len(history.rows) + 1 and lines[-1] == ""
    assert all(line.count("\t") == 4 for line in lines[:-1])
    assert all(character.isprintable() for line in lines[:-1] for character in line.replace("\t", ""))


def test_the_table_keeps_any_text_and_parquet_takes_it(hostile: str, tmp_path: Path) -> None:
    table = trial_table(with_text(realistic(), hostile))
    write_table(table, tmp_path / "trials.parquet")
    assert read_table(tmp_path).hypothesis[0] == hostile.replace("\udc80", "?")


def test_a_hundred_thousand_trials_make_a_table(hundred_thousand: History, tmp_path: Path) -> None:
    table = trial_table(hundred_thousand)
    write_table(table, tmp_path / "trials.parquet")
    assert len(read_table(tmp_path)) == len(table) == 100_000
    assert results_tsv(hundred_thousand).count("\n") == 100_001
    digest = hashlib.sha256((tmp_path / "trials.parquet").read_bytes()).hexdigest()
    write_table(table, tmp_path / "trials.parquet")
    assert hashlib.sha256((tmp_path / "trials.parquet").read_bytes()).hexdigest() == digest


def test_a_result_without_a_decision_is_a_measurement() -> None:
    row = realistic().rows[0]
    history = replace(realistic(), rows=(TrialRow(row.trial, row.result, None),))
    assert results_tsv(history).splitlines()[1].split("\t")[3] == "measure"
    assert trial_table(history).decision[0] == ""


def test_a_seed_s_effect_is_what_all_candidates_share_on_it() -> None:
    candidates, seeds = {"a": 1.7, "b": 1.6, "c": 1.9, "d": 1.65}, {0: 0.03, 1: -0.02, 2: 0.01}
    run = Writer()
    plan = [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1), ("c", 2), ("d", 1), ("a", OWN_SEED)]
    for name, _ in plan:
        run.trial(name, "code", "screen", name)
    rows = []
    for row, (name, seed) in zip(run.rows, plan, strict=True):
        assert row.result is not None
        score = candidates[name] + seeds.get(seed, 0.5)
        rows.append(replace(row, trial=replace(row.trial, seed_number=seed), result=replace(row.result, val_bpb=score)))
    failed = replace(rows[1], result=Result("t00002", "crash"))
    effects = seed_effects([*rows, failed])
    mean = fmean(seeds[seed] for _, seed in plan[:-1])
    assert effects[:7] == pytest.approx([seeds[seed] - mean for _, seed in plan[:-1]], abs=1e-6)
    assert all(math.isnan(effect) for effect in effects[7:])
    assert all(math.isnan(effect) for effect in seed_effects([failed])) and seed_effects([]) == []
