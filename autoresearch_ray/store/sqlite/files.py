"""The store's file before anybody reads or writes rows: made whole, locked for one writer, of this version."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from autoresearch_ray.common.errors import StoreError
from autoresearch_ray.store.sqlite import reads, schema
from autoresearch_ray.store.sqlite.check import check
from autoresearch_ray.store.sqlite.errors import storage_errors
from autoresearch_ray.store.sqlite.wal import check_cut, check_log

LOCK_SECONDS = 5.0  # for a killed writer to be gone


def lock_file(path: Path) -> FileLock:
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
    with appearing_whole(path) as unfinished, closing(_scratch(unfinished)) as connection:
        connection.executescript(f"PRAGMA journal_mode = WAL; BEGIN; {schema.SCHEMA} COMMIT;")


def copy(source: Path, path: Path) -> None:
    """A consistent copy of a store that others may be writing. Damage is not copied over a whole copy."""
    with (
        appearing_whole(path) as unfinished,
        closing(reads.open_readonly(source)) as connection,
        closing(_scratch(unfinished)) as target,
    ):
        target.execute("PRAGMA journal_mode = OFF")  # a failed copy is thrown away
        connection.backup(target)
        check(source, target)


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


def open_for_writing(path: Path, synced: bool = True) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """A connection that writes, every commit synced or none, and one that reads, to a checked file of this version.

    The caller holds the lock. StoreError for a read-only file, DamagedStoreError for a broken one.
    """
    with ExitStack() as undo:
        reader, version = reads.open_any_version(path)
        undo.callback(reader.close)
        check_log(reader, path)
        writer = sqlite3.connect(path, isolation_level=None, timeout=reads.BUSY_SECONDS, check_same_thread=False)
        undo.callback(writer.close)
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute(f"PRAGMA synchronous = {'FULL' if synced else 'OFF'}")
        if version == schema.WITHOUT_CHECKSUMS:
            schema.migrate(writer)
        check(path, reader)
        check_cut(reader, path)
        writer.execute("UPDATE meta SET compacted = 0 WHERE false")  # says now, not later, that the file is read-only
        undo.pop_all()
    return writer, reader


def _scratch(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
