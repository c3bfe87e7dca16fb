"""The store's contract, held by every store.

Revisions are counted from the one that a test finds: an etcd cluster has a past. It also has other tenants, but none
beside these tests.
"""

import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from autoresearch_ray.common.errors import CompactedError, FutureRevisionError, LeaseNotFoundError, StoreError
from autoresearch_ray.store.contract import (
    Compare,
    Delete,
    Event,
    Found,
    Get,
    KeyValue,
    Op,
    Put,
    Range,
    Store,
    WatchBatch,
)
from autoresearch_ray.store.etcd.store import EtcdStore
from autoresearch_ray.store.sqlite.store import SqliteStore


def keys(kvs: tuple[KeyValue, ...]) -> list[str]:
    return [kv.key for kv in kvs]


def test_an_empty_store_is_at_revision_one(file_store: Store) -> None:
    assert file_store.revision() == 1


def test_an_empty_store_has_no_keys(store: Store) -> None:
    assert store.get("a") is None
    assert store.range("") == Found((), 0, store.revision())


def test_versions_count_writes_and_start_again_after_a_delete(store: Store) -> None:
    base = store.revision()
    assert store.put("a", b"1") == base + 1
    assert store.put("a", b"2") == base + 2
    assert store.get("a") == KeyValue("a", b"2", create_revision=base + 1, mod_revision=base + 2, version=2)
    assert store.delete("a") == 1
    assert store.get("a") is None
    assert store.put("a", b"3") == base + 4
    assert store.get("a") == KeyValue("a", b"3", create_revision=base + 4, mod_revision=base + 4, version=1)


def test_a_delete_of_nothing_makes_no_revision(store: Store) -> None:
    revision = store.put("a", b"1")
    assert store.delete("b") == 0
    assert store.delete("b", prefix=True) == 0
    assert store.txn([], [Delete("b"), Delete("c/", prefix=True), Get("a")]).revision == revision
    assert store.revision() == revision


def test_a_range_is_by_prefix_in_key_order_with_limit_count_and_continuation(store: Store) -> None:
    revision = max(store.put(key, b"") for key in ("q/2", "q/10", "q/1", "q0", "p", "q/\U0001f600"))
    found = store.range("q/")
    assert keys(found.kvs) == ["q/1", "q/10", "q/2", "q/\U0001f600"]
    assert (found.count, found.revision) == (4, revision)
    page = store.range("q/", limit=2)
    assert (keys(page.kvs), page.count) == (["q/1", "q/10"], 4)
    assert keys(store.range("q/", limit=2, after="q/10").kvs) == ["q/2", "q/\U0001f600"]


def test_the_past_can_be_read_until_it_is_compacted(store: Store) -> None:
    a1 = store.put("a", b"1")
    b1 = store.put("b", b"1")
    a2 = store.put("a", b"2")
    store.delete("b")
    gone = store.revision()
    now = store.put("c", b"1")
    assert store.get("b", revision=a2) == KeyValue("b", b"1", b1, b1, 1)
    assert store.get("b", revision=gone) is None
    assert [(kv.value, kv.mod_revision) for kv in store.range("", revision=b1).kvs] == [(b"1", a1), (b"1", b1)]
    assert store.range("", limit=1, revision=a2).count == 2
    store.compact(gone)
    assert keys(store.range("", revision=gone).kvs) == ["a"]
    with pytest.raises(CompactedError, match=f"revision {a2} "):
        store.get("a", revision=a2)
    with pytest.raises(CompactedError, match=f"revision {a2} "):
        store.range("", revision=a2)
    with pytest.raises(CompactedError, match=f"revision {a2} "):
        store.txn([], [Get("a", revision=a2)])
    with pytest.raises(CompactedError, match=f"revision {gone} "):
        store.compact(gone)
    with pytest.raises(FutureRevisionError, match=f"revision {now + 1} "):
        store.compact(now + 1)
    assert keys(store.range("").kvs) == ["a", "c"]


