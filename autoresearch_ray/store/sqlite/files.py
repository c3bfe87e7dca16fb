"""The store's file before anybody reads or writes rows: made whole, locked for one writer, checked."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from autoresearch_ray.errors import StoreError
from autoresearch_ray.store.sqlite import reads
from autoresearch_ray.store.sqlite.reads import storage_errors

LOCK_SECONDS = 5.0  # for a killed writer to be gone


def locked(path: Path) -> FileLock:
    """The one writer's lock, held. StoreError when another process has it."""
    lock = FileLock(f"{path}.lock", timeout=LOCK_SECONDS, thread_local=False)
    with storage_errors(path):
        try:
            lock.acquire()
        except Timeout:
            raise StoreError(f"{path}: another process has it open for writing; one writer at a time") from None
    return lock


def create(path: Path) -> None:
    """An empty store."""
    with appearing_whole(path) as unfinished, closing(sqlite3.connect(unfinished, isolation_level=None)) as connection:
        connection.executescript(f"PRAGMA journal_mode = WAL; BEGIN; {reads.SCHEMA} COMMIT;")


def copy(source: Path, path: Path) -> None:
    """A consistent copy of a store that others may be writing."""
    with (
        appearing_whole(path) as unfinished,
        closing(reads.open_readonly(source)) as connection,
        closing(sqlite3.connect(unfinished)) as target,
    ):
        target.execute("PRAGMA journal_mode = OFF")  # a failed copy is thrown away
        connection.backup(target)


@contextmanager
def appearing_whole(path: Path) -> Iterator[Path]:
    """A place to write what then appears at `path` whole or not at all, so that an empty file is damage."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    with storage_errors(path):
        try:
            unfinished.unlink(missing_ok=True)
            yield unfinished
            _sync(unfinished)
            unfinished.replace(path)
            _sync(path.parent)
        finally:
            unfinished.unlink(missing_ok=True)


def connect(path: Path) -> sqlite3.Connection:
    """A connection that may write; the caller holds the lock."""
    return sqlite3.connect(path, isolation_level=None, timeout=reads.BUSY_SECONDS, check_same_thread=False)


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Every commit is synced from here on. StoreError for a read-only file, DamagedStoreError for a broken one."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise reads.damaged(path, verdict)
    connection.execute("UPDATE meta SET compacted = 0 WHERE false")  # says now, not later, that the file is read-only


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
