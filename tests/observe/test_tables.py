"""Tables of runs from folders, live stores and storages: what they hold, their types, and what is refused."""

import gzip
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from histories import empty, realistic, stored, with_text
from stored_run import BETTER, run_folder

import autoresearch_ray
from autoresearch_ray import (
    load_calls,
    load_curves,
    load_decisions,
    load_knobs,
    load_lineage,
    load_runs,
    load_trials,
)
from autoresearch_ray.archive.bucket import normal_url
from autoresearch_ray.archive.restore import claim, storage_of
from autoresearch_ray.archive.upload import Uploads
from autoresearch_ray.common.errors import AutoresearchError, DataError, SettingsError
from autoresearch_ray.driver.files import rebuild
from autoresearch_ray.driver.tables.load import RUN, TABLES, load
from autoresearch_ray.observe.headline import summarise
from autoresearch_ray.observe.tables.formats import write_table
from autoresearch_ray.observe.tables.trials import trial_table
from autoresearch_ray.propose.llm.calls import Answer, Message, Prompt
from autoresearch_ray.propose.llm.conversation import Conversation
from autoresearch_ray.propose.llm.metered import Call
from autoresearch_ray.propose.llm.spending import Spending
from autoresearch_ray.records.trials import Result
from autoresearch_ray.search.lineage import Lineage
from autoresearch_ray.search.models.transcript import write_transcript
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.connect import read_run
from autoresearch_ray.store.sqlite.store import SqliteStore

SECRET = "the text of a prompt"
PAGE = Path(__file__).parents[2] / "docs" / "tables.md"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A realistic run's folder, named by its tag, with a store and no table."""
    folder = tmp_path / "cpu-night"
    folder.mkdir()
    stored(realistic(), folder)
    return folder


def call_models(run: Path) -> None:
    """Five calls: two of a conversation with its transcript, one of a director, one under way, one without a price."""
    prompt = Prompt(SECRET, SECRET, (Message("user", SECRET),), 100)
    answer = Answer(SECRET, "end", "big-1", 1_400, 900, 150, 2.5)
    with SqliteStore(run / "state.db") as store:
        clock = iter(range(100, 200))
        spending = Spending(store, clock=lambda: float(next(clock)))
        for call_id, who in (("d", "p:big"), ("c", "p:big"), ("b", "director p:big"), ("a", "p:big")):
            spending.reserve(call_id, who, 5_000)
        spending.reserve("e", "own:x", 0, priced=False)
        first, second, third = (spending.settle(name, 2_900, (1_400, 900, 0, 150)) for name in ("d", "c", "b"))
        spending.settle("e", 0, (50, 0, 0, 10))
    calls = [Call("d", "p:big", prompt, answer, None, first), Call("c", "p:big", prompt, answer, None, second)]
    made = ["wp-00001-1", "wp-00001-3"]
    write_transcript(run / "calls" / "p-00001.json.gz", calls, Conversation((), ()), made)
    directed = [Call("b", "director p:big", prompt, answer, None, third)]
    write_transcript(run / "calls" / "director-00001-9.json.gz", directed, Conversation((), ()), ["directives 4"])


def store_elsewhere(run: Path, url: str) -> None:
    """A copy of the run of `run_folder` in a storage, made as a launch makes it."""
    settings = RunSettings.model_validate(read_run(run).settings)
    Lineage(run / "lineage", "x")
    with SqliteStore(run / "state.db") as store:
        storage = storage_of(normal_url(url), "x")
        uploads = Uploads(storage, claim(storage, settings, run, store.revision()), run, print, set())
        assert uploads.upload()


def test_a_folder_without_a_table_is_read_from_its_store_as_its_table_would_be(run: Path) -> None:
    live = load_trials(run)
    assert not (run / "trials.parquet").exists()
    rebuild(run)
    pd.testing.assert_frame_equal(load_trials(str(run)), live)
    assert len(live) == len(realistic().rows) and "run" not in live