def test_a_future_revision_is_an_error(store: Store) -> None:
    base = store.revision()
    with pytest.raises(FutureRevisionError, match=f"revision {base + 1} "):
        store.get("a", revision=base + 1)
    with pytest.raises(FutureRevisionError, match=f"revision {base + 1} "):
        store.txn([], [Put("a", b""), Range("", revision=base + 1)])
    assert store.revision() == base


@pytest.mark.parametrize(
    ("compare", "expected"),
    [
        (Compare("a", "value", "==", b"m"), True),
        (Compare("a", "value", "!=", b"m"), False),
        (Compare("a", "value", "<", b"z"), True),
        (Compare("a", "value", ">", b"z"), False),
        (Compare("a", "version", "==", 2), True),
        (Compare("a", "version", ">", 2), False),
        (Compare("none", "version", "<", 0), False),
        (Compare("none", "version", "==", 0), True),
        (Compare("none", "create", "==", 0), True),
        (Compare("none", "mod", "<", 1), True),
        (Compare("none", "value", "==", b""), False),
        (Compare("none", "value", "!=", b"x"), False),
        (Compare("none", "value", "<", b"x"), False),
    ],
)
def test_compares_follow_etcd(store: Store, compare: Compare, expected: bool) -> None:
    store.put("a", b"k")
    store.put("a", b"m")
    assert store.txn([compare], []).succeeded is expected


def test_compares_know_when_a_key_was_created_and_written(store: Store) -> None:
    created, written = store.put("a", b"k"), store.put("a", b"m")
    holding = [
        Compare("a", "create", "==", created),
        Compare("a", "create", "<", written),
        Compare("a", "mod", ">", created),
        Compare("a", "mod", "!=", created),
    ]
    assert store.txn(holding, []).succeeded
    assert not store.txn([*holding, Compare("a", "mod", "<", written)], []).succeeded


def test_a_failed_compare_runs_the_other_branch_and_is_no_error(store: Store) -> None:
    revision = store.put("a", b"1")
    answer = store.txn([Compare("a", "mod", "==", revision + 1)], [Put("a", b"2")], [Get("a")])
    assert not answer.succeeded
    assert answer.revision == revision
    assert answer.responses[0].kvs[0].value == b"1"


def test_a_transaction_writes_many_keys_in_one_revision_and_sees_its_own_writes(store: Store) -> None:
    store.put("old/1", b"x")
    before = store.put("old/2", b"y")
    ops: list[Op] = [Put("new", b"1"), Delete("old/", prefix=True, previous=True), Range(""), Get("new")]
    answer = store.txn([], ops)
    assert answer.revision == before + 1 == store.revision()
    assert keys(answer.responses[1].kvs) == ["old/1", "old/2"]
    assert keys(answer.responses[2].kvs) == ["new"]
    assert answer.responses[3].kvs[0].mod_revision == before + 1


def test_a_put_tells_what_it_replaced_when_asked(store: Store) -> None:
    first = store.put("a", b"1")
    told = store.txn([], [Put("a", b"2", previous=True)]).responses[0]
    assert told == Found((KeyValue("a", b"1", first, first, 1),), 1, first + 1)
    assert store.txn([], [Put("a", b"3")]).responses[0] == Found((), 0, first + 2)
    assert store.txn([], [Put("b", b"1", previous=True)]).responses[0] == Found((), 0, first + 3)


@pytest.mark.parametrize(
    "branch",
    [
        [Put("a", b"1"), Put("a", b"2")],
        [Put("a", b"1"), Delete("a")],
        [Delete("", prefix=True), Put("a", b"1")],
    ],
)
def test_a_key_written_twice_in_one_branch_is_an_error(store: Store, branch: list[Op]) -> None:
    base = store.revision()
    with pytest.raises(StoreError, match="duplicate key"):
        store.txn([], branch)
    with pytest.raises(StoreError, match="duplicate key"):
        store.txn([], [], branch)
    assert store.revision() == base


def test_an_empty_key_and_a_wrong_operand_are_errors(store: Store) -> None:
    with pytest.raises(StoreError, match="is no key"):
        store.put("", b"")
    with pytest.raises(StoreError, match="is no key"):
        store.get("")
    with pytest.raises(StoreError, match="cannot compare"):
        store.txn([Compare("a", "version", "==", b"1")], [])


