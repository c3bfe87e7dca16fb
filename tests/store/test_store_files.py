"""Power loss and damage: what a store holds or says when its files are torn, of another moment or spoilt.

The rule: it opens to a prefix of the history with everything that was acknowledged and is whole, or it says what is
damaged. What nobody can tell: a log that was cut between two commits before it was copied into the main file, and a
damaged last commit (it looks like a torn one).
"""

import os
import random
import re
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from autoresearch_ray.common.errors import DamagedStoreError, StoreError
from autoresearch_ray.store.connect import begin, read_stored_settings
from autoresearch_ray.store.contract import Delete, KeyValue, Op, Put, Txn
from autoresearch_ray.store.sqlite.store import SqliteStore

SMALLEST_PAGE = 512  # so that a log is short enough to be cut at every byte
SECTOR = 512  # what a disk writes whole or not at all
LOG_HEADER = 32
COPIED_OFFSET = 128  # in the index (-shm): the frames up to which a checkpoint has begun to copy the log
WRITE_VERSION = 18  # the byte by which a database says that newer programs alone may write it
COPIES = 20

Seen = tuple[int, tuple[KeyValue, ...]]  # a store's revision and keys

# After each put: its number, the log's salts and how many frames of the log were written by then.
WRITER = """
import struct, sys
from pathlib import Path
from autoresearch_ray.store.sqlite.store import SqliteStore
path = Path(sys.argv[1])
with SqliteStore(path) as store, open(f"{path}-wal", "rb", 0) as log, open(f"{path}-shm", "rb", 0) as index:
    for number in range(1_000_000):
        store.put(f"k/{number:06d}", b"x" * (number % 3_000))
        (frames,) = struct.unpack_from("=I", index.read(20), 16)
        print(number + 1, log.read(24)[16:].hex(), frames, flush=True)
        log.seek(0), index.seek(0)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory if there is such a place: these tests open thousands of stores."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as name:
        yield Path(name)


def seen(path: Path) -> Seen:
    with SqliteStore(path) as store:
        return store.revision(), store.range("").kvs


def lay(folder: Path, main: bytes, log: bytes) -> Path:
    """The files of some moment, as a power loss would leave them: the index (-shm) is made anew."""
    path = folder / "laid.db"
    for part in ("", "-wal", "-shm"):
        path.with_name(f"laid.db{part}").unlink(missing_ok=True)
    path.write_bytes(main)
    path.with_name("laid.db-wal").write_bytes(log)
    return path


def small_history(folder: Path, commits: int) -> tuple[bytes, bytes, list[tuple[int, Seen]]]:
    """A main file, the log on top of it, and for each commit the log's size and what the store held by then."""
    path = folder / "small.db"
    SqliteStore(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for command in ("journal_mode = DELETE", f"page_size = {SMALLEST_PAGE}"):
            connection.execute(f"PRAGMA {command}").fetchall()
        connection.execute("VACUUM")
    with SqliteStore(path) as store:
        log, main = path.with_name("small.db-wal"), path.read_bytes()
        moments = [(0, (store.revision(), store.range("").kvs))]
        for number in range(commits):
            ops: list[Op] = [Put("a", b"%d" % number), Put(f"b/{number}", b"")]
            if number % 2:
                ops = [Put("a", b"%d" % number), Delete(f"b/{number - 1}")]
            store.commit([Txn(success=tuple(ops), request_id=f"r{number}"), Txn(success=(Put("c", b"together"),))])
            moments.append((log.stat().st_size, (store.revision(), store.range("").kvs)))
        return main, log.read_bytes(), moments


def test_a_log_cut_at_any_byte_opens_to_what_was_whole_before_the_cut(folder: Path) -> None:
    main, log, moments = small_history(folder, commits=2)
    for cut in range(len(log) + 1):
        whole = [state for size, state in moments if size <= cut]
        assert seen(lay(folder, main, log[:cut])) == whole[-1], f"cut at byte {cut} of {len(log)}"


def test_a_changed_byte_in_the_log_is_said_or_costs_the_commits_from_it_on(folder: Path) -> None:
    main, log, moments = small_history(folder, commits=5)
    told = 0
    for place in range(0, len(log), 23):
        spoilt = bytearray(log)
        spoilt[place] ^= 1 << (place % 8)
        whole = [number for number, (size, _) in enumerate(moments) if size <= place]
        try:
            assert seen(lay(folder, main, bytes(spoilt))) == moments[whole[-1] if place >= LOG_HEADER else 0][1]
            assert place < LOG_HEADER or len(whole) > 3, f"byte {place}: three commits are lost and nobody says so"
        except DamagedStoreError as error:
            assert "laid.db: " in str(error)
            assert "last backup" in str(error)
            told += 1
    assert told > 100


def test_a_damaged_log_is_still_damaged_when_it_is_opened_again(folder: Path) -> None:
    main, log, _ = small_history(folder, commits=5)
    path = lay(folder, main, log[:100] + b"?" + log[101:])
    for _ in range(2):
        with pytest.raises(DamagedStoreError, match=r"laid\.db: \d+ commits at the end of its log laid\.db-wal"):
            SqliteStore(path)


class Writer:
    """A process that writes without pause, and can be halted at any moment."""

    def __init__(self, path: Path) -> None:
        command = [sys.executable, "-c", WRITER, str(path)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0)
        assert self._process.stdout
        self._said = self._process.stdout.read(1)  # it has begun
        os.set_blocking(self._process.stdout.fileno(), False)

    def halt(self) -> tuple[int, bytes, int]:
        """Stop it where it is; what it has said by then: number of writes, the log's salts, frames."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitpid(self._process.pid, os.WUNTRACED)
        assert self._process.stdout
        self._said += self._process.stdout.read() or b""
        number, salts, frames = self._said[: self._said.rindex(b"\n")].splitlines()[-1].split()
        return int(number), bytes.fromhex(salts.decode()), int(frames)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def writer(folder: Path) -> Iterator[Writer]:
    process = Writer(folder / "state.db")
    yield process
    process.end()


def assert_holds(path: Path, acknowledged: int) -> None:
    revision, kvs = seen(path)
    assert len(kvs) in (acknowledged, acknowledged + 1)  # the last one's answer may be on its way
    assert [kv.key for kv in kvs] == [f"k/{number:06d}" for number in range(len(kvs))]
    assert all(kv.value == b"x" * (number % 3_000) for number, kv in enumerate(kvs))
    assert revision == 1 + len(kvs)


def without_some_sectors(log: bytes, start: int, rng: random.Random) -> bytes:
    """The log when some of the sectors after `start`, which were not synced, did not reach the disk."""
    torn = bytearray(log[: rng.randrange(start, len(log) + 1)] if rng.random() < 0.5 else log)
    for sector in range(-(-start // SECTOR) * SECTOR, len(torn), SECTOR):
        if rng.random() < 0.5:
            torn[sector : sector + SECTOR] = bytes(min(SECTOR, len(torn) - sector))
    return bytes(torn)


def test_the_files_of_any_moment_hold_every_acknowledged_write(folder: Path, writer: Writer) -> None:
    rng, path, copies = random.Random(0), folder / "state.db", 0
    uses: set[bytes] = set()
    while copies < COPIES or len(uses) < 3:  # the log is begun again after a checkpoint
        copies += 1
        writer.go_on()
        time.sleep(rng.uniform(0, 0.02))
        acknowledged, salts, frames = writer.halt()
        main, log, index = (path.with_name(f"state.db{part}").read_bytes() for part in ("", "-wal", "-shm"))
        uses.add(salts)
        assert_holds(lay(folder, main, log), acknowledged)
        laid = lay(folder, main, log)
        laid.with_name("laid.db-shm").write_bytes(index)
        assert_holds(laid, acknowledged)
        page_bytes = int.from_bytes(log[8:12], "big")
        (copying,) = struct.unpack_from("=I", index, COPIED_OFFSET)  # a checkpoint copies what it has synced
        synced = LOG_HEADER + max(frames if log[16:24] == salts else 0, copying) * (24 + page_bytes)
        for _ in range(5):
            assert_holds(lay(folder, main, without_some_sectors(log, synced, rng)), acknowledged)


def test_a_checkpoint_that_wrote_some_of_its_pages_changes_nothing(folder: Path) -> None:
    path, rng = folder / "state.db", random.Random(0)
    with SqliteStore(path) as store:
        before = path.read_bytes()
        for number in range(100):
            store.put(f"k/{number % 30}", bytes(number * 10))
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        after, log = path.read_bytes(), path.with_name("state.db-wal").read_bytes()
        expected = (store.revision(), store.range("").kvs)
    assert before != after
    for _ in range(30):
        pages = [
            rng.choice((before, after))[at : at + 4096] or after[at : at + 4096] for at in range(0, len(after), 4096)
        ]
        assert seen(lay(folder, b"".join(pages), log)) == expected


def test_a_changed_byte_in_the_main_file_is_damage_or_changes_nothing(folder: Path) -> None:
    path = folder / "state.db"
    with SqliteStore(path) as store:
        for number in range(40):
            store.put(f"k/{number}", b"%d" % number)
    content, told, whole = path.read_bytes(), 0, seen(path)
    for place in [*range(100), *range(100, len(content), 37)]:
        spoilt = bytearray(content)
        spoilt[place] ^= 0xFF
        try:
            assert seen(lay(folder, bytes(spoilt), b"")) == whole, f"byte {place}: another store, and nobody says so"
        except DamagedStoreError as error:
            assert "laid.db: " in str(error)
            assert "last backup" in str(error)
            told += 1
        except StoreError as error:
            assert (place, "readonly" in str(error)) == (WRITE_VERSION, True)
    assert told > 20


def test_a_damaged_store_goes_on_from_the_backup_that_its_message_asks_for(folder: Path) -> None:
    path, backup = folder / "state.db", folder / "state.backup.db"
    with SqliteStore(path) as store:
        store.put("a", b"1")
        store.backup(backup)
        store.put("a", b"2")
    path.write_bytes(b"\xff" * 4096 + path.read_bytes()[4096:])
    path.with_name("state.db-wal").write_bytes(b"of the damaged file")
    with pytest.raises(DamagedStoreError) as caught:
        SqliteStore(path)
    command = re.search(r"Put the last backup, of .* UTC, in its place: (.*)", str(caught.value))
    assert command, caught.value
    subprocess.run(["sh", "-c", command[1]], check=True)
    with SqliteStore(path) as store:
        kv = store.get("a")
        assert kv is not None
        assert (kv.value, store.put("a", b"3")) == (b"1", 3)


def test_a_run_s_store_appears_with_its_settings_and_nothing_beside_it(tmp_path: Path) -> None:
    begin(tmp_path / "state.db", b'{"tag": "x"}')
    assert [path.name for path in tmp_path.iterdir()] == ["state.db"]
    assert read_stored_settings(tmp_path, "sqlite") == b'{"tag": "x"}'
