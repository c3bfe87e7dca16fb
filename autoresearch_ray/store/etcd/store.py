"""The store on a real etcd cluster, for users who want no single point of failure.

    store = EtcdStore("etcd://host1:2379,host2:2379,host3:2379", prefix="autoresearch/mar1/")
    store.put("program", b"be bold")

`url.py` says what a URL may hold and where credentials come from. Several runs share a cluster, each under its
own prefix. A call goes to whichever member answers and is tried again for RETRY_SECONDS; a write is carried out once
all the same, by a marker that `wire.py` describes and that lives for MARKER_SECONDS / 2 at least. A compaction
that is repeated this way may say CompactedError, and a repeated grant leaves a lease that lapses.

Revisions are the cluster's, so they also grow by what others write, and `compact` is for the whole cluster; nothing
here compacts by itself (etcd's --auto-compaction-retention does). Otherwise the rules are the contract's, but for the
differences that its docstring (`contract.py`) lists.
"""

import hashlib
import math
import os
import threading
import time
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from autoresearch_ray.common.errors import LeaseNotFoundError, StoreError
from autoresearch_ray.store.arguments import (
    check_key,
    check_number,
    check_range,
    check_text,
    check_ttl,
    check_txn,
    check_watch,
)
from autoresearch_ray.store.contract import (
    Compare,
    Delete,
    Found,
    Get,
    KeyValue,
    Op,
    Put,
    Range,
    Store,
    Txn,
    TxnResult,
    WatchBatch,
)
from autoresearch_ray.store.etcd import wire
from autoresearch_ray.store.etcd.client import ANSWER_SECONDS, RETRY_SECONDS, EtcdClient
from autoresearch_ray.store.etcd.replay import replay
from autoresearch_ray.store.etcd.url import EtcdUrl, parse_etcd_url
from autoresearch_ray.store.etcd.watch import EtcdWatch

__all__ = ["EtcdStore", "EtcdUrl", "parse_etcd_url"]

MARKER_SECONDS = 600  # of a marker's lease; a new one is taken at half of it


