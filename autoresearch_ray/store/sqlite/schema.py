"""The tables of the store's SQLite file, the checksums in them, and how an older file becomes one of this version.

    revisions   every kept write in order (`id`), a delete being a row of version 0; `current` points at the living ones
    leases      id and TTL; deadlines live in the writer's memory and start again when the file is opened
    requests    the answers to writes that carried a request id
    meta        the newest revision, the compacted one, the newest lease, and `total`

SQLite's pages have no checksums, so a changed bit in a value would be another value. Each row has a checksum of its
own, and `total` is the sum of them all and of meta's numbers, so that a row that is gone is missed there.
"""

import sqlite3
from functools import cache
from pathlib import Path
from zlib import crc32

from autoresearch_ray.store.sqlite.errors import damage, damage_error

APPLICATION_ID = 0x41525259  # "ARRY", so that another program's database is not taken for a store
SCHEMA_VERSION = 2
WITHOUT_CHECKSUMS = 1  # the version before
FIRST_REVISION = 1  # of an empty store, as in etcd
NEVER_COMPACTED = -1  # as in etcd, where the first compaction may be that of revision 0

_CURRENT = """
CREATE TABLE current (key TEXT PRIMARY KEY, id INTEGER NOT NULL, lease INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX current_lease ON current (lease) WHERE lease <> 0;
"""
_SUMMED = f"""
CREATE TABLE revisions (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, modified INTEGER NOT NULL, created INTEGER NOT NULL,
    version INTEGER NOT NULL, lease INTEGER NOT NULL, checksum INTEGER NOT NULL, value BLOB NOT NULL);
CREATE TABLE leases (id INTEGER PRIMARY KEY, ttl_seconds REAL NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE requests (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, checksum INTEGER NOT NULL, answer TEXT NOT NULL);
CREATE TABLE meta (
    revision INTEGER NOT NULL, compacted INTEGER NOT NULL, last_lease INTEGER NOT NULL, total INTEGER NOT NULL);
INSERT INTO meta VALUES ({FIRST_REVISION}, {NEVER_COMPACTED}, 0, {NEVER_COMPACTED});
"""
_INDEXES = """
CREATE INDEX revisions_modified ON revisions (modified);
CREATE INDEX revisions_key ON revisions (key, modified);
"""
_TRIGGERS = """
CREATE TRIGGER revision_added AFTER INSERT ON revisions
    BEGIN UPDATE meta SET revision = new.modified, total = total + new.checksum; END;
""" + "".join(
    f"CREATE TRIGGER {table}_{event} AFTER {event} ON {table} BEGIN UPDATE meta SET total = total {change}; END;\n"
    for table, event, change in (
        ("revisions", "DELETE", "- old.checksum"),
        ("leases", "INSERT", "+ new.checksum"),
        ("leases", "DELETE", "- old.checksum"),
        ("requests", "INSERT", "+ new.checksum"),
        ("requests", "DELETE", "- old.checksum"),
    )
)
_VERSION = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"
SCHEMA = _CURRENT + _SUMMED + _INDEXES + _TRIGGERS + _VERSION

_MIGRATION = f"""
BEGIN IMMEDIATE;
DROP INDEX revisions_modified;
DROP INDEX revisions_key;
ALTER TABLE revisions RENAME TO old_revisions;
ALTER TABLE leases RENAME TO old_leases;
ALTER TABLE requests RENAME TO old_requests;
ALTER TABLE meta RENAME TO old_meta;
{_SUMMED}
INSERT INTO revisions SELECT id, key, modified, created, version, lease,
    row_checksum(key, value, created, modified, version, lease), value FROM old_revisions ORDER BY id;
INSERT INTO leases SELECT id, ttl_seconds, checksum(id, ttl_seconds) FROM old_leases;
INSERT INTO requests SELECT seq, id, checksum(answer, id), answer FROM old_requests;
UPDATE meta SET
    revision = coalesce((SELECT max(modified) FROM revisions), {FIRST_REVISION}),
    compacted = coalesce((SELECT nullif(compacted, 0) FROM old_meta), {NEVER_COMPACTED}),
    last_lease = coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'old_leases'), 0);
UPDATE meta SET total = compacted + last_lease + (SELECT coalesce(sum(checksum), 0) FROM revisions)
    + (SELECT coalesce(sum(checksum), 0) FROM leases) + (SELECT coalesce(sum(checksum), 0) FROM requests);
{_INDEXES}
{_TRIGGERS}
DROP TABLE old_revisions;
DROP TABLE old_leases;
DROP TABLE old_requests;
DROP TABLE old_meta;
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""


def row_checksum(key: object, value: object, created: object, modified: object, version: object, lease: object) -> int:
    """The checksum of a row of `revisions`; -1 where the value is not bytes, as no row is written."""
    start = crc32(f"{key} {created} {modified} {version} {lease}".encode())
    return crc32(value, start) if isinstance(value, bytes) else -1


def checksum(content: object, field: object) -> int:
    """The checksum of another row: of its content, numbers or text, and its other field."""
    return crc32(f"{content} {field}".encode())


def check_version(connection: sqlite3.Connection, path: Path) -> int:
    """The schema version, this one or the one before; DamagedStoreError if it is no such store."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise damage_error(path, f"a database of another program (application id {application:#x})")
    if version not in (WITHOUT_CHECKSUMS, SCHEMA_VERSION):
        raise damage_error(
            path, f"schema version {version}, where this program knows {WITHOUT_CHECKSUMS} and {SCHEMA_VERSION}"
        )
    return int(version)


def check_structure(connection: sqlite3.Connection) -> None:
    """sqlite3.DatabaseError if SQLite finds the pages, trees or indexes broken."""
    (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise damage(verdict)


def migrate(connection: sqlite3.Connection) -> None:
    """Make a store without checksums one of this version, in one transaction. As `check_structure` for a broken one."""
    check_structure(connection)
    connection.create_function("row_checksum", 6, row_checksum, deterministic=True)
    connection.create_function("checksum", 2, checksum, deterministic=True)
    connection.executescript(_MIGRATION)


@cache
def list_statements() -> set[tuple[str, str]]:
    """Every table, index and trigger: its name and the statement that makes it."""
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript(SCHEMA)
        return statements(connection)
    finally:
        connection.close()


def statements(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    """Those of this file, without SQLite's own."""
    return set(connection.execute("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"))
