"""Reads of the store's SQLite file: schema, opening, and the queries that readers and the writer share.

Functions on a connection; the caller holds the transaction that makes several of them one snapshot. Nothing here
writes a row.

    revisions   every kept write in order (`id`), a delete being a row of version 0; `current` points at the living ones
    meta        the compacted revision
    leases      id and TTL; deadlines live in the writer's memory and start again when the file is opened
    requests    the answers to writes that carried a request id
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autoresearch_ray.errors import CompactedError, DamagedStoreError, FutureRevisionError, StoreError
from autoresearch_ray.store.contract import Event, Found, KeyValue, WatchBatch

APPLICATION_ID = 0x41525259  # "ARRY", so that another program's database is not taken for a store
SCHEMA_VERSION = 1
FIRST_REVISION = 1  # of an empty store, as in etcd
WATCH_EVENTS = 1_000  # a batch ends with the revision that reaches this many
BUSY_SECONDS = 10.0

# What SQLite answers when the machine, not the file, is in the way.
REFUSALS = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOMEM,
}

SCHEMA = f"""
CREATE TABLE revisions (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, modified INTEGER NOT NULL, created INTEGER NOT NULL,
    version INTEGER NOT NULL, lease INTEGER NOT NULL, value BLOB NOT NULL);
CREATE INDEX revisions_modified ON revisions (modified);
CREATE INDEX revisions_key ON revisions (key, modified);
CREATE TABLE current (key TEXT PRIMARY KEY, id INTEGER NOT NULL, lease INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX current_lease ON current (lease) WHERE lease <> 0;
CREATE TABLE meta (compacted INTEGER NOT NULL);
INSERT INTO meta VALUES (0);
CREATE TABLE leases (id INTEGER PRIMARY KEY AUTOINCREMENT, ttl_seconds REAL NOT NULL);
CREATE TABLE requests (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, answer TEXT NOT NULL);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""

_COLUMNS = "r.key, r.value, r.created, r.modified, r.version, r.lease"


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """SQLite's errors as ours: a refusal (full, read-only, locked) is a StoreError, nonsense in the file is damage."""
    try:
        yield
    except UnicodeDecodeError as error:  # SQLite's own message quotes the nonsense
        raise damaged(path, str(error)) from error
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in REFUSALS:
            raise damaged(path, str(error)) from error
        raise _refused(path, error) from error
    except OSError as error:
        raise _refused(path, error) from error


def _refused(path: Path, error: Exception) -> StoreError:
    return StoreError(f"{path}: {error}; nothing of the request was written. Look at disk space and rights")


def damaged(path: Path, seen: str) -> DamagedStoreError:
    """The error for a file that cannot be opened as a store."""
    return DamagedStoreError(
        f"{path}: {seen}; expected a state store of schema {SCHEMA_VERSION}. "
        "Put the last backup in its place (and remove its -wal and -shm files), or start a run under a new tag"
    )


def open_readonly(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, beside a living writer or after it; the schema is checked."""
    if not path.is_file():
        raise StoreError(f"{path}: no such file; expected a run's state.db. Check the run's folder")
    with storage_errors(path):
        uri = f"{path.absolute().as_uri()}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_SECONDS, check_same_thread=False)
        try:
            check_schema(connection, path)
        except (sqlite3.Error, DamagedStoreError):
            connection.close()
            raise
        return connection


def check_schema(connection: sqlite3.Connection, path: Path) -> None:
    """DamagedStoreError unless the file is a store of this schema version."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise damaged(path, f"a database of another program (application id {application:#x})")
    if version != SCHEMA_VERSION:
        raise damaged(path, f"schema version {version}")


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """One read transaction: all reads within see the same state."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")


def current_revision(connection: sqlite3.Connection) -> int:
    """The newest revision; its rows outlive every compaction."""
    (newest,) = connection.execute("SELECT max(modified) FROM revisions").fetchone()
    return FIRST_REVISION if newest is None else int(newest)


def compacted_revision(connection: sqlite3.Connection) -> int:
    """The oldest revision that can be read in full; 0 before the first compaction."""
    return int(connection.execute("SELECT compacted FROM meta").fetchone()[0])


def check_revision(connection: sqlite3.Connection, revision: int) -> None:
    """CompactedError or FutureRevisionError when the revision (0: now) cannot be read."""
    now, compacted = current_revision(connection), compacted_revision(connection)
    if revision > now:
        raise FutureRevisionError(f"revision {revision} does not exist yet; the newest is {now}")
    if 0 < revision < compacted:
        raise CompactedError(f"revision {revision} was compacted away; the oldest is {compacted}")


def get_at(connection: sqlite3.Connection, key: str, revision: int = 0) -> KeyValue | None:
    """The key at a revision that `check_revision` has allowed."""
    if revision > 0:
        query = f"SELECT {_COLUMNS} FROM revisions r WHERE key = ? AND modified <= ? ORDER BY modified DESC LIMIT 1"
        row = connection.execute(query, (key, revision)).fetchone()
    else:
        query = f"SELECT {_COLUMNS} FROM current c JOIN revisions r ON r.id = c.id WHERE c.key = ?"
        row = connection.execute(query, (key,)).fetchone()
    return None if row is None or row[4] == 0 else KeyValue(*row)


def range_at(connection: sqlite3.Connection, prefix: str, limit: int = 0, revision: int = 0, after: str = "") -> Found:
    """The living keys under a prefix at a revision that `check_revision` has allowed; by index, never a full scan."""
    now = current_revision(connection)
    where, bounds = _between(prefix, after)
    if revision <= 0 or revision == now:
        living, values = f"SELECT c.id, c.key FROM current c WHERE {where}", bounds
    else:
        newest = f"SELECT max(c.id) FROM revisions c WHERE {where} AND c.modified <= ? GROUP BY c.key"
        living = f"SELECT r.id, r.key FROM revisions r WHERE r.id IN ({newest}) AND r.version > 0"
        values = [*bounds, revision]
    query = f"SELECT {_COLUMNS} FROM ({living} ORDER BY 2 LIMIT ?) l JOIN revisions r ON r.id = l.id ORDER BY r.key"
    rows = connection.execute(query, (*values, limit or -1)).fetchall()
    count = len(rows)
    if limit and count == limit:
        (count,) = connection.execute(f"SELECT count(*) FROM ({living})", values).fetchone()
    return Found(tuple(KeyValue(*row) for row in rows), count, now)


def keys(connection: sqlite3.Connection, prefix: str) -> list[str]:
    """The living keys under a prefix, without their values."""
    where, bounds = _between(prefix, "")
    return [key for (key,) in connection.execute(f"SELECT c.key FROM current c WHERE {where} ORDER BY 1", bounds)]


def events_from(connection: sqlite3.Connection, prefix: str, from_revision: int, previous: bool) -> WatchBatch:
    """The whole revisions from `from_revision` on, about WATCH_EVENTS events at most."""
    now, compacted = current_revision(connection), compacted_revision(connection)
    if from_revision < compacted:
        raise CompactedError(f"events from revision {from_revision} were compacted away; the oldest is {compacted}")
    where, bounds = _between(prefix, "", table="r")
    query = f"SELECT {_COLUMNS} FROM revisions r WHERE {where} AND r.modified BETWEEN ? AND ? ORDER BY r.id LIMIT ?"
    rows = connection.execute(query, (*bounds, from_revision, now, WATCH_EVENTS + 1)).fetchall()
    until = max(now, from_revision - 1)
    if len(rows) > WATCH_EVENTS:
        until = rows[WATCH_EVENTS - 1][3]
        rows = connection.execute(query, (*bounds, from_revision, until, -1)).fetchall()
    return WatchBatch(tuple(_event(connection, KeyValue(*row), previous) for row in rows), until)


def prefix_end(prefix: str) -> str:
    """The first string after all those that start with `prefix`; "" when there is none."""
    while prefix:
        point = ord(prefix[-1]) + 1
        if point <= 0x10FFFF:
            return prefix[:-1] + chr(0xE000 if 0xD800 <= point <= 0xDFFF else point)  # surrogates are no characters
        prefix = prefix[:-1]
    return ""


def _between(prefix: str, after: str, table: str = "c") -> tuple[str, list[object]]:
    conditions, values = [f"{table}.key >= ?"], [prefix]
    end = prefix_end(prefix)
    if end:
        conditions.append(f"{table}.key < ?")
        values.append(end)
    if after:
        conditions.append(f"{table}.key > ?")
        values.append(after)
    return " AND ".join(conditions), list(values)


def _event(connection: sqlite3.Connection, kv: KeyValue, previous: bool) -> Event:
    before = None
    if previous and compacted_revision(connection) < kv.mod_revision:
        before = get_at(connection, kv.key, kv.mod_revision - 1)
    return Event("put" if kv.version else "delete", kv, before)
