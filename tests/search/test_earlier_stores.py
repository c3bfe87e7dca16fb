"""A run whose store is older than this version of the code is read, shown and continued.

`store/run_before.json.xz` has the keys and values of its store: 182 trials with a win, an advance, and one that the
frontier went back from; a result without a decision, and a trial that was cut off.
"""

import json
import lzma
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_run import git, write_experiment

from autoresearch_ray.observe import facts
from autoresearch_ray.observe.tables.trials import trial_table
from autoresearch_ray.records.trials import Result, Trial
from autoresearch_ray.search.search import Search
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.sqlite.store import SqliteStore

KEPT = Path(__file__).parents[1] / "store" / "run_before.json.xz"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """The run's store, its experiment's files beside it."""
    write_experiment(tmp_path)
    with SqliteStore(tmp_path / "state.db", synced=False) as store:
        for key, value in json.loads(lzma.decompress(KEPT.read_bytes())):
            store.put(key, value.replace("FOLDER", str(tmp_path)).encode())
        yield store


def test_an_earlier_run_is_shown_as_it_was(store: SqliteStore) -> None:
    history = Board(store).history()
    table = trial_table(history)
    assert len(table) == 183 and table.parent_revision.tolist()[-1] == 5
    assert [win.hypothesis for win in facts.wins(history)] == ["LR 0.1 -> 1.5, WIDTH 16 -> 9, ROWS 4 -> 2"]
    assert history.rows[181].decision is None and history.rows[180].decision is not None


def test_an_earlier_run_goes_on_with_the_same_commits(store: SqliteStore, tmp_path: Path) -> None:
    board = Board(store)
    settings = RunSettings.model_validate_json(board.settings() or b"")
    before = board.commits()
    assert len(before) == 6
    search = Search(board, settings, tmp_path / "lineage")
    assert board.commits() == before and (tmp_path / "lineage" / "train.py").exists(), "all six were made again"
    assert board.open_results() == [], "the result that waited is decided"
    frontier = board.frontier()
    trial = search.next()
    assert frontier is not None and isinstance(trial, Trial) and trial.trial_id == "t00183", "it was cut off"
    while not any(step.kind == "keep" for step in board.steps(7)):
        assert isinstance(trial, Trial)
        gain = 0.5 if trial.proposal.source_sha == frontier.source_sha else 0.001 * int(trial.trial_id[1:])
        search.finish(
            Result(trial.trial_id, "ok", val_bpb=2 - gain, holdout_bpb=2 - gain, strength="full", checks=("bits",))
        )
        trial = search.next()
    win = next(step for step in board.steps(7) if step.kind == "keep")
    assert win.proves == (4,), "the fifth was taken back by the sixth"
    assert facts.wins(board.history())[1].hypothesis == "WIDTH 9 -> 4"
    assert set(before.items()) < set(board.commits().items())
    message = git(tmp_path / "lineage", "log", "-1", "--format=%B", "autoresearch/before")
    assert message.startswith("WIDTH 9 -> 4\n") and "LR 1.5 -> 0.839" not in message
