"""A run that version 0.1 began, and that was killed with a trial under way, goes on under this one.

`version_0_1.tar.xz` has its state.db, the write-ahead log beside it, and the trial table as that version wrote it.
"""

import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from small_run import git, start_launch, write_experiment

from autoresearch_ray import load_trials, report
from autoresearch_ray.settings.decision_rules import Rules
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.history import read_settings

pytestmark = pytest.mark.alone

KEPT = Path(__file__).with_name("version_0_1.tar.xz")
FOLDER_THEN = b"/srv/research"


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """The run's folder, in another place than it was made in: only its experiment's paths are changed."""
    write_experiment(tmp_path)
    with tarfile.open(KEPT) as archive:
        archive.extractall(tmp_path / "runs", filter="data")
    folder = tmp_path / "runs" / "v0.1"
    with closing(sqlite3.connect(folder / "state.db")) as connection:
        for number, value in connection.execute("SELECT id, value FROM revisions WHERE key = 'settings'").fetchall():
            moved = value.replace(FOLDER_THEN, str(tmp_path).encode())
            connection.execute("UPDATE revisions SET value = ? WHERE id = ?", (moved, number))
        connection.commit()
    return folder


def equal_columns(table: pd.DataFrame, then: pd.DataFrame) -> None:
    """The rows that were finished then have the same values now; columns may have been added."""
    done = then[then.status != "running"].set_index("trial_id")
    now = table.set_index("trial_id").loc[done.index, done.columns].astype(done.dtypes.to_dict())
    pd.testing.assert_frame_equal(now, done)


def test_a_run_of_version_0_1_is_reported_with_equal_values_and_goes_on(run_dir: Path, tmp_path: Path) -> None:
    then = pd.read_parquet(run_dir / "trials.parquet")
    assert report.main([str(run_dir)]) == 0
    equal_columns(load_trials(run_dir), then)
    launch = start_launch(tmp_path, "--resume", "--tag", "v0.1", "--trials", "25")
    printed = launch.communicate(timeout=120)[0]
    assert launch.returncode == 0, printed
    table = load_trials(run_dir)
    equal_columns(table, then)
    assert list(table.trial_id) == [f"t{number:05d}" for number in range(1, 26)] and (table.status == "ok").all()
    best = then[then.decision == "keep"].commit.item()
    assert best in git(run_dir / "lineage", "rev-list", "autoresearch/v0.1").split(), "the win is the same commit"
    settings = RunSettings.model_validate_json(read_settings(run_dir / "state.db") or b"")
    assert settings.rules == Rules() and settings.max_staleness == 0
