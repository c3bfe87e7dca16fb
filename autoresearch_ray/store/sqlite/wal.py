"""Damage in SQLite's write-ahead log that SQLite itself passes over.

SQLite takes the first frame that does not check out for the log's end. That is right for a commit that a power loss
has torn, for nobody was told of it; it would lose acknowledged ones without a word when a frame was damaged later. The
two can be told apart: a commit is synced before the next is written, so at most one commit can lie beyond a torn frame.

A log may also be cut after its pages were copied into the file, which is then newer than what the log makes of it.

The files: https://www.sqlite.org/walformat.html. A damaged last commit looks like a torn one and is not found.
"""

import sqlite3
import struct
from contextlib import closing
from pathlib import Path

from autoresearch_ray.store.sqlite import reads
from autoresearch_ray.store.sqlite.errors import damage_error

HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24
SALTS = slice(8, 16)  # of a frame's header; the log's own are at 16:24
COMMIT = slice(4, 8)  # not zero in the last frame of a commit
READ_FRAMES_OFFSET = 16  # in the index (-shm): the frames that SQLite reads, in the machine's byte order


def check_log(connection: sqlite3.Connection, path: Path) -> None:
    """DamagedStoreError when commits cannot be read. The connection has read, and nobody has written since."""
    log, index = path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")
    if not log.exists() or not index.exists():
        return
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    (read_frames,) = struct.unpack_from("=I", index.read_bytes(), READ_FRAMES_OFFSET)
    lost = commits_after(log, read_frames, page_bytes)
    if lost > 1:
        raise damage_error(
            path, f"{lost} commits at the end of its log {log.name} cannot be read, damage lies before them"
        )


def check_cut(connection: sqlite3.Connection, path: Path) -> None:
    """DamagedStoreError when the file is newer than what its log makes of it; the connection reads one snapshot."""
    seen, copied = reads.current_revision(connection), _revision_without_log(path)
    if seen < copied:
        raise damage_error(path, f"it is of revision {copied}, but its log {path.name}-wal ends at {seen}: it was cut")


def _revision_without_log(path: Path) -> int:
    """The revision of the file alone; 0 where it says none, as a file does that has all in its log."""
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            return reads.current_revision(connection)
    except sqlite3.DatabaseError:
        return 0


def commits_after(log: Path, frames: int, page_bytes: int) -> int:
    """How many commits of the log's present use come after this many frames."""
    frame_bytes = FRAME_HEADER_BYTES + page_bytes
    found = 0
    with log.open("rb") as file:
        salts = file.read(HEADER_BYTES)[16:24]
        for start in range(HEADER_BYTES + frames * frame_bytes, log.stat().st_size, frame_bytes):
            file.seek(start)
            header = file.read(FRAME_HEADER_BYTES)
            found += header[SALTS] == salts and any(header[COMMIT])
    return found
