"""The store's contract, held by every store."""

import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from autoresearch_ray.errors import CompactedError, FutureRevisionError, LeaseNotFoundError, StoreError
from autoresearch_ray.state.sqlite import SqliteStore
from autoresearch_ray.state.store import (
    Compare,
    Delete,
    Event,
    Get,
    KeyValue,
    Op,
    Put,
    Range,
    Store,
    WatchBatch,
)


def keys(kvs: tuple[KeyValue, ...]) -> list[str]:
    return [kv.key for kv in kvs]


def test_an_empty_store_is_at_revision_one(store: Store) -> None:
    assert store.revision() == 1
    assert store.get("a") is None
    assert store.range("").kvs == ()


def test_versions_count_writes_and_start_again_after_a_delete(store: Store) -> None:
    assert store.put("a", b"1") == 2
    assert store.put("a", b"2") == 3
    assert store.get("a") == KeyValue("a", b"2", create_revision=2, mod_revision=3, version=2)
    assert store.delete("a") == 1
    assert store.get("a") is None
    assert store.put("a", b"3") == 5
    assert store.get("a") == KeyValue("a", b"3", create_revision=5, mod_revision=5, version=1)


def test_a_delete_of_nothing_makes_no_revision(store: Store) -> None:
    store.put("a", b"1")
    assert store.delete("b") == 0
    assert store.delete("b", prefix=True) == 0
    assert store.revision() == 2


def test_a_range_is_by_prefix_in_key_order_with_limit_count_and_continuation(store: Store) -> None:
    for key in ("q/2", "q/10", "q/1", "q0", "p", "q/\U0001f600"):
        store.put(key, b"")
    found = store.range("q/")
    assert keys(found.kvs) == ["q/1", "q/10", "q/2", "q/\U0001f600"]
    assert (found.count, found.revision) == (4, 7)
    page = store.range("q/", limit=2)
    assert (keys(page.kvs), page.count) == (["q/1", "q/10"], 4)
    assert keys(store.range("q/", limit=2, after="q/10").kvs) == ["q/2", "q/\U0001f600"]


def test_the_past_can_be_read_until_it_is_compacted(store: Store) -> None:
    store.put("a", b"1")  # 2
    store.put("b", b"1")  # 3
    store.put("a", b"2")  # 4
    store.delete("b")  # 5
    store.put("c", b"1")  # 6
    assert store.get("b", revision=4) == KeyValue("b", b"1", 3, 3, 1)
    assert store.get("b", revision=5) is None
    assert [kv.value for kv in store.range("", revision=3).kvs] == [b"1", b"1"]
    assert store.range("", limit=1, revision=4).count == 2
    store.compact(5)
    assert keys(store.range("", revision=5).kvs) == ["a"]
    with pytest.raises(CompactedError, match="revision 4"):
        store.get("a", revision=4)
    with pytest.raises(CompactedError):
        store.range("", revision=4)
    with pytest.raises(CompactedError):
        store.compact(5)
    with pytest.raises(FutureRevisionError):
        store.compact(7)
    assert keys(store.range("").kvs) == ["a", "c"]


def test_a_future_revision_is_an_error(store: Store) -> None:
    with pytest.raises(FutureRevisionError, match="revision 2"):
        store.get("a", revision=2)
    with pytest.raises(FutureRevisionError):
        store.txn([], [Put("a", b""), Range("", revision=2)])
    assert store.revision() == 1


@pytest.mark.parametrize(
    ("compare", "expected"),
    [
        (Compare("a", "value", "==", b"m"), True),
        (Compare("a", "value", "!=", b"m"), False),
        (Compare("a", "value", "<", b"z"), True),
        (Compare("a", "value", ">", b"z"), False),
        (Compare("a", "version", "==", 2), True),
        (Compare("a", "create", "<", 3), True),
        (Compare("a", "mod", ">", 2), True),
        (Compare("none", "version", "==", 0), True),
        (Compare("none", "create", "==", 0), True),
        (Compare("none", "mod", "<", 1), True),
        (Compare("none", "value", "==", b""), False),
        (Compare("none", "value", "!=", b"x"), False),
        (Compare("none", "value", "<", b"x"), False),
    ],
)
def test_compares_follow_etcd(tmp_path: Path, compare: Compare, expected: bool) -> None:
    with SqliteStore(tmp_path / "state.db") as store:
        store.put("a", b"k")
        store.put("a", b"m")
        assert store.txn([compare], []).succeeded is expected