def test_a_run_that_has_gone_on_since_its_table_was_written_is_current(run: Path) -> None:
    rebuild(run)
    running = realistic().rows[-1].trial.trial_id
    table = run / "trials.parquet"
    assert load_trials(run).status.iloc[-1] == "running"
    with SqliteStore(run / "state.db") as store:
        os.utime(table, ns=(0, (run / "state.db").stat().st_mtime_ns - 1))
        Board(store).finish(Result(running, "ok", val_bpb=1.7))
        assert load_trials(run).status.iloc[-1] == "ok", "beside the living store"
    write_table(trial_table(replace(realistic(), rows=realistic().rows[:2])), table)
    assert len(load_trials(run)) == 2, "a table that is as new as its store is read"


def test_several_runs_are_told_apart_by_their_tag(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "tuesday"
    other.mkdir()
    stored(empty(), other)
    assert load_trials([run, other]).run.unique().tolist() == ["cpu-night"]
    shutil.copytree(run, tmp_path / "copy" / "cpu-night")
    third = tmp_path / "copy" / "cpu-night"
    both = load_lineage([str(run), third])
    assert both.columns[0] == "run" and set(both.run) == {str(run), str(third)}, "of one tag: by where they are"
    (third / "settings.json").write_text('{"tag": "wednesday"}')
    three = load_trials([run, third, other])
    assert list(three.run) == ["cpu-night"] * len(realistic().rows) + ["wednesday"] * len(realistic().rows)
    assert {str(dtype) for dtype in three.dtypes} == {str(dtype) for dtype in load_trials(run).dtypes}


@pytest.mark.parametrize("named", ["kept/x", "file URL", "whole path"])
def test_a_stored_run_is_read_without_its_folder(named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = run_folder(tmp_path, BETTER)
    call_models(here)
    monkeypatch.chdir(tmp_path)
    store_elsewhere(here, "kept")
    tables = {name: load(name, here) for name in TABLES}
    shutil.rmtree(here)
    whole = tmp_path / "kept" / "x"
    sources: dict[str, Path | str] = {"kept/x": "kept/x", "file URL": whole.as_uri(), "whole path": whole}
    for name, table in tables.items():
        pd.testing.assert_frame_equal(load(name, sources[named]), table)
    calls = load_calls([sources[named]])
    assert set(calls.run) == {"x"} and calls.turn.max() == 2


def test_an_s3_url_that_nothing_answers_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "x",
                        "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "eu-west-1"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with pytest.raises(AutoresearchError, match="s3://bucket") as raised:
        load_trials("s3://bucket/monday")
    assert "\n" not in str(raised.value)


def test_a_call_has_what_it_cost_and_what_its_transcript_tells(run: Path) -> None:
    call_models(run)
    (run / "calls" / "torn.json.gz").write_bytes(gzip.compress(b"{}")[:-3])
    (run / "calls" / "other.json.gz").write_bytes(gzip.compress(b'{"calls": [1], "proposals": []}'))
    table = load_calls(run).set_index("call_id")
    assert list(table.index) == ["d", "c", "b", "a", "e"], "oldest first"
    assert list(table.state) == ["settled"] * 3 + ["open", "settled"]
    assert table.dollars[["d", "a"]].tolist() == [0.0029, 0.005] and np.isnan(table.dollars["e"])
    tokens = table[["input_tokens", "cached_tokens", "written_tokens", "output_tokens"]]
    assert list(tokens.loc["d"]) == [1_400, 900, 0, 150] and tokens.loc["a"].isna().all()
    assert table["at"]["d"] == pd.Timestamp(100, unit="s", tz="UTC")
    told = table[["conversation", "turn", "model", "stop", "seconds", "proposals"]]
    assert list(told.loc["c"]) == ["p-00001", 2, "big-1", "end", 2.5, "wp-00001-1 wp-00001-3"]
    assert (table.conversation["b"], table.proposals["b"], table.directives["b"]) == ("director-00001-9", "", 4)
    assert table.conversation["a"] == "" and pd.isna(table.turn["a"])
    assert SECRET not in table.to_csv()


def test_a_step_of_the_lineage_has_its_words_its_gain_and_its_commit(run: Path) -> None:
    table, history = load_lineage(run), realistic()
    assert list(table.kind) == [step.kind for step in history.steps]
    win = table[table.kind == "keep"].iloc[0]
    assert (win.hypothesis, win.commit) == ("MATRIX_LR 0.04 -> 0.0611", history.commits[win["index"]])
    assert (win.gain, win.gain_low, win.probability) == pytest.approx((0.0233, 0.0153, 0.996))
    assert not table.removes.any()


def test_decisions_are_in_the_order_in_which_they_were_made(run: Path) -> None:
    table, trials = load_decisions(run), load_trials(run).set_index("trial_id")
    assert len(table) == (trials.decision != "").sum() and table.decided_at.is_monotonic_increasing
    assert (trials.decision[table.trial_id].astype("string").to_numpy() == table.decision.to_numpy()).all()


def test_a_curve_is_a_row_a_report(run: Path) -> None:
    table = load_curves(run)
    counts = table.groupby("trial_id", observed=True).size()
    rows = [row for row in realistic().rows if row.result and row.result.curve]
    assert counts.to_dict() == {row.trial.trial_id: 20 for row in rows}
    assert table.iloc[0].tolist() == ["t00001", 1.0, 20, 20_480, rows[0].result.curve[0].train_bpb]  # type: ignore[union-attr]


@pytest.mark.parametrize("name", TABLES)
def test_every_column_has_the_type_that_is_documented(name: str, run: Path, tmp_path: Path) -> None:
    call_models(run)
    documented = document_columns(name)
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    stored(empty(), nothing)
    for folder in (run, nothing):
        table = load(name, folder)
        assert [(column, str(dtype)) for column, dtype in table.dtypes.items()] == documented
    several = load(name, [run, nothing])
    assert [(column, str(dtype)) for column, dtype in several.dtypes.items()] == [("run", "category"), *documented]
    assert list(RUN) == ["run"] and len(load(name, run)) > 0


def document_columns(name: str) -> list[tuple[str, str]]:
    """The columns of a table and their types, as the page says them; each has a meaning."""
    part = PAGE.read_text().partition(f"`load_{name}`\n")[2].partition("\n## ")[0]
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in part.splitlines() if "|" in line]
    assert all(len(row) == 4 and row[3] for row in rows), rows
    return [(row[0], row[1]) for row in rows[2:]]


def test_a_table_of_an_earlier_version_has_all_columns(run: Path) -> None:
    table = trial_table(realistic()).drop(columns=["direction", "dollars", "seed_number"]).assign(later=1)
    (run / "state.db").unlink()
    write_table(table, run / "trials.parquet")
    loaded = load_trials(run)
    assert list(loaded.columns) == [*TABLES["trials"].schema, "later"]
    assert loaded.dollars.isna().all() and (loaded.direction == "").all() and loaded.seed_number.isna().all()


def test_any_text_is_loaded_as_it_is(hostile: str, run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hostile"
    folder.mkdir()
    history = with_text(realistic(), hostile)
    stored(replace(history, candidates={}), folder)
    assert load_lineage(folder).reason[0] == load_trials(folder).hypothesis[0] == hostile.replace("\udc80", "?")
    assert len(load_trials([run, folder])) == 2 * len(realistic().rows)


def damaged_table(folder: Path) -> Any:
    (folder / "trials.parquet").write_bytes(b"PAR1 not really")
    return folder


def damaged_store(folder: Path) -> Any:
    (folder / "state.db").write_bytes(b"this is no database" * 999)
    return folder


def without_run(folder: Path) -> Any:
    (folder / "notes").mkdir()
    return folder / "notes"


def table_alone(folder: Path) -> Any:
    write_table(trial_table(realistic()), folder / "trials.parquet")
    return folder


HERE = "expected a run's folder such as runs/TAG, or STORAGE_URL/TAG"
WRONG: dict[str, tuple[Callable[[Path], Any], str, str]] = {
    "nothing there": (lambda folder: folder / "gone", "trials", rf"gone: does not exist; {HERE}"),
    "no run's folder": (without_run, "trials", rf"notes: holds no run; {HERE}"),
    "no source": (lambda folder: [], "trials", rf"no source is given; {HERE}, or a list of these"),
    "empty text": (lambda folder: "", "trials", rf"source '': {HERE}"),
    "None": (lambda folder: None, "trials", rf"source None: {HERE}, or a list of these"),
    "a number in a list": (lambda folder: [1], "trials", rf"source 1: {HERE}"),
    "one run twice": (lambda folder: [folder / "a", str(folder / "a")], "trials", r"a: is named twice; expected each"),
    "no URL that is known": (lambda folder: "ftp://a/b", "curves", r"source ftp://a: expected s3://"),
    "a bucket alone": (lambda folder: "s3://bucket", "calls", r"source s3:/: expected s3://"),
    "a URL with its password": (lambda folder: "s3://k:p@b/x", "trials", r"credentials do not belong into the URL"),
    "a name too long": (lambda folder: "x" * 5_000, "trials", r"cannot be read \("),
    "a user's home that is none": (lambda folder: "~nobody-at-all/x", "trials", r"cannot be read \("),
    "a damaged table": (damaged_table, "trials", r"trials.parquet: cannot be read .* makes it again"),
    "a damaged store": (damaged_store, "decisions", r"state\.db"),
    "a table without its store": (table_alone, "lineage", rf"state\.db: does not exist; {HERE[:40]}"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_source_is_one_line(what: str, tmp_path: Path) -> None:
    make, name, expected = WRONG[what]
    with pytest.raises(AutoresearchError, match=expected) as raised:
        load(name, make(tmp_path))
    assert "\n" not in str(raised.value)
    if "damaged" not in what:
        assert isinstance(raised.value, SettingsError)
    if what == "a damaged table":
        assert isinstance(raised.value, DataError)


def test_knobs_are_read_from_every_trial_s_text(run: Path) -> None:
    knobs, trials = load_knobs(run), load_trials(run)
    wide = knobs.pivot(index="trial_id", columns="knob", values="text")
    start = trials[trials.kind == "baseline"].trial_id.iloc[0]
    assert dict(wide.loc[start]) == {"ACTIVATION": '"relu2"', "DEPTH": "4", "MATRIX_LR": "0.04"}
    first = knobs[knobs.trial_id == start]
    assert first.knob.tolist() == ["MATRIX_LR", "DEPTH", "ACTIVATION"], "in the order of the text"
    assert first.value.tolist()[:2] == [0.04, 4.0] and np.isnan(first.value.iloc[2])
    assert first.range.tolist()[0] == "log(0.005, 0.2)"
    assert wide.MATRIX_LR.nunique() > 1 and set(knobs.trial_id) <= set(trials.trial_id)


def test_the_headline_of_a_run_is_that_of_its_report(run: Path, tmp_path: Path) -> None:
    call_models(run)
    (head,) = load_runs(run).to_dict("records")
    summary = summarise(realistic())
    assert {name: head[name] for name in ("tag", "gain", "gain_low", "gain_high", "noise_sd", "trials")} == {
        name: getattr(summary, name) for name in ("tag", "gain", "gain_low", "gain_high", "noise_sd", "trials")
    }
    assert summary.wins > 0 and head["failed"] == sum(
        count for status, count in summary.statuses.items() if status in ("crash", "timeout", "oom", "invalid", "lost")
    )
    assert head["hours"] * 3600 == pytest.approx(summary.wall_seconds) and head["dollars"] > 0
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    stored(empty(), nothing)
    (head,) = load_runs(nothing).to_dict("records")
    assert head["wins"] == 0 and np.isnan(head["gain_low"]) and np.isnan(head["dollars"])


def test_all_loaders_are_public_and_nothing_else_is() -> None:
    others = {"run", "start", "show_page", "diff_best", "load_best", "recompute_decisions"}
    assert {f"load_{name}" for name in TABLES} | others == set(autoresearch_ray.__all__)
    assert all(callable(getattr(autoresearch_ray, name)) for name in autoresearch_ray.__all__)
    with pytest.raises(AttributeError, match="no attribute 'load_all'"):
        autoresearch_ray.load_all  # noqa: B018  # it is looked for


def test_no_table_has_the_text_of_a_prompt(run: Path) -> None:
    call_models(run)
    content = json.loads(gzip.decompress((run / "calls" / "p-00001.json.gz").read_bytes()))
    assert SECRET in str(content), "the transcript has it"
    assert not any(SECRET in load(name, run).to_csv() for name in TABLES)
