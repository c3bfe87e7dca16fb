"""Whether a store's file is what was written: SQLite's own check of its pages, and ours of what stands on them.

SQLite's `integrity_check` sees pages, trees and indexes that contradict each other, but no changed content. Here every
row is compared with its checksum, all of them with their sum, and the index of living keys with the history.
"""

import sqlite3
from pathlib import Path

from autoresearch_ray.store.sqlite import reads, schema
from autoresearch_ray.store.sqlite.errors import damage, storage_errors


def check(path: Path, connection: sqlite3.Connection) -> None:
    """DamagedStoreError if anything in the file is not as it was written."""
    with storage_errors(path), reads.snapshot(connection):
        schema.check_structure(connection)
        _check_content(connection)


def _check_content(connection: sqlite3.Connection) -> None:
    if schema.statements(connection) != schema.list_statements():
        raise damage("its tables are not those of a store")
    revision, compacted = reads.current_revision(connection), reads.read_compaction(connection)
    (newest,) = connection.execute("SELECT max(modified) FROM revisions").fetchone()
    if revision != (schema.FIRST_REVISION if newest is None else newest) or revision < compacted:
        raise damage(f"its revision is {revision}, its newest key of {newest}, and {compacted} is compacted")
    found = _sum_revisions(connection) + compacted + reads.number(connection, "last_lease")
    for table, columns in (("leases", "id, ttl_seconds"), ("requests", "answer, id")):
        for *fields, checksum in connection.execute(f"SELECT {columns}, checksum FROM {table}"):
            if schema.checksum(*fields) != checksum:
                raise damage(f"a row of its {table} is not what was written")
            found += checksum
    if found != reads.number(connection, "total"):
        raise damage("rows are missing, or are of another moment than the rest")


def _sum_revisions(connection: sqlite3.Connection) -> int:
    """The sum of the checksums, when they hold and `current` is what they amount to."""
    total, living = 0, 0
    deleted: set[str] = set()  # keys that have to be deleted further on, for they do not live
    columns = f"{reads.COLUMNS}, r.id, c.id, c.lease"
    rows = connection.execute(f"SELECT {columns} FROM revisions r LEFT JOIN current c ON c.key = r.key ORDER BY r.id")
    for key, value, created, modified, version, lease, checksum, number, newest, indexed_lease in rows:
        if schema.row_checksum(key, value, created, modified, version, lease) != checksum:
            raise damage(f"key {key!r} at revision {modified} is not what was written")
        total += checksum
        if newest is None:
            (deleted.add if version else deleted.discard)(key)
        elif newest == number and version and indexed_lease == lease:
            living += 1
        elif not isinstance(newest, int) or newest <= number:
            raise damage(f"the index of living keys is wrong about {key!r} at revision {modified}")
    (indexed,) = connection.execute("SELECT count(*) FROM current").fetchone()
    if deleted or living != indexed:
        raise damage("the index of living keys is not that of the history")
    return total
