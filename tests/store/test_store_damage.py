"""Damage that SQLite does not see: a store says so, and never tells another history.

Under every kind of damage here a run's file is read as it was, or it is said to be damaged, in one line.
"""

import random
import sqlite3
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from etcd_server import memory_folder

from autoresearch_ray import report
from autoresearch_ray.common.errors import DamagedStoreError
from autoresearch_ray.common.paths import BACKUP_FILE
from autoresearch_ray.store.contract import Get, Put, Txn, TxnResult
from autoresearch_ray.store.history import read_history
from autoresearch_ray.store.sqlite.store import SqliteStore

KEPT_RUN = Path(__file__).parents[1] / "driver" / "version_0_1.tar.xz"
SECTOR = 512

Spoil = Callable[[bytearray, random.Random], bytearray]


def flip_a_bit(content: bytearray, rng: random.Random) -> bytearray:
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return content


def flip_sixteen_bytes(content: bytearray, rng: random.Random) -> bytearray:
    start = rng.randrange(len(content) - 16)
    content[start : start + 16] = bytes(byte ^ 0xFF for byte in content[start : start + 16])
    return content


def lose_a_sector(content: bytearray, rng: random.Random) -> bytearray:
    start = rng.randrange(len(content) // SECTOR) * SECTOR
    content[start : start + SECTOR] = bytes(SECTOR)
    return content


def lose_the_end(content: bytearray, rng: random.Random) -> bytearray:
    return content[: -rng.randrange(1, 4096)]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run's folder, whose store a version without checksums wrote and this one has opened."""
    folder = tmp_path_factory.mktemp("runs")
    with tarfile.open(KEPT_RUN) as archive:
        archive.extractall(folder, filter="data")
    SqliteStore(folder / "v0.1" / "state.db").close()
    return folder / "v0.1"


@pytest.fixture
def laid(run_dir: Path, tmp_path: Path) -> Callable[[bytes], Path]:
    """Lays bytes down as a store's file, without what an earlier one has left beside it."""

    def lay(content: bytes) -> Path:
        for beside in tmp_path.glob("state.db*"):
            beside.unlink()
        (tmp_path / "state.db").write_bytes(content)
        return tmp_path / "state.db"

    return lay


@pytest.fixture
def in_memory() -> Iterator[Path]:
    with memory_folder() as folder:
        yield folder


@pytest.mark.parametrize(
    ("spoil", "times"), [(flip_a_bit, 300), (flip_sixteen_bytes, 60), (lose_a_sector, 60), (lose_the_end, 20)]
)
def test_no_damage_gives_another_history_or_another_error(
    run_dir: Path, laid: Callable[[bytes], Path], spoil: Spoil, times: int
) -> None:
    content, rng, said = (run_dir / "state.db").read_bytes(), random.Random(0), 0
    whole = repr(read_history(run_dir / "state.db"))
    for _ in range(times):
        path = laid(bytes(spoil(bytearray(content), rng)))
        try:
            assert repr(read_history(path)) == whole
        except DamagedStoreError as error:
            assert "state.db: " in str(error) and BACKUP_FILE in str(error)
            said += 1
            with pytest.raises(DamagedStoreError):
                SqliteStore(path)
    assert said > times / 5


def test_a_changed_value_is_said_and_the_backup_offered(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with SqliteStore(path) as store:
        store.put("best", b'{"val_bpb": 1.7123}')
        store.backup(tmp_path / BACKUP_FILE)
    path.write_bytes(path.read_bytes().replace(b"1.7123", b"1.3123"))
    said = rf"state\.db: key 'best' at revision 2 is not what was written; .* cp {BACKUP_FILE} state\.db$"
    with pytest.raises(DamagedStoreError, match=said):
        SqliteStore(path)
    with pytest.raises(DamagedStoreError, match=said):
        read_history(path)


def test_the_report_of_a_damaged_run_is_one_line_and_status_two(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = (run_dir / "state.db").read_bytes()
    (tmp_path / "state.db").write_bytes(content.replace(b'"status":"ok"', b'"status":"on"', 1))
    assert report.main([str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1 and "is not what was written" in said
    assert [path.name for path in tmp_path.iterdir() if path.stem != "state"] == []


def test_damage_that_an_older_file_had_before_it_got_checksums_is_one_line_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with tarfile.open(KEPT_RUN) as archive:
        archive.extractall(tmp_path, filter="data")
    path = tmp_path / "v0.1" / "state.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        spoilt = "UPDATE revisions SET value = CAST(replace(value, '{', '[') AS BLOB) WHERE key = 'result/t00003'"
        assert connection.execute(spoilt).rowcount == 1
    assert report.main([str(path.parent)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: result/t00003 at revision ") and said.count("\n") == 1


def test_an_older_file_holds_the_same_when_it_has_got_checksums(tmp_path: Path) -> None:
    with tarfile.open(KEPT_RUN) as archive:
        archive.extractall(tmp_path, filter="data")
    path = tmp_path / "v0.1" / "state.db"
    before = repr(read_history(path))
    with closing(sqlite3.connect(path)) as connection:
        columns = "key, value, created, modified, version, lease"
        rows = connection.execute(f"SELECT {columns} FROM revisions ORDER BY id").fetchall()
        assert connection.execute("PRAGMA user_version").fetchone() == (1,), "reading an older file does not change it"
    with SqliteStore(path) as store:
        lease = store.grant(10)
        assert lease not in {row[5] for row in rows}
        store.put("new", b"", lease)
    assert repr(read_history(path)) == before
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(f"SELECT {columns} FROM revisions ORDER BY id").fetchall()[: len(rows)] == rows


def test_a_damaged_key_fails_those_who_read_it_and_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with SqliteStore(path) as store:
        store.put("bad", b"1.7123")
        store.put("good", b"1")
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE revisions SET value = x'31' WHERE key = 'bad'")
        answers = store.commit(
            [Txn((), (Put("a", b""),)), Txn((), (Put("b", b""), Get("bad"))), Txn((), (Put("c", b""),))]
        )
        assert [isinstance(answer, TxnResult) for answer in answers] == [True, False, True]
        assert isinstance(answers[1], DamagedStoreError)
        assert [kv.key for kv in store.range("a").kvs + store.range("b", after="bad").kvs + store.range("c").kvs] == [
            "a",
            "c",
        ]
        with pytest.raises(DamagedStoreError, match="key 'bad'"):
            store.get("bad")
        assert store.get("good") is not None


def test_a_damaged_store_is_not_copied_over_its_backup(tmp_path: Path) -> None:
    path, backup = tmp_path / "state.db", tmp_path / BACKUP_FILE
    with SqliteStore(path) as store:
        store.put("best", b"1.7123")
        store.backup(backup)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE revisions SET value = x'31'")
        with pytest.raises(DamagedStoreError, match="key 'best'"):
            store.backup(backup)
    with SqliteStore(backup) as kept:
        best = kept.get("best")
        assert best is not None and best.value == b"1.7123"


def test_a_log_cut_after_a_checkpoint_is_said_at_every_length(in_memory: Path) -> None:
    path, laid = in_memory / "state.db", in_memory / "laid.db"
    with SqliteStore(path) as store:
        for number in range(60):
            store.txn([], [Put(f"r/{number % 12}", b"%d" % number), Put("best", b"%d" % number)])
            if number % 6 == 5:
                store.compact(store.revision() - 2)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        main, log, now = path.read_bytes(), (in_memory / "state.db-wal").read_bytes(), store.range("")
    seen: Counter[str] = Counter()
    for cut in range(0, len(log), len(log) // 100):
        for beside in in_memory.glob("laid.db*"):
            beside.unlink()
        laid.write_bytes(main)
        (in_memory / "laid.db-wal").write_bytes(log[:cut])
        try:
            with SqliteStore(laid) as store:
                assert store.range("") == now
            seen["whole"] += 1
        except DamagedStoreError as error:
            assert "of revision 61, but its log laid.db-wal ends at" in str(error)
            seen["said"] += 1
    assert seen["whole"] > 0 and seen["said"] > 80