def test_a_retried_request_gets_the_first_answer_and_writes_nothing(store: Store) -> None:
    ops: list[Op] = [Put("a", b"\x00\xff", previous=True), Get("a")]
    first = store.txn([], ops, request_id="r1")
    other = store.put("a", b"other")
    assert store.txn([], ops, request_id="r1") == first
    assert store.get("a") == KeyValue("a", b"other", first.revision, other, 2)
    assert store.put("a", b"new", request_id="r2") == other + 1


def test_a_retried_request_is_answered_as_of_then_for_every_kind_of_operation(store: Store) -> None:
    store.txn([], [Put(f"k/{name}", name.encode()) for name in "abcd"])
    ops: list[Op] = [
        Range("k/"),
        Delete("k/zzz"),
        Get("k/a"),
        Put("k/a", b"2", previous=True),
        Put("k/n", b"", previous=True),
        Delete("k/b", previous=True),
        Range("k/", limit=2, after="k/a"),
        Delete("k/c", prefix=True),
        Delete("k/c", prefix=True, previous=True),
        Get("k/n"),
        Get("k/d"),
        Get("k/d", revision=store.revision() - 1),
        Range("k/"),
        Put("k/d", b"3"),
    ]
    never = Compare("k/a", "version", "==", 0)
    first = store.txn([never], [], ops, request_id="r1")
    assert keys(first.responses[6].kvs) == ["k/c", "k/d"]
    assert (first.responses[6].count, first.responses[8].count) == (3, 0)
    store.delete("k/", prefix=True)
    assert store.txn([never], [], ops, request_id="r1") == first
    assert store.range("k/").kvs == ()


def test_a_retried_delete_is_answered_as_of_then(store: Store) -> None:
    store.txn([], [Put("k/a", b"1"), Put("k/b", b"1")])
    first = store.txn([], [Delete("k/", prefix=True, previous=True)], request_id="r1")
    again = store.put("k/a", b"2")
    assert store.txn([], [Delete("k/", prefix=True, previous=True)], request_id="r1") == first
    assert store.revision() == again


def test_a_watch_delivers_every_event_once_and_in_order(store: Store) -> None:
    base = store.revision()
    a1 = store.put("w/a", b"1")
    store.put("other", b"")
    last = store.txn([], [Put("w/b", b"2"), Delete("w/a")]).revision
    batch = store.watch("w/", base, timeout_seconds=5, previous=True)
    assert batch == WatchBatch(
        (
            Event("put", KeyValue("w/a", b"1", a1, a1, 1)),
            Event("put", KeyValue("w/b", b"2", last, last, 1)),
            Event("delete", KeyValue("w/a", b"", 0, last, 0), KeyValue("w/a", b"1", a1, a1, 1)),
        ),
        last,
    )
    assert store.watch("w/", batch.revision + 1, timeout_seconds=0.05) == WatchBatch((), last)


def test_a_watch_that_does_not_wait_tells_what_is_there(store: Store) -> None:
    revision = store.put("w/a", b"1")
    assert [event.kv.key for event in store.watch("w/", revision, timeout_seconds=0).events] == ["w/a"]


def test_a_watch_waits_for_what_is_to_come(store: Store) -> None:
    seen: list[WatchBatch] = []
    watching = threading.Thread(target=lambda: seen.append(store.watch("w/", 0, timeout_seconds=10)))
    watching.start()
    time.sleep(0.3)
    store.put("other", b"")
    store.put("w/a", b"1")
    watching.join(10)
    assert [event.kv.value for event in seen[0].events] == [b"1"]
    assert seen[0].revision == store.revision()


def test_a_watch_from_a_future_revision_delivers_nothing_older(store: Store) -> None:
    revision = store.put("w/a", b"1")
    assert store.watch("w/", revision + 8, timeout_seconds=0.05) == WatchBatch((), revision + 7)


