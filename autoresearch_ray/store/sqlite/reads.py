"""Reads of the store's SQLite file: opening, and the queries that readers and the writer share.

Functions on a connection; the caller holds the transaction that makes several of them one snapshot. Nothing here
writes a row. Every row that is read is compared with its checksum; sqlite3.DatabaseError when it is another.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from autoresearch_ray.common.errors import CompactedError, DamagedStoreError, FutureRevisionError, StoreError
from autoresearch_ray.store.contract import Event, Found, KeyValue, WatchBatch
from autoresearch_ray.store.sqlite import schema
from autoresearch_ray.store.sqlite.errors import damage, storage_errors

WATCH_EVENTS = 1_000  # a batch ends with the revision that reaches this many
BUSY_SECONDS = 10.0

COLUMNS = "r.key, r.value, r.created, r.modified, r.version, r.lease, r.checksum"


def open_readonly(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, beside a living writer or after it; of an older file, one to a newer copy."""
    connection, version = open_any_version(path)
    if version == schema.SCHEMA_VERSION:
        return connection
    copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    with storage_errors(path), closing(connection):
        connection.backup(copy)
        schema.migrate(copy)
    return copy


def open_any_version(path: Path) -> tuple[sqlite3.Connection, int]:
    """A connection that cannot write to the file as it is, and its schema version."""
    if not path.is_file():
        raise StoreError(f"{path}: no such file; expected a run's state.db. Check the run's folder")
    with storage_errors(path):
        try:
            return _open(path, "mode=ro")
        except sqlite3.OperationalError as error:
            log = path.with_name(f"{path.name}-wal")
            if error.sqlite_errorcode != sqlite3.SQLITE_CANTOPEN or (log.exists() and log.stat().st_size):
                raise
            return _open(path, "immutable=1")  # in a folder where SQLite cannot put its index: nobody writes there


def _open(path: Path, how: str) -> tuple[sqlite3.Connection, int]:
    uri = f"{path.absolute().as_uri()}?{how}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_SECONDS, check_same_thread=False)
    try:
        return connection, schema.check_version(connection, path)
    except (sqlite3.Error, DamagedStoreError):
        connection.close()
        raise


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """One read transaction: all reads within see the same state."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")


def current_revision(connection: sqlite3.Connection) -> int:
    """The newest revision."""
    return number(connection, "revision")


def read_compaction(connection: sqlite3.Connection) -> int:
    """The oldest revision that can be read in full; -1 before the first compaction."""
    return number(connection, "compacted")


def number(connection: sqlite3.Connection, column: str) -> int:
    """One of the numbers in `meta`."""
    row = connection.execute(f"SELECT {column} FROM meta").fetchone()
    if row is None or not isinstance(row[0], int):
        raise damage(f"its {column} is {row and row[0]!r}")
    return row[0]


def check_revision(connection: sqlite3.Connection, revision: int) -> None:
    """CompactedError or FutureRevisionError when the revision (0: now) cannot be read."""
    now, compacted = current_revision(connection), read_compaction(connection)
    if revision > now:
        raise FutureRevisionError(f"revision {revision} does not exist yet; the newest is {now}")
    if 0 < revision < compacted:
        raise CompactedError(f"revision {revision} was compacted away; the oldest is {compacted}")


def get_at(connection: sqlite3.Connection, key: str, revision: int = 0) -> KeyValue | None:
    """The key at a revision that `check_revision` has allowed."""
    if revision > 0:
        query = f"SELECT {COLUMNS} FROM revisions r WHERE key = ? AND modified <= ? ORDER BY modified DESC LIMIT 1"
        row = connection.execute(query, (key, revision)).fetchone()
    else:
        query = f"SELECT {COLUMNS} FROM current c JOIN revisions r ON r.id = c.id WHERE c.key = ?"
        row = connection.execute(query, (key,)).fetchone()
    kv = None if row is None else _kv(row)
    return kv if kv and kv.version else None


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
    query = f"SELECT {COLUMNS} FROM ({living} ORDER BY 2 LIMIT ?) l JOIN revisions r ON r.id = l.id ORDER BY r.key"
    rows = connection.execute(query, (*values, limit or -1)).fetchall()
    count = len(rows)
    if limit and count == limit:
        (count,) = connection.execute(f"SELECT count(*) FROM ({living})", values).fetchone()
    return Found(tuple(_kv(row) for row in rows), count, now)


def keys(connection: sqlite3.Connection, prefix: str) -> list[str]:
    """The living keys under a prefix, without their values."""
    where, bounds = _between(prefix, "")
    return [key for (key,) in connection.execute(f"SELECT c.key FROM current c WHERE {where} ORDER BY 1", bounds)]


def events_from(connection: sqlite3.Connection, prefix: str, from_revision: int, previous: bool) -> WatchBatch:
    """The whole revisions from `from_revision` on, about WATCH_EVENTS events at most."""
    now, compacted = current_revision(connection), read_compaction(connection)
    if from_revision < compacted:
        raise CompactedError(f"events from revision {from_revision} were compacted away; the oldest is {compacted}")
    where, bounds = _between(prefix, "", table="r")
    query = f"SELECT {COLUMNS} FROM revisions r WHERE {where} AND r.modified BETWEEN ? AND ? ORDER BY r.id LIMIT ?"
    rows = connection.execute(query, (*bounds, from_revision, now, WATCH_EVENTS + 1)).fetchall()
    until = max(now, from_revision - 1)
    if len(rows) > WATCH_EVENTS:
        until = rows[WATCH_EVENTS - 1][3]
        rows = connection.execute(query, (*bounds, from_revision, until, -1)).fetchall()
    return WatchBatch(tuple(_event(connection, _kv(row), previous) for row in rows), until)


def prefix_end(prefix: str) -> str:
    """The first string after all those that start with `prefix`; "" when there is none."""
    while prefix:
        point = ord(prefix[-1]) + 1
        if point <= 0x10FFFF:
            return prefix[:-1] + chr(0xE000 if 0xD800 <= point <= 0xDFFF else point)  # surrogates are no characters
        prefix = prefix[:-1]
    return ""


def _kv(row: tuple[Any, ...]) -> KeyValue:
    *fields, checksum = row
    if schema.row_checksum(*fields) != checksum:
        raise damage(f"key {row[0]!r} at revision {row[3]} is not what was written")
    return KeyValue(*fields)


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
    if previous and read_compaction(connection) < kv.mod_revision:
        before = get_at(connection, kv.key, kv.mod_revision - 1)
    return Event("put" if kv.version else "delete", kv, before)
