"""`python -m autoresearch_ray.export`: what is in the files, formulas that are none, and what is refused."""

import csv
import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from stored_run import BETTER, run_folder, step_to

from autoresearch_ray import __main__, load_lineage, load_trials
from autoresearch_ray.driver.tables.load import TABLES, load
from autoresearch_ray.export import main
from autoresearch_ray.observe.tables.formats import to_csv
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.sqlite.store import SqliteStore

FORMULAS = ['=cmd|" /C calc"!A1', "+1+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", "\n=1", "  =1", "＝1", "'=1", "=", "-"]
HARMLESS = ["LR 0.1 -> 0.2", "a=b", "1-2", "", "'", '"quoted", and more', "two\nlines", "漢字"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return run_folder(tmp_path, BETTER)


def test_a_csv_file_has_the_table_s_rows_and_columns(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    to = run.parent / "trials.csv"
    assert main([str(run), "--to", str(to)]) == 0
    assert capsys.readouterr().out == f"{to}: 1 row\n"
    table, read = load_trials(run), pd.read_csv(to)
    assert list(read.columns) == list(table.columns) and len(read) == len(table)
    assert read.val_bpb[0] == table.val_bpb[0] == 1.5 and read.trial_id[0] == "t00001"
    assert read.max_staleness.isna().all() == table.max_staleness.isna().all()


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_written_in_every_format(name: str, run: Path, tmp_path: Path) -> None:
    table = load(name, run)
    for ending in (".csv", ".parquet", ".jsonl"):
        to = tmp_path / f"{name}{ending}"
        assert main([str(run), "--table", name, "--to", str(to)]) == 0
        first = to.read_bytes()
        assert main([str(run), "--table", name, "--to", str(to)]) == 0
        assert to.read_bytes() == first, "equal tables give equal bytes"
    read = pd.read_parquet(tmp_path / f"{name}.parquet").astype(table.dtypes.to_dict())
    pd.testing.assert_frame_equal(read, table)
    lines = (tmp_path / f"{name}.jsonl").read_text().splitlines()
    assert len(lines) == len(table) and all(list(json.loads(line)) == list(table.columns) for line in lines)
    assert not list(tmp_path.glob("**/.*.tmp"))


def test_json_has_null_for_what_is_missing_and_keeps_every_digit(run: Path, tmp_path: Path) -> None:
    to = tmp_path / "lineage.JSONL"
    assert main([str(run), "--table", "lineage", "--to", str(to)]) == 0
    start, _, keep = (json.loads(line) for line in to.read_text().splitlines())
    assert (start["index"], start["kind"], start["gain"], start["at"], start["removes"]) == (
        1,
        "start",
        None,
        None,
        False,
    )
    assert (keep["gain"], keep["gain_low"], keep["probability"]) == (1.0, 0.9, 0.999)


def test_several_runs_are_one_file_with_a_column_run(run: Path, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    other = run_folder(tmp_path / "b").rename(tmp_path / "other")
    to = tmp_path / "lineage.csv"
    assert main([str(run), str(other), "--table", "lineage", "--to", str(to)]) == 0
    read = pd.read_csv(to)
    assert list(read.columns) == ["run", *load_lineage(run).columns]
    assert list(read.run) == ["run"] * 3 + ["other"]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_text_is_a_formula_in_a_spreadsheet(text: str) -> None:
    for column in (pd.Series([text], dtype="string"), pd.Series([text], dtype="string").astype("category")):
        (header, row) = csv.reader(to_csv(pd.DataFrame({"words": column})).decode().splitlines(keepends=True))
        assert header == ["words"] and row[0][0] == "'" and row[0].endswith(text.strip()[1:])


@pytest.mark.parametrize("text", HARMLESS)
def test_other_texts_are_written_as_they_are(text: str) -> None:
    table = pd.DataFrame({"words": pd.Series([text], dtype="string"), "number": [-1.5]})
    written = to_csv(table).decode()
    assert list(csv.reader(written.splitlines(keepends=True)))[1:] == [[text, "-1.5"]], "a number below 0 is a number"


def test_a_hypothesis_that_is_a_formula_is_harmless_in_csv_and_as_it_was_in_the_others(run: Path) -> None:
    with SqliteStore(run / "state.db") as store:
        board = Board(store)
        text, revision = board.search_state()
        step = replace(step_to(board, 9, "advance", BETTER), hypothesis=FORMULAS[0])
        assert board.settle(revision, text or b"", steps=[step])
    files = {ending: run.parent / f"lineage{ending}" for ending in (".csv", ".jsonl", ".parquet")}
    for to in files.values():
        assert main([str(run), "--table", "lineage", "--to", str(to)]) == 0
    assert pd.read_csv(files[".csv"]).hypothesis.iloc[-1] == f"'{FORMULAS[0]}"
    assert pd.read_json(files[".jsonl"], lines=True).hypothesis.iloc[-1] == FORMULAS[0]
    assert pd.read_parquet(files[".parquet"]).hypothesis.iloc[-1] == FORMULAS[0]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "--to", "table.xlsx"], "--to table.xlsx: expected a name that ends in one of .csv, .parquet, .jsonl"),
        (["run", "--to", "table"], "--to table: expected a name that ends"),
        (["run", "--to", "nowhere/table.csv"], "--to nowhere/table.csv: expected a folder that is there"),
        (["run", "--to", "folder.csv"], "--to folder.csv: cannot be written ("),
        (
            ["run", "--to", "t.csv", "--table", "wins"],
            "--table wins: expected one of trials, lineage, calls, ",
        ),
        (["gone", "--to", "t.csv"], "source gone: does not exist; expected a run's folder such as runs/TAG, or"),
        (["run", "gone", "--to", "t.csv"], "source gone: does not exist"),
        (["run", "run", "--to", "t.csv"], "source run: is named twice"),
        (["folder.csv", "--to", "t.csv"], "source folder.csv: holds no run"),
    ],
)
def test_a_wrong_request_is_one_line_and_writes_nothing(
    words: list[str], expected: str, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(run.parent)
    Path("folder.csv").mkdir()
    before = set(run.parent.iterdir())
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {expected}")
    assert set(run.parent.iterdir()) == before


def test_what_was_there_stays_where_a_run_cannot_be_read(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    to = run.parent / "t.csv"
    to.write_text("mine")
    (run / "state.db").write_bytes(b"no database" * 999)
    assert main([str(run), "--to", str(to)]) == 2 and to.read_text() == "mine"
    assert capsys.readouterr().err.count("\n") == 1


def test_it_is_one_of_the_commands(run: Path, tmp_path: Path) -> None:
    assert __main__.main(["export", str(run), "--to", str(tmp_path / "t.parquet")]) == 0
    assert sqlite3.connect(run / "state.db").execute("PRAGMA integrity_check").fetchone() == ("ok",)