def test_a_long_watch_comes_in_batches_of_whole_revisions(store: Store) -> None:
    start = store.revision()
    for first in range(0, 1_500, 100):
        store.txn([], [Put(f"w/{number:04d}", b"x" * 1_000) for number in range(first, first + 100)])
    seen: list[str] = []
    batches = 0
    while start < store.revision():
        batch = store.watch("w/", start + 1, timeout_seconds=5)
        seen += [event.kv.key for event in batch.events]
        assert len(seen) % 100 == 0
        start, batches = batch.revision, batches + 1
    assert seen == [f"w/{number:04d}" for number in range(1_500)]
    assert batches > 1 or isinstance(store, EtcdStore)  # which tells up to 1,000 revisions at once


def test_a_watch_from_before_the_compaction_is_an_error(store: Store) -> None:
    store.put("w/a", b"1")
    second = store.put("w/a", b"2")
    store.delete("w/a")
    store.compact(second + 1)
    last = store.put("w/b", b"1")
    with pytest.raises(CompactedError, match=f"from revision {second} "):
        store.watch("w/", second, timeout_seconds=1)
    assert [event.kv.key for event in store.watch("w/", last, timeout_seconds=1).events] == ["w/b"]


def test_a_watch_from_the_compacted_revision_itself_is_complete(file_store: Store) -> None:
    file_store.put("w/a", b"1")
    file_store.delete("w/a")
    deleted = file_store.revision()
    file_store.compact(deleted)
    assert [event.kind for event in file_store.watch("w/", deleted, timeout_seconds=1).events] == ["delete"]


def test_a_lapsed_lease_takes_its_keys_along_in_one_revision(store: Store) -> None:
    lease = store.grant(0.3)
    store.put("l/1", b"", lease)
    store.put("l/2", b"", lease)
    store.put("l/3", b"", lease)
    kept = store.put("l/3", b"kept")  # a put without the lease leaves it
    ttl = store.keep_alive(lease)
    assert ttl == pytest.approx(0.3) or (isinstance(store, EtcdStore) and ttl >= 1)
    time.sleep(ttl + 0.1)
    store.expire_leases()
    batch = store.watch("l/", kept + 1, timeout_seconds=10)
    assert [(event.kind, event.kv.key, event.kv.mod_revision) for event in batch.events] == [
        ("delete", "l/1", kept + 1),
        ("delete", "l/2", kept + 1),
    ]
    assert keys(store.range("l/").kvs) == ["l/3"]
    with pytest.raises(LeaseNotFoundError, match=f"lease {lease}"):
        store.keep_alive(lease)
    with pytest.raises(LeaseNotFoundError, match=f"lease {lease}"):
        store.put("l/4", b"", lease)
    assert store.get("l/4") is None


def test_a_lease_that_is_kept_alive_stays(store: Store) -> None:
    lease = store.grant(2.0)
    put = store.put("l/1", b"", lease)
    assert store.keep_alive(lease) == 2
    assert store.expire_leases() == 0
    assert store.get("l/1") == KeyValue("l/1", b"", put, put, 1, lease)


def test_a_revoked_lease_deletes_its_keys_once(store: Store) -> None:
    lease = store.grant(60)
    put = store.put("l/1", b"", lease)
    assert store.revoke(lease, request_id="r") == put + 1
    assert store.get("l/1") is None
    assert store.revoke(lease, request_id="r") == put + 1
    with pytest.raises(LeaseNotFoundError):
        store.revoke(lease)


def test_a_refused_transaction_writes_nothing(store: Store) -> None:
    with pytest.raises(LeaseNotFoundError):
        store.txn([], [Put("a", b""), Put("b", b"", lease=77)])
    assert store.range("").kvs == ()


def test_a_backup_opens_as_a_store(file_store: Store, tmp_path: Path) -> None:
    file_store.put("a", b"1")
    file_store.backup(tmp_path / "copy.db")
    file_store.put("a", b"2")
    with SqliteStore(tmp_path / "copy.db") as copy:
        assert copy.get("a") == KeyValue("a", b"1", 2, 2, 1)
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_many_clients_increment_without_losing_an_update(store: Store) -> None:
    zero = store.put("n", b"0")

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
    assert store.get("n") == KeyValue("n", b"40", zero, zero + 40, 41)
