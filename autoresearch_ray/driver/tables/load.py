"""Tables of runs, from wherever the runs are: trials, lineage, calls of models, decisions, curves, knobs, headlines.

    load_trials("runs/monday")                                  # of one run, finished or under way
    load_trials(["runs/monday", "s3://bucket/tuesday"])         # of several, with a first column `run`

Every column is described in docs/tables.md.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.common.paths import CALLS_FOLDER, SETTINGS_FILE, STORE_FILE, TABLE_FILE
from autoresearch_ray.driver.tables.sources import EXPECTED, is_running, open_run
from autoresearch_ray.observe.tables import calls, curves, decisions, knobs, lineage, runs, trials
from autoresearch_ray.observe.tables.columns import Schema, categorise, complete, make_series
from autoresearch_ray.settings.run_settings import SQLITE
from autoresearch_ray.store.connect import locate_store, read_run

RUN: Schema = {"run": "category"}  # the first column where there are several runs

Source = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Table:
    """A table that can be loaded from a run."""

    schema: Schema
    read: Callable[[Path], pd.DataFrame]  # reads it from a run's folder
    parts: tuple[str, ...] = ()  # folders that it is made from, in addition to the store


def load_trials(source: Source | Iterable[Source]) -> pd.DataFrame:
    """The trials, one row each in the order of their ids.

    `source` is a run's folder, a storage's URL with a tag (`s3://bucket/tag`, `gs://`, `file:///`, a mounted folder),
    or a list of these: then a first column `run` has the tag, or the source itself where two runs share a tag. A run
    under way is current: its table is made from its store where that is newer than the one in its folder.
    SettingsError where there is no run, DataError or StoreError where one cannot be read, StorageError.
    """
    return load("trials", source)


def load_lineage(source: Source | Iterable[Source]) -> pd.DataFrame:
    """The steps of frontier and best, one row each, in order. Sources and errors as of `load_trials`."""
    return load("lineage", source)


def load_calls(source: Source | Iterable[Source]) -> pd.DataFrame:
    """The calls of models, one row each, oldest first. Sources and errors as of `load_trials`."""
    return load("calls", source)


def load_decisions(source: Source | Iterable[Source]) -> pd.DataFrame:
    """The decisions, one row each, in the order in which they were made. Sources and errors as of `load_trials`."""
    return load("decisions", source)


def load_curves(source: Source | Iterable[Source]) -> pd.DataFrame:
    """The learning curves, one row a report of a trial. Sources and errors as of `load_trials`."""
    return load("curves", source)


def load_knobs(source: Source | Iterable[Source]) -> pd.DataFrame:
    """The values of all knobs, one row a trial and knob. Sources and errors as of `load_trials`."""
    return load("knobs", source)


def load_runs(source: Source | Iterable[Source]) -> pd.DataFrame:
    """The headline of each run: scores, gain with its interval, noise. Sources and errors as of `load_trials`."""
    return load("runs", source)


def load(name: str, source: Source | Iterable[Source]) -> pd.DataFrame:
    """The table of this name, one of `TABLES`. Sources and errors as of `load_trials`."""
    table = TABLES[name]
    if isinstance(source, (str, os.PathLike)):
        return categorise(_read(table, _name(source))[1], table.schema)
    if not isinstance(source, Iterable):
        raise SettingsError(f"source {source!r}: {EXPECTED}, or a list of these")
    names = [_name(one) for one in source]
    if not names:
        raise SettingsError(f"no source is given; {EXPECTED}, or a list of these")
    twice = [said for said, count in Counter(names).items() if count > 1]
    if twice:
        raise SettingsError(f"source {twice[0]}: is named twice; expected each run once")
    parts = [_read(table, said) for said in names]
    tags = Counter(tag for tag, _ in parts)
    for said, (tag, part) in zip(names, parts, strict=True):
        part.insert(0, "run", make_series("category", [tag if tags[tag] == 1 else said] * len(part)))
    return categorise(pd.concat([part for _, part in parts], ignore_index=True), {**RUN, **table.schema})


def _name(source: object) -> str:
    said = os.fspath(source) if isinstance(source, (str, os.PathLike)) else source
    if not isinstance(said, str) or not said:
        raise SettingsError(f"source {source!r}: {EXPECTED}")
    return said


def _read(table: Table, said: str) -> tuple[str, pd.DataFrame]:
    """A run's tag and its table."""
    with open_run(said, parts=table.parts) as folder:
        return _tag_of(folder), complete(table.read(folder), table.schema)


def _tag_of(folder: Path) -> str:
    try:
        settings = json.loads((folder / SETTINGS_FILE).read_text())
    except (OSError, ValueError):
        settings = None
    tag = settings.get("tag") if isinstance(settings, dict) else None
    return tag if isinstance(tag, str) and tag else folder.resolve().name


def _has_current_table(folder: Path) -> bool:
    """Whether the folder's table is all there is to read, or is as new as its store."""
    location, table = locate_store(folder), folder / TABLE_FILE
    if location is None or not table.is_file():
        return location is None
    if location != SQLITE:
        return not is_running(folder)
    changes = [_read_change_time(folder / name) for name in (STORE_FILE, f"{STORE_FILE}-wal")]
    return _read_change_time(table) >= max(changes)


def _read_change_time(path: Path) -> int:
    """When a file was written, in nanoseconds; 0 for one that is empty, as readers leave the log, or gone."""
    try:
        stat = path.stat()
    except OSError:
        return 0
    return stat.st_mtime_ns if stat.st_size else 0


TABLES = {
    "trials": Table(
        trials.SCHEMA,
        lambda folder: (
            trials.read_table(folder) if _has_current_table(folder) else trials.trial_table(read_run(folder))
        ),
    ),
    "lineage": Table(lineage.SCHEMA, lambda folder: lineage.lineage_table(read_run(folder))),
    "calls": Table(
        calls.SCHEMA,
        lambda folder: calls.call_table(read_run(folder), calls.read_transcripts(folder)),
        (CALLS_FOLDER,),
    ),
    "decisions": Table(decisions.SCHEMA, lambda folder: decisions.decision_table(read_run(folder))),
    "curves": Table(curves.SCHEMA, lambda folder: curves.curve_table(read_run(folder))),
    "knobs": Table(knobs.SCHEMA, lambda folder: knobs.knob_table(read_run(folder))),
    "runs": Table(runs.SCHEMA, lambda folder: runs.run_table(read_run(folder))),
}
