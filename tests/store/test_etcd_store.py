"""What is special about the store on a real etcd: lost answers, markers, neighbours, quiet watches, snapshots."""

import hashlib
import os
import pickle
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from etcd3gw.client import Etcd3Client
from etcd3gw.types import KeyValue as Marker
from etcd_server import needs_etcd, running_etcd, wipe
from lossy_proxy import LossyProxy, lossy_proxy

from autoresearch_ray.common.errors import CompactedError, LeaseNotFoundError, StoreError
from autoresearch_ray.store.contract import Compare, Delete, Get, KeyValue, Put, Range, TxnResult, WatchBatch
from autoresearch_ray.store.etcd.store import MARKER_SECONDS, EtcdStore
from autoresearch_ray.store.etcd.watch import FENCE_REVISIONS

pytestmark = needs_etcd


@pytest.fixture
def prefix(etcd_address: str) -> Iterator[str]:
    made = f"tests/{uuid.uuid4().hex}/"
    yield made
    wipe(etcd_address, made)


@pytest.fixture
def near(etcd_address: str, prefix: str) -> EtcdStore:
    """The store by the shortest way."""
    return EtcdStore(f"etcd://{etcd_address}", prefix)


@pytest.fixture
def proxy(etcd_address: str) -> Iterator[LossyProxy]:
    with lossy_proxy(etcd_address) as made:
        yield made


@pytest.fixture
def far(proxy: LossyProxy, prefix: str) -> EtcdStore:
    """The same store over a network that loses answers."""
    return EtcdStore(f"etcd://{proxy.address}", prefix)


def markers(address: str, prefix: str) -> list[Marker]:
    host, _, port = address.partition(":")
    client = Etcd3Client(host, int(port), api_path="/v3/")
    return [told for _, told in client.get_prefix(f"{prefix}request/")]


WRITES: dict[str, Callable[[EtcdStore], TxnResult]] = {
    "a put": lambda store: store.txn([], [Put("a", b"2", previous=True), Get("a")]),
    "a delete": lambda store: store.txn([], [Delete("", prefix=True, previous=True)]),
    "the other branch": lambda store: store.txn([Compare("a", "version", "==", 9)], [], [Delete("a"), Range("")]),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("losses", [1, 3])
def test_a_write_whose_answer_is_lost_happens_once_and_is_answered(
    near: EtcdStore, far: EtcdStore, proxy: LossyProxy, etcd_address: str, prefix: str, write: str, losses: int
) -> None:
    twin = EtcdStore(f"etcd://{etcd_address}", f"{prefix}twin/")
    for store in (twin, far):  # far last: it is right at its turn that the answers are lost
        store.txn([], [Put("a", b"1"), Put("b", b"1")])
    expected = WRITES[write](twin)
    before = near.revision()
    proxy.lose(losses)
    answer = WRITES[write](far)
    assert proxy.lost == losses
    assert answer.revision == near.revision() == before + 1
    assert without_revisions(answer) == without_revisions(expected)


def without_revisions(answer: TxnResult) -> list[tuple[int, list[tuple[str, bytes, int]]]]:
    return [(found.count, [(kv.key, kv.value, kv.version) for kv in found.kvs]) for found in answer.responses]


def test_a_revoke_whose_answer_is_lost_has_ended_the_lease(near: EtcdStore, far: EtcdStore, proxy: LossyProxy) -> None:
    lease = near.grant(60)
    put = near.put("a", b"", lease)
    proxy.lose(1, after=1)  # the first asks whether the lease is there
    assert far.revoke(lease) == put + 1
    assert proxy.lost == 1
    assert near.get("a") is None
    with pytest.raises(LeaseNotFoundError):
        far.revoke(lease)


def test_a_watch_goes_on_over_a_cut_connection(near: EtcdStore, far: EtcdStore, proxy: LossyProxy) -> None:
    start = near.revision() + 1
    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(far.watch, "w", start, 20)
        for _ in range(3):
            proxy.cut()
        put = near.put("w", b"1")
        assert watching.result() == WatchBatch(near.watch("w", start, 5).events, put)


def test_a_cluster_that_does_not_answer_is_one_clear_line(proxy: LossyProxy, prefix: str) -> None:
    store = EtcdStore(f"etcd://{proxy.address}", prefix, retry_seconds=0.3)
    proxy.close()
    for call in (store.revision, lambda: store.put("a", b""), lambda: store.watch("a", 5, timeout_seconds=0.1)):
        with pytest.raises(StoreError, match=rf"no answer from etcd://{proxy.address} within 0.3 s") as error:
            call()
        assert "\n" not in str(error.value)


def test_markers_are_out_of_sight_and_lapse_by_themselves(near: EtcdStore, etcd_address: str, prefix: str) -> None:
    start = near.revision()
    near.put("a", b"1")
    near.put("a", b"2")
    told = markers(etcd_address, prefix)
    assert len(told) == 2
    leases = {int(marker["lease"]) for marker in told}
    assert len(leases) == 1
    assert 0 < near.keep_alive(leases.pop()) <= MARKER_SECONDS
    assert near.range("").count == 1
    assert {event.kv.key for event in near.watch("", start + 1, 5).events} == {"a"}


def test_what_writes_nothing_leaves_no_marker(near: EtcdStore, etcd_address: str, prefix: str) -> None:
    near.txn([], [Get("a"), Range("")])
    near.txn([Compare("a", "version", ">", 0)], [Put("a", b"")], [Get("a")])
    near.delete("a")
    near.delete("", prefix=True)
    assert markers(etcd_address, prefix) == []
    near.put("a", b"")
    near.txn([], [Delete("b"), Delete("", prefix=True)])
    assert len(markers(etcd_address, prefix)) == 2


def test_a_lost_lease_of_markers_is_replaced(near: EtcdStore, etcd_address: str, prefix: str) -> None:
    near.put("a", b"1")
    near.revoke(int(markers(etcd_address, prefix)[0]["lease"]))
    near.put("a", b"2")
    kv = near.get("a")
    assert kv is not None
    assert kv.version == 2
    with pytest.raises(LeaseNotFoundError, match="lease 77 "):
        near.put("a", b"3", lease=77)


def test_an_answer_that_was_compacted_away_is_an_error_and_nothing_is_written_again(near: EtcdStore) -> None:
    near.put("a", b"1")
    first = near.txn([], [Put("a", b"2", previous=True)], request_id="r")
    near.put("b", b"")
    near.compact(near.revision())
    with pytest.raises(CompactedError, match=f"revision {first.revision - 1} "):
        near.txn([], [Put("a", b"2", previous=True)], request_id="r")
    assert near.txn([], [Put("a", b"2")], request_id="r").revision == first.revision  # needs no past
    kv = near.get("a")
    assert kv is not None
    assert kv.version == 2


def test_runs_do_not_see_each_other(etcd_address: str, prefix: str) -> None:
    one, ten = (EtcdStore(f"etcd://{etcd_address}", f"{prefix}{name}/") for name in ("1", "10"))
    start = one.revision() + 1
    one.put("a", b"one")
    ten.put("a", b"ten")
    one.put("b", b"one")
    assert [kv.value for kv in one.range("").kvs] == [b"one", b"one"]
    assert [event.kv.value for event in one.watch("", start, 5).events] == [b"one", b"one"]
    assert one.delete("", prefix=True) == 2
    assert ten.get("a") is not None


def test_a_quiet_watch_in_a_busy_cluster_moves_on_and_loses_nothing(
    near: EtcdStore, etcd_address: str, prefix: str
) -> None:
    neighbour = EtcdStore(f"etcd://{etcd_address}", f"{prefix}neighbour/")
    start = near.revision() + 1
    assert near.watch("w/", start, timeout_seconds=0) == WatchBatch((), start - 1)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: neighbour.put(f"n/{number}", b""), range(FENCE_REVISIONS)))
    moved = near.watch("w/", start, timeout_seconds=0)
    assert moved.events == ()
    assert moved.revision >= start + FENCE_REVISIONS
    near.compact(moved.revision)
    put = near.put("w/a", b"1")
    batch = near.watch("w/", moved.revision + 1, timeout_seconds=10)
    assert [event.kv.mod_revision for event in batch.events] == [put]