def test_a_failed_compare_runs_the_other_branch_and_is_no_error(store: Store) -> None:
    store.put("a", b"1")
    answer = store.txn([Compare("a", "mod", "==", 99)], [Put("a", b"2")], [Get("a")])
    assert not answer.succeeded
    assert answer.revision == 2
    assert answer.responses[0].kvs[0].value == b"1"


def test_a_transaction_writes_many_keys_in_one_revision_and_sees_its_own_writes(store: Store) -> None:
    store.put("old/1", b"x")
    store.put("old/2", b"y")
    ops: list[Op] = [Put("new", b"1"), Delete("old/", prefix=True, previous=True), Range(""), Get("new")]
    answer = store.txn([], ops)
    assert answer.revision == 4
    assert keys(answer.responses[1].kvs) == ["old/1", "old/2"]
    assert keys(answer.responses[2].kvs) == ["new"]
    assert answer.responses[3].kvs[0].mod_revision == 4


def test_a_put_tells_what_it_replaced_when_asked(store: Store) -> None:
    store.put("a", b"1")
    assert store.txn([], [Put("a", b"2", previous=True)]).responses[0].kvs == (KeyValue("a", b"1", 2, 2, 1),)
    assert store.txn([], [Put("a", b"3")]).responses[0].kvs == ()


@pytest.mark.parametrize(
    "branch",
    [
        [Put("a", b"1"), Put("a", b"2")],
        [Put("a", b"1"), Delete("a")],
        [Delete("", prefix=True), Put("a", b"1")],
    ],
)
def test_a_key_written_twice_in_one_branch_is_an_error(store: Store, branch: list[Op]) -> None:
    with pytest.raises(StoreError, match="duplicate key"):
        store.txn([], branch)
    with pytest.raises(StoreError, match="duplicate key"):
        store.txn([], [], branch)
    assert store.revision() == 1


def test_an_empty_key_and_a_wrong_operand_are_errors(store: Store) -> None:
    with pytest.raises(StoreError, match="is no key"):
        store.put("", b"")
    with pytest.raises(StoreError, match="cannot compare"):
        store.txn([Compare("a", "version", "==", b"1")], [])


def test_a_retried_request_gets_the_first_answer_and_writes_nothing(store: Store) -> None:
    first = store.txn([], [Put("a", b"\x00\xff", previous=True), Get("a")], request_id="r1")
    store.put("a", b"other")
    assert store.txn([], [Put("a", b"\x00\xff", previous=True), Get("a")], request_id="r1") == first
    assert store.get("a") == KeyValue("a", b"other", 2, 3, 2)
    assert store.put("a", b"new", request_id="r2") == 4


def test_a_watch_delivers_every_event_once_and_in_order(store: Store) -> None:
    store.put("w/a", b"1")  # 2
    store.put("other", b"")  # 3
    store.txn([], [Put("w/b", b"2"), Delete("w/a")])  # 4
    batch = store.watch("w/", 1, timeout_seconds=5, previous=True)
    assert batch == WatchBatch(
        (
            Event("put", KeyValue("w/a", b"1", 2, 2, 1)),
            Event("put", KeyValue("w/b", b"2", 4, 4, 1)),
            Event("delete", KeyValue("w/a", b"", 0, 4, 0), KeyValue("w/a", b"1", 2, 2, 1)),
        ),
        4,
    )
    assert store.watch("w/", batch.revision + 1, timeout_seconds=0.05) == WatchBatch((), 4)


def test_a_watch_waits_for_what_is_to_come(store: Store) -> None:
    seen: list[WatchBatch] = []
    watching = threading.Thread(target=lambda: seen.append(store.watch("w/", 0, timeout_seconds=10)))
    watching.start()
    time.sleep(0.3)
    store.put("other", b"")
    store.put("w/a", b"1")
    watching.join(10)
    assert [event.kv.value for event in seen[0].events] == [b"1"]
    assert seen[0].revision == 3


