"""Damage in SQLite's write-ahead log that SQLite itself passes over.

SQLite takes the first frame that does not check out for the log's end. That is right for a commit that a power loss
has torn, for nobody was told of it; it would lose acknowledged ones without a word when a frame was damaged later. The
two can be told apart: a commit is synced before the next is written, so at most one commit can lie beyond a torn frame.

The files: https://www.sqlite.org/walformat.html. A damaged last commit looks like a torn one and is not found.
"""

import sqlite3
import struct
from pathlib import Path

from autoresearch_ray.store.sqlite.reads import damaged

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
        raise damaged(path, f"{lost} commits at the end of its log {log.name} cannot be read, damage lies before them")


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