def test_a_watch_from_the_compacted_revision_itself_is_refused(near: EtcdStore) -> None:
    near.put("w/a", b"1")
    near.delete("w/a")
    deleted = near.revision()
    near.compact(deleted)
    with pytest.raises(CompactedError, match=f"from revision {deleted} "):
        near.watch("w/", deleted, timeout_seconds=0)


def test_large_ranges_and_events_arrive_whole(near: EtcdStore) -> None:
    start = near.revision() + 1
    for number in range(6):
        near.put(f"w/{number}", bytes([number]) * 1_000_000)
    assert sum(len(kv.value) for kv in near.range("w/").kvs) == 6_000_000
    seen: list[KeyValue] = []
    while len(seen) < 6:
        batch = near.watch("w/", start, timeout_seconds=10)
        seen, start = [*seen, *(event.kv for event in batch.events)], batch.revision + 1
    assert [(kv.key, len(kv.value)) for kv in seen] == [(f"w/{number}", 1_000_000) for number in range(6)]


def test_what_etcd_does_not_take_is_said_with_its_option(near: EtcdStore) -> None:
    with pytest.raises(StoreError, match="max-txn-ops"):
        near.txn([], [Put(f"k/{number}", b"") for number in range(127)])
    near.txn([], [Put(f"k/{number}", b"") for number in range(126)])
    with pytest.raises(StoreError, match="max-request-bytes"):
        near.put("a", b"x" * 2_000_000)


def test_a_store_travels_pickled_and_serves_many_threads(near: EtcdStore) -> None:
    near.put("a", b"1")
    stores = [pickle.loads(pickle.dumps(near)) for _ in range(2)]

    def put(number: int) -> int:
        return int(stores[number % 2].put(f"k/{number}", b""))

    with ThreadPoolExecutor(16) as pool:
        revisions = list(pool.map(put, range(200)))
    assert len(set(revisions)) == 200
    assert near.range("k/").count == 200


def test_a_backup_is_whole(near: EtcdStore, tmp_path: Path) -> None:
    near.put("a", b"kept in the backup")
    near.backup(tmp_path / "snapshot")
    content = (tmp_path / "snapshot").read_bytes()
    assert hashlib.sha256(content[:-32]).digest() == content[-32:]
    assert b"kept in the backup" in content


@pytest.mark.skipif(shutil.which("etcdctl") is None, reason="needs etcdctl: apt-get install etcd-client")
def test_a_backup_is_restored_by_etcds_own_means(near: EtcdStore, prefix: str, tmp_path: Path) -> None:
    near.put("a", b"1")
    near.put("a", b"2")
    kept = near.get("a")
    near.backup(tmp_path / "snapshot")
    near.delete("a")
    command = ["etcdctl", "snapshot", "restore", str(tmp_path / "snapshot"), "--data-dir", str(tmp_path / "only")]
    subprocess.run(command, check=True, env={**os.environ, "ETCDCTL_API": "3"}, capture_output=True)
    with running_etcd(tmp_path) as restored:
        assert EtcdStore(f"etcd://{restored.address}", prefix).get("a") == kept