class EtcdStore(Store):
    """A run's keys in an etcd cluster. Any thread or process may use one; it pickles, without its credentials."""

    def __init__(self, url: str, prefix: str, retry_seconds: float = RETRY_SECONDS) -> None:
        """Connects when first used. StoreError when the URL is wrong."""
        self._made_of = (url, prefix, retry_seconds)
        self._client = EtcdClient(parse_etcd_url(url), retry_seconds)
        self._keys = wire.Keys(prefix.encode())
        self._watch = EtcdWatch(self._client, self._keys)
        self._marker_lock = threading.Lock()
        self._marker_lease, self._marker_until = 0, -math.inf

    def __reduce__(self) -> tuple[Any, ...]:
        return EtcdStore, self._made_of

    def __repr__(self) -> str:
        return f"EtcdStore{self._made_of!r}"

    def revision(self) -> int:
        return wire.revision_of(self._client.call("/kv/range", wire.now_request(self._keys.prefix)))

    def get(self, key: str, revision: int = 0) -> KeyValue | None:
        check_key(key)
        check_number(revision, "revision")
        kvs = self._range(self._keys.get(Get(key, revision)), revision).kvs
        return kvs[0] if kvs else None

    def range(self, prefix: str, limit: int = 0, revision: int = 0, after: str = "") -> Found:
        check_range(prefix, limit, revision, after)
        return self._range(self._keys.range(Range(prefix, limit, revision, after)), revision)

    def txn(
        self, compare: Sequence[Compare], success: Sequence[Op], failure: Sequence[Op] = (), request_id: str = ""
    ) -> TxnResult:
        txn = Txn(tuple(compare), tuple(success), tuple(failure), request_id or uuid.uuid4().hex)
        check_txn(txn)
        if not any(isinstance(op, Put | Delete) for op in txn.success + txn.failure):
            answer = self._client.call("/kv/txn", self._keys.txn(txn), _about(txn))
            return self._keys.answer(answer, txn, wire.revision_of(answer))
        try:
            return self._carry_out(txn, self._lease_marker())
        except LeaseNotFoundError:  # the caller's or the marker's own, in a cluster that was restored, say
            return self._carry_out(txn, self._lease_marker(anew=True))

    def watch(
        self, prefix: str, from_revision: int = 0, timeout_seconds: float = 30.0, previous: bool = False
    ) -> WatchBatch:
        check_watch(prefix, from_revision, timeout_seconds)
        return self._watch.batch(prefix, from_revision or self.revision() + 1, timeout_seconds, previous)

    def grant(self, ttl_seconds: float) -> int:
        """A new lease. etcd counts in whole seconds and raises what is too short for its elections, mostly to 2 s."""
        check_ttl(ttl_seconds)
        return int(self._client.call("/lease/grant", {"TTL": math.ceil(ttl_seconds), "ID": 0})["ID"])

    def keep_alive(self, lease: int) -> float:
        check_number(lease, "lease")
        ttl = int(self._client.call("/lease/keepalive", {"ID": lease}).get("TTL", 0))
        if ttl <= 0:
            raise _no_lease(lease)
        return float(ttl)

    def revoke(self, lease: int, request_id: str = "") -> int:
        """End the lease, delete its keys in one revision and return the revision. LeaseNotFoundError.

        A request id is remembered right after, not in the same revision.
        """
        check_text(request_id, "request id")
        check_number(lease, "lease")
        if request_id:
            marks = self._client.call("/kv/range", wire.key_request(self._keys.marker(request_id))).get("kvs")
            if marks:
                return int(wire.blob(marks[0]["value"]))
        if int(self._client.call("/lease/timetolive", {"ID": lease}).get("TTL", 0)) < 0:
            raise _no_lease(lease)
        try:
            revision = wire.revision_of(self._client.call("/lease/revoke", {"ID": lease}))
        except LeaseNotFoundError:  # it was there: an attempt whose answer was lost has ended it
            revision = self.revision()
        if request_id:
            marker = self._keys.marker(request_id), str(revision).encode(), self._lease_marker()
            self._client.call("/kv/put", wire.put_request(*marker))
        return revision

    def expire_leases(self) -> int:
        """Nothing to do: the cluster ends leases by itself, up to a second after they lapse."""
        return 0

    def compact(self, revision: int) -> None:
        """Forget what was overwritten or deleted before `revision`, in the whole cluster, other runs' keys included."""
        check_number(revision, "revision")
        self._client.call("/kv/compaction", {"revision": revision}, f"revision {revision}")

    def backup(self, path: Path) -> None:
        """Write etcd's own snapshot of the whole cluster; `etcdctl snapshot restore` makes a cluster of it."""
        unfinished = path.with_name(f"{path.name}.unfinished")
        self.revision()  # a call signs in again where a stream cannot
        with self._client.stream("/maintenance/snapshot", {}, ANSWER_SECONDS) as messages:
            _write_snapshot(unfinished, (wire.blob(message.get("blob", "")) for message in messages))
        unfinished.replace(path)

    def _range(self, request: wire.Json, revision: int) -> Found:
        return self._keys.read_range(self._client.call("/kv/range", request, f"revision {revision}"))

    def _carry_out(self, txn: Txn, lease: int) -> TxnResult:
        outer = self._client.call("/kv/txn", self._keys.mark_txn(txn, lease), _about(txn))
        told = outer["responses"][0]
        if outer.get("succeeded"):
            return self._keys.answer(told["response_txn"], txn, wire.revision_of(outer))
        marker = self._keys.kv(told["response_range"]["kvs"][0])
        succeeded, revision = marker.value == b"1", marker.mod_revision
        branch = txn.success if succeeded else txn.failure
        return TxnResult(succeeded, revision, replay(self, branch, revision))

    def _lease_marker(self, anew: bool = False) -> int:
        """The lease for markers; every one lives at least MARKER_SECONDS / 2, and none for ever."""
        with self._marker_lock:
            if anew or time.monotonic() >= self._marker_until:
                self._marker_lease = self.grant(MARKER_SECONDS)
                self._marker_until = time.monotonic() + MARKER_SECONDS / 2
            return self._marker_lease


def _about(txn: Txn) -> str:
    """What a refused transaction's error names: its leases or its old revisions, of which it seldom has two."""
    ops = txn.success + txn.failure
    leases = [f"lease {op.lease}" for op in ops if isinstance(op, Put) and op.lease]
    revisions = [f"revision {op.revision}" for op in ops if isinstance(op, Get | Range) and op.revision]
    return " or ".join(dict.fromkeys(leases + revisions))


def _no_lease(lease: int) -> LeaseNotFoundError:
    return LeaseNotFoundError(f"lease {lease} has lapsed or never was; grant a new one")


def _write_snapshot(path: Path, blobs: Iterable[bytes]) -> None:
    """A snapshot ends with the SHA-256 of what comes before; StoreError when it is not that."""
    digest, tail = hashlib.sha256(), b""
    with path.open("wb") as file:
        for blob in blobs:
            file.write(blob)
            tail += blob
            digest.update(tail[:-32])
            tail = tail[-32:]
        file.flush()
        os.fsync(file.fileno())
    if digest.digest() != tail:
        raise StoreError(f"{path}: the snapshot arrived damaged; try again")
