"""Writes to the store's SQLite file, within the caller's SQL transaction: operations, leases, compaction, answers."""

import base64
import json
import sqlite3
from typing import Any

from autoresearch_ray.store.contract import Delete, Found, Get, KeyValue, Op, Put, Range, TxnResult
from autoresearch_ray.store.sqlite import reads, schema
from autoresearch_ray.store.sqlite.errors import damage

REMEMBERED_REQUESTS = 10_000  # a retry comes within seconds; this is minutes of the busiest run


def run_op(connection: sqlite3.Connection, op: Op, revision: int) -> Found:
    """One checked operation; what it writes gets this revision."""
    if isinstance(op, Range):
        return reads.range_at(connection, op.prefix, op.limit, op.revision, op.after)
    if isinstance(op, Get):
        kv = reads.get_at(connection, op.key, op.revision)
        return Found((kv,) if kv else (), int(kv is not None), reads.current_revision(connection))
    if isinstance(op, Put):
        kv = reads.get_at(connection, op.key)
        created, version = (kv.create_revision, kv.version + 1) if kv else (revision, 1)
        _write(connection, KeyValue(op.key, op.value, created, revision, version, op.lease))
        replaced = (kv,) if kv and op.previous else ()
        return Found(replaced, len(replaced), revision)
    return _delete(connection, op, revision)


def grant(connection: sqlite3.Connection, ttl_seconds: float) -> int:
    """A new lease, of a number that none had before."""
    connection.execute("UPDATE meta SET last_lease = last_lease + 1, total = total + 1")
    (lease,) = connection.execute("SELECT last_lease FROM meta").fetchone()
    row = (lease, float(ttl_seconds), schema.checksum(lease, float(ttl_seconds)))
    connection.execute("INSERT INTO leases VALUES (?, ?, ?)", row)
    return int(lease)


def end_lease(connection: sqlite3.Connection, lease: int) -> None:
    """Forget the lease and delete its keys, in one revision."""
    revision = reads.current_revision(connection) + 1
    keys = connection.execute("SELECT key FROM current WHERE lease = ? AND lease <> 0 ORDER BY key", (lease,))
    for (key,) in keys.fetchall():
        _write(connection, KeyValue(key, b"", 0, revision, 0))
    connection.execute("DELETE FROM leases WHERE id = ?", (lease,))


def compact(connection: sqlite3.Connection, compacted: int, revision: int) -> None:
    """Rows that a row in (compacted, revision] replaced go, and deletes before `revision`: no scan of the rest."""
    replaced = """SELECT old.id FROM revisions new JOIN revisions old ON old.key = new.key
                  WHERE new.modified > ? AND new.modified <= ? AND old.modified < new.modified"""
    connection.execute(f"DELETE FROM revisions WHERE id IN ({replaced})", (compacted, revision))
    deletes = "DELETE FROM revisions WHERE version = 0 AND modified >= ? AND modified < ?"
    connection.execute(deletes, (compacted, revision))
    connection.execute("UPDATE meta SET total = total + ? - compacted, compacted = ?", (revision, revision))


def recall(connection: sqlite3.Connection, request_id: str) -> TxnResult | None:
    """The first answer to a request that wrote, or None."""
    if not request_id:
        return None
    row = connection.execute("SELECT answer, checksum FROM requests WHERE id = ?", (request_id,)).fetchone()
    if row is None:
        return None
    if schema.checksum(row[0], request_id) != row[1]:
        raise damage(f"the answer to request {request_id!r} is not what was written")
    return _answer_from_json(row[0])


def remember(connection: sqlite3.Connection, request_id: str, answer: TxnResult) -> None:
    """Keep the answer, in the transaction that it answers, and forget the oldest."""
    if request_id:
        text = _answer_to_json(answer)
        row = (request_id, schema.checksum(text, request_id), text)
        seq = connection.execute("INSERT INTO requests (id, checksum, answer) VALUES (?, ?, ?)", row).lastrowid
        assert seq is not None, "an inserted row has an id"
        connection.execute("DELETE FROM requests WHERE seq <= ?", (seq - REMEMBERED_REQUESTS,))


def _delete(connection: sqlite3.Connection, op: Delete, revision: int) -> Found:
    if op.prefix:
        kvs = reads.range_at(connection, op.key).kvs
    else:
        kv = reads.get_at(connection, op.key)
        kvs = (kv,) if kv else ()
    for kv in kvs:
        _write(connection, KeyValue(kv.key, b"", 0, revision, 0))
    return Found(kvs if op.previous else (), len(kvs), reads.current_revision(connection))


def _write(connection: sqlite3.Connection, kv: KeyValue) -> None:
    numbers = (kv.create_revision, kv.mod_revision, kv.version, kv.lease)
    row = (kv.key, *numbers, schema.row_checksum(kv.key, kv.value, *numbers), kv.value)
    insert = (
        "INSERT INTO revisions (key, created, modified, version, lease, checksum, value) VALUES (?, ?, ?, ?, ?, ?, ?)"
    )
    written = connection.execute(insert, row).lastrowid
    if kv.version:
        connection.execute("INSERT OR REPLACE INTO current VALUES (?, ?, ?)", (kv.key, written, kv.lease))
    else:
        connection.execute("DELETE FROM current WHERE key = ?", (kv.key,))


def _answer_to_json(answer: TxnResult) -> str:
    """One line of JSON; values in base64."""
    responses = [[[_kv_to_list(kv) for kv in found.kvs], found.count, found.revision] for found in answer.responses]
    return json.dumps([answer.succeeded, answer.revision, responses], separators=(",", ":"))


def _answer_from_json(text: str) -> TxnResult:
    """What `answer_to_json` wrote."""
    succeeded, revision, responses = json.loads(text)
    found = tuple(Found(tuple(_kv_from_list(kv) for kv in kvs), count, at) for kvs, count, at in responses)
    return TxnResult(succeeded, revision, found)


def _kv_to_list(kv: KeyValue) -> list[Any]:
    value = base64.b64encode(kv.value).decode()
    return [kv.key, value, kv.create_revision, kv.mod_revision, kv.version, kv.lease]


def _kv_from_list(fields: list[Any]) -> KeyValue:
    key, value, *numbers = fields
    return KeyValue(key, base64.b64decode(value), *numbers)
