"""A run's store is copied while it goes, and the copy opens in its place."""

import shutil
import time
from pathlib import Path

from autoresearch_ray.archive.backup import backups
from autoresearch_ray.common.paths import BACKUP_FILE
from autoresearch_ray.store.sqlite.store import SqliteStore


def test_a_copy_is_made_now_and_then_and_at_the_end(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "state.db") as store:
        with backups(store, tmp_path, every_seconds=0.05):
            store.put("a", b"1")
            deadline = time.monotonic() + 30
            while not (tmp_path / BACKUP_FILE).exists():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            store.put("a", b"2")
        (tmp_path / "other").mkdir()
        shutil.copy(tmp_path / BACKUP_FILE, tmp_path / "other" / "state.db")
    with SqliteStore(tmp_path / "other" / "state.db") as restored:
        kv = restored.get("a")
        assert kv is not None and (kv.value, kv.version) == (b"2", 2)


def test_a_copy_that_cannot_be_made_ends_no_run(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "state.db") as store, backups(store, tmp_path / "gone"):
        store.put("a", b"1")
