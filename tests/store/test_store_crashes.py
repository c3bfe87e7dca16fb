"""What is left after a kill, and what is said of a file that is no store."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from contextlib import closing
from pathlib import Path

import pytest
import ray

from autoresearch_ray.common.errors import DamagedStoreError, StoreError
from autoresearch_ray.store.actor.client import ActorStore, start_store_actor
from autoresearch_ray.store.actor.server import StoreActor
from autoresearch_ray.store.contract import Compare, Put, Txn, TxnResult
from autoresearch_ray.store.sqlite.store import SqliteStore

WRITER = """
import sys
from pathlib import Path
from autoresearch_ray.store.actor.server import StoreActor
from autoresearch_ray.store.sqlite.store import SqliteStore
store = SqliteStore(Path(sys.argv[1]))
for number in range(1_000_000):
    store.put(f"k/{number:06d}", b"x" * (number % 3_000))
    print(number, flush=True)
"""


def test_every_acknowledged_write_survives_the_kill_of_its_writer(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    for _ in range(200):
        writer.stdout.readline()
    writer.kill()
    acknowledged = 200 + len(writer.stdout.read().splitlines())
    writer.wait()
    with SqliteStore(path) as store:
        kvs = store.range("k/").kvs
        assert len(kvs) in (acknowledged, acknowledged + 1)  # the last answer may be lost, its write not torn
        assert [len(kv.value) for kv in kvs] == [number % 3_000 for number in range(len(kvs))]
        assert store.revision() == 1 + len(kvs)


def test_a_store_is_reopened_with_its_leases_for_their_full_time(tmp_path: Path) -> None:
    now = 100.0
    with SqliteStore(tmp_path / "state.db", clock=lambda: now) as store:
        lease = store.grant(10)
        store.put("l", b"", lease)
    now = 1_000.0
    with SqliteStore(tmp_path / "state.db", clock=lambda: now) as store:
        assert store.expire_leases() == 0
        now += 10
        assert store.expire_leases() == 1
        assert store.get("l") is None
    with SqliteStore(tmp_path / "state.db") as store:
        assert store.grant(10) != lease


def test_a_lapsed_lease_cannot_write_though_nobody_has_ended_it_yet(tmp_path: Path) -> None:
    now = 100.0
    with SqliteStore(tmp_path / "state.db", clock=lambda: now) as store:
        lease = store.grant(10)
        store.put("owner", b"me", lease)
        now += 11
        assert not store.txn([Compare("owner", "value", "==", b"me")], [Put("best", b"mine")]).succeeded


def test_a_second_writer_is_kept_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoresearch_ray.store.sqlite.files.LOCK_SECONDS", 0.1)
    with SqliteStore(tmp_path / "state.db"), pytest.raises(StoreError, match="another process"):
        SqliteStore(tmp_path / "state.db")


def test_a_group_of_transactions_has_a_revision_each_and_one_refusal_stops_no_other(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "state.db") as store:
        first, refused, last = store.commit(
            [Txn(success=(Put("a", b""),)), Txn(success=(Put("b", b"", lease=9),)), Txn(success=(Put("c", b""),))]
        )
        assert not isinstance(first, StoreError)
        assert first.revision == 2
        assert isinstance(refused, StoreError)
        assert not isinstance(last, StoreError)
        assert last.revision == 3


def filled(path: Path) -> None:
    with SqliteStore(path) as store:
        for number in range(50):
            store.put(f"k/{number}", b"x" * 3_000)


@pytest.mark.parametrize("damage", ["text", "empty", "head", "truncated", "other program"])
def test_a_damaged_file_is_said_to_be_one(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "state.db"
    filled(path)
    for log in tmp_path.glob("state.db-*"):
        log.unlink()
    content = path.read_bytes()
    if damage == "other program":
        path.unlink()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE notes (text)")
    else:
        texts = {"text": b"not a database " * 100, "empty": b"", "head": b"\xff" * 4096 + content[4096:]}
        path.write_bytes(texts.get(damage, content[: len(content) // 2]))
    with pytest.raises(DamagedStoreError, match=r"state.db.*last backup"):
        SqliteStore(path)


def test_another_schema_version_is_refused_and_named(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    filled(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 7")
    with pytest.raises(DamagedStoreError, match=r"schema version 7, where this program knows 1 and 2"):
        SqliteStore(path)


def test_the_history_of_a_key_is_gone_after_compaction_and_the_rest_is_not(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "state.db") as store:
        store.put("kept", b"1")
        for number in range(100):
            store.put("busy", str(number).encode())
        store.put("gone", b"")
        store.delete("gone")
        store.compact(store.revision())
        store.put("busy", b"last")
        store.compact(store.revision())
        with closing(sqlite3.connect(tmp_path / "state.db")) as connection:
            rows = connection.execute("SELECT key, value FROM revisions ORDER BY key").fetchall()
        assert rows == [("busy", b"last"), ("kept", b"1")]


@pytest.fixture
def actor_store(ray_session: str, tmp_path: Path) -> ActorStore:
    return start_store_actor(tmp_path / "state.db", f"state-{uuid.uuid4().hex}", ray_session)


def test_clients_go_on_over_kills_of_the_actor_and_write_nothing_twice(actor_store: ActorStore) -> None:
    acknowledged: list[int] = []

    def count(name: str) -> None:
        for _ in range(30):
            acknowledged.append(actor_store.txn([], [Put(f"n/{name}", b"")]).revision)

    clients = [threading.Thread(target=count, args=(name,)) for name in "ab"]
    for client in clients:
        client.start()
    for _ in range(3):
        os.kill(actor_store.process_id(), signal.SIGKILL)
    for client in clients:
        client.join()
    assert [kv.version for kv in actor_store.range("n/").kvs] == [30, 30]
    assert len(set(acknowledged)) == 60
    assert actor_store.revision() == 61
    actor_store.stop()


def test_a_write_whose_answer_was_lost_is_not_repeated(ray_session: str, tmp_path: Path) -> None:
    died = tmp_path / "died"

    class DiesBeforeItsFirstAnswer(StoreActor):
        async def txns(self, txns: list[Txn]) -> list[TxnResult | StoreError]:
            answers = await super().txns(txns)
            if not died.exists():
                died.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return answers

    options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": 3, "max_concurrency": 10}
    actor = ray.remote(DiesBeforeItsFirstAnswer).options(**options).remote(str(tmp_path / "state.db"))
    store = ActorStore(actor)
    assert store.put("a", b"1") == 2
    kv = store.get("a")
    assert died.exists()
    assert kv is not None
    assert kv.version == 1
    store.stop()


def test_a_watch_goes_on_over_a_kill_and_misses_nothing(actor_store: ActorStore) -> None:
    seen: list[bytes] = []

    def watch() -> None:
        start = 2
        while len(seen) < 3:
            batch = actor_store.watch("w", start, timeout_seconds=10)
            seen.extend(event.kv.value for event in batch.events)
            start = batch.revision + 1

    watcher = threading.Thread(target=watch)
    watcher.start()
    for value in (b"1", b"2", b"3"):
        actor_store.put("w", value)
        os.kill(actor_store.process_id(), signal.SIGKILL)
    watcher.join(60)
    assert seen == [b"1", b"2", b"3"]
    actor_store.stop()


def test_a_stopped_actor_is_an_error_at_once_and_may_be_started_again(ray_session: str, tmp_path: Path) -> None:
    name = f"state-{uuid.uuid4().hex}"
    first = start_store_actor(tmp_path / "state.db", name, ray_session)
    first.put("a", b"1")
    assert start_store_actor(tmp_path / "state.db", name, ray_session).get("a") is not None
    with pytest.raises(StoreError, match=r"has .*state\.db open; expected .*other\.db"):
        start_store_actor(tmp_path / "other.db", name, ray_session)
    first.stop()
    first.stop()
    with pytest.raises(StoreError, match="ended for good"):
        first.get("a")
    second = start_store_actor(tmp_path / "state.db", name, ray_session)
    assert second.get("a") is not None
    second.stop()


def test_an_actor_takes_the_file_that_was_put_in_its_place(ray_session: str, tmp_path: Path) -> None:
    folder, name = tmp_path / "run", f"state-{uuid.uuid4().hex}"
    folder.mkdir()
    first = start_store_actor(folder / "state.db", name, ray_session)
    first.put("a", b"lost with its folder")
    shutil.rmtree(folder)
    folder.mkdir()
    with SqliteStore(folder / "state.db") as restored:
        restored.put("b", b"restored")
    again = start_store_actor(folder / "state.db", name, ray_session)
    assert again.get("a") is None and again.get("b") is not None
    again.put("c", b"new")
    again.stop()
    with SqliteStore(folder / "state.db") as store:
        assert [kv.key for kv in store.range("").kvs] == ["b", "c"]


def test_an_actor_on_a_damaged_file_says_so(ray_session: str, tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"nonsense " * 1_000)
    with pytest.raises(DamagedStoreError, match=r"state\.db"):
        start_store_actor(tmp_path / "state.db", f"state-{uuid.uuid4().hex}", ray_session)


def test_leases_outlive_a_pause_of_the_actor_in_which_nobody_could_keep_them(actor_store: ActorStore) -> None:
    process, ended = actor_store.process_id(), threading.Event()
    lease = actor_store.grant(3)
    actor_store.put("driver", b"", lease)

    def keep() -> None:
        while not ended.wait(0.3):
            actor_store.keep_alive(lease)

    keeper = threading.Thread(target=keep)
    keeper.start()
    os.kill(process, signal.SIGSTOP)
    time.sleep(4.5)  # longer than its TTL
    os.kill(process, signal.SIGCONT)
    assert actor_store.keep_alive(lease) == 3
    time.sleep(0.5)
    ended.set()
    keeper.join()
    assert actor_store.get("driver") is not None and actor_store.process_id() == process
    actor_store.stop()


def test_a_client_travels_to_a_task(actor_store: ActorStore) -> None:
    def put_there(store: ActorStore) -> int:
        return store.put("a", b"1")

    assert ray.get(ray.remote(num_cpus=1)(put_there).remote(actor_store)) == 2
    assert actor_store.get("a") is not None
    actor_store.stop()