def test_a_watch_from_a_future_revision_delivers_nothing_older(store: Store) -> None:
    store.put("w/a", b"1")
    assert store.watch("w/", 10, timeout_seconds=0.05) == WatchBatch((), 9)


def test_a_long_watch_comes_in_batches_of_whole_revisions(store: Store) -> None:
    for start in range(0, 1_500, 300):
        store.txn([], [Put(f"w/{number:04d}", b"") for number in range(start, start + 300)])
    first = store.watch("w/", 1, timeout_seconds=5)
    second = store.watch("w/", first.revision + 1, timeout_seconds=5)
    seen = [event.kv.key for event in first.events + second.events]
    assert seen == [f"w/{number:04d}" for number in range(1_500)]
    assert second.events
    assert second.revision == store.revision()


def test_a_watch_from_before_the_compaction_is_an_error_and_from_it_on_is_complete(store: Store) -> None:
    store.put("w/a", b"1")  # 2
    store.put("w/a", b"2")  # 3
    store.delete("w/a")  # 4
    store.compact(4)
    with pytest.raises(CompactedError, match="from revision 3"):
        store.watch("w/", 3, timeout_seconds=1)
    assert [event.kind for event in store.watch("w/", 4, timeout_seconds=1).events] == ["delete"]


def test_a_lapsed_lease_takes_its_keys_along_in_one_revision(store: Store) -> None:
    lease = store.grant(0.3)
    store.put("l/1", b"", lease)
    store.put("l/2", b"", lease)
    store.put("l/3", b"", lease)
    store.put("l/3", b"kept")  # a put without the lease leaves it
    assert store.keep_alive(lease) == pytest.approx(0.3)
    time.sleep(0.4)
    store.expire_leases()
    batch = store.watch("l/", 6, timeout_seconds=5)
    assert [(event.kind, event.kv.key, event.kv.mod_revision) for event in batch.events] == [
        ("delete", "l/1", 6),
        ("delete", "l/2", 6),
    ]
    assert keys(store.range("l/").kvs) == ["l/3"]
    with pytest.raises(LeaseNotFoundError, match=f"lease {lease}"):
        store.keep_alive(lease)
    with pytest.raises(LeaseNotFoundError):
        store.put("l/4", b"", lease)
    assert store.get("l/4") is None


def test_a_lease_that_is_kept_alive_stays(store: Store) -> None:
    lease = store.grant(2.0)
    store.put("l/1", b"", lease)
    store.keep_alive(lease)
    assert store.expire_leases() == 0
    assert store.get("l/1") == KeyValue("l/1", b"", 2, 2, 1, lease)


def test_a_revoked_lease_deletes_its_keys_once(store: Store) -> None:
    lease = store.grant(60)
    store.put("l/1", b"", lease)
    assert store.revoke(lease, request_id="r") == 3
    assert store.get("l/1") is None
    assert store.revoke(lease, request_id="r") == 3
    with pytest.raises(LeaseNotFoundError):
        store.revoke(lease)


def test_a_refused_transaction_writes_nothing(store: Store) -> None:
    with pytest.raises(LeaseNotFoundError):
        store.txn([], [Put("a", b""), Put("b", b"", lease=77)])
    assert store.range("").kvs == ()


def test_a_backup_opens_as_a_store(store: Store, tmp_path: Path) -> None:
    store.put("a", b"1")
    store.backup(tmp_path / "copy.db")
    store.put("a", b"2")
    with SqliteStore(tmp_path / "copy.db") as copy:
        assert copy.get("a") == KeyValue("a", b"1", 2, 2, 1)
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_many_clients_increment_without_losing_an_update(store: Store) -> None:
    store.put("n", b"0")

    def increment() -> None:
        for _ in range(10):
            while True:
                seen = store.get("n")
                assert seen is not None
                write = Put("n", str(int(seen.value) + 1).encode())
                if store.txn([Compare("n", "mod", "==", seen.mod_revision)], [write]).succeeded:
                    break

    threads = [threading.Thread(target=increment) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.get("n") == KeyValue("n", b"40", 2, 42, 41)
