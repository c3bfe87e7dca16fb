"""The store on one SQLite file: write-ahead log, full sync, one writer. No Ray.

    with SqliteStore(run_dir / "state.db") as store:
        store.put("program", b"be bold")

A file lock keeps a second writer out; readers (`reads.open_readonly`) may come and go. Reads see committed state
alone, on a connection of their own, so they never wait for a sync. `commit` takes many transactions at once and pays
one sync for all (group commit): each has its own revision, and all are on disk when it returns.

The clock is passed in and needs no epoch, for deadlines of leases live in memory: opening the file gives every lease
its full TTL again, as a new leader of etcd does. A lapsed lease is ended before any later write is looked at, so a
writer whose lease has lapsed cannot write with it.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from os.path import samestat
from pathlib import Path
from typing import Self

from autoresearch_ray.common.errors import (
    CompactedError,
    DamagedStoreError,
    FutureRevisionError,
    LeaseNotFoundError,
    StoreError,
)
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
    holds,
)
from autoresearch_ray.store.sqlite import files, reads, writes
from autoresearch_ray.store.sqlite.errors import storage_errors


@dataclass(frozen=True, slots=True)
class _Lease:
    ttl_seconds: float
    deadline: float  # on the store's clock


class SqliteStore(Store):
    """One file, one writer. Any thread may call; writes take turns."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic, synced: bool = True) -> None:
        """Not `synced`, it outlives its process and not its machine: for what can be made again, as a simulation."""
        self.path = path
        self._clock = clock
        self._file_lock = files.lock_file(path)
        with ExitStack() as undo, storage_errors(path):
            undo.callback(self._file_lock.release)
            if not path.exists():
                files.create(path)
            self._writer, self._reader = files.open_for_writing(path, synced)
            undo.callback(self._writer.close)
            undo.callback(self._reader.close)
            rows = self._writer.execute("SELECT id, ttl_seconds FROM leases").fetchall()
            self._opened = path.stat()
            undo.pop_all()
        self._leases = {int(lease): _Lease(ttl, clock() + ttl) for lease, ttl in rows}
        self._write_lock, self._read_lock, self._lease_lock = threading.Lock(), threading.Lock(), threading.Lock()
        self._changed = threading.Condition()

    def close(self) -> None:
        """Fold the log into the file and let another writer in; the store is unusable afterwards."""
        with self._write_lock, self._read_lock, storage_errors(self.path):
            self._reader.close()
            self._writer.close()
        self._file_lock.release()

    def is_in_place(self) -> bool:
        """Whether the file at the path is the one that is open, and not another that was put there since."""
        try:
            return samestat(self.path.stat(), self._opened)
        except OSError:
            return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def revision(self) -> int:
        with self._reading() as connection:
            return reads.current_revision(connection)

    def get(self, key: str, revision: int = 0) -> KeyValue | None:
        check_key(key)
        check_number(revision, "revision")
        with self._reading() as connection:
            reads.check_revision(connection, revision)
            return reads.get_at(connection, key, revision)

    def range(self, prefix: str, limit: int = 0, revision: int = 0, after: str = "") -> Found:
        check_range(prefix, limit, revision, after)
        with self._reading() as connection:
            reads.check_revision(connection, revision)
            return reads.range_at(connection, prefix, limit, revision, after)

    def events(self, prefix: str, from_revision: int, previous: bool = False) -> WatchBatch:
        """The events there are from a revision on, perhaps none; never waits. CompactedError."""
        check_range(prefix, revision=from_revision)
        with self._reading() as connection:
            return reads.events_from(connection, prefix, from_revision, previous)

    def watch(
        self, prefix: str, from_revision: int = 0, timeout_seconds: float = 30.0, previous: bool = False
    ) -> WatchBatch:
        check_watch(prefix, from_revision, timeout_seconds)
        start = from_revision or self.revision() + 1
        deadline = time.monotonic() + timeout_seconds
        with self._changed:
            while True:
                batch = self.events(prefix, start, previous)
                left = deadline - time.monotonic()
                if batch.events or left <= 0:
                    return batch
                self._changed.wait(left)

    def txn(
        self, compare: Sequence[Compare], success: Sequence[Op], failure: Sequence[Op] = (), request_id: str = ""
    ) -> TxnResult:
        (answer,) = self.commit([Txn(tuple(compare), tuple(success), tuple(failure), request_id)])
        if isinstance(answer, StoreError):
            raise answer
        return answer

    def commit(self, txns: Sequence[Txn]) -> list[TxnResult | StoreError]:
        """Run transactions in order with one sync at the end; one that is refused or fails stops no other."""
        try:
            with self._writing() as connection:
                return [self._answer(connection, txn) for txn in txns]
        except DamagedStoreError as error:  # met by one of them; nothing is written yet
            if not txns:
                raise
            return [error] if len(txns) == 1 else [answer for txn in txns for answer in self.commit([txn])]

    def grant(self, ttl_seconds: float) -> int:
        check_ttl(ttl_seconds)
        with self._writing() as connection:
            lease = writes.grant(connection, ttl_seconds)
        with self._lease_lock:
            self._leases[lease] = _Lease(ttl_seconds, self._clock() + ttl_seconds)
        return lease

    def keep_alive(self, lease: int) -> float:
        check_number(lease, "lease")
        with self._lease_lock:
            now, held = self._clock(), self._leases.get(lease)
            if held is None or held.deadline <= now:
                raise _no_lease(lease)
            self._leases[lease] = _Lease(held.ttl_seconds, now + held.ttl_seconds)
            return held.ttl_seconds

    def renew_leases(self) -> None:
        """Give every lease its full TTL again, as opening the file does."""
        with self._lease_lock:
            now = self._clock()
            for lease, held in self._leases.items():
                self._leases[lease] = _Lease(held.ttl_seconds, now + held.ttl_seconds)

    def revoke(self, lease: int, request_id: str = "") -> int:
        check_text(request_id, "request id")
        check_number(lease, "lease")
        with self._writing() as connection:
            answer = writes.recall(connection, request_id)
            if answer is None:
                with self._lease_lock:
                    if self._leases.pop(lease, None) is None:
                        raise _no_lease(lease)
                writes.end_lease(connection, lease)
                answer = TxnResult(True, reads.current_revision(connection), ())
                writes.remember(connection, request_id, answer)
            return answer.revision

    def expire_leases(self) -> int:
        with self._lease_lock:
            now = self._clock()
            lapsed = sum(lease.deadline <= now for lease in self._leases.values())
        if lapsed:
            self.commit([])  # any write ends the lapsed ones first
        return lapsed

    def compact(self, revision: int) -> None:
        check_number(revision, "revision")
        with self._writing() as connection:
            now, compacted = reads.current_revision(connection), reads.read_compaction(connection)
            if revision > now:
                raise FutureRevisionError(f"revision {revision} does not exist yet; the newest is {now}")
            if revision <= compacted:
                raise CompactedError(f"revision {revision} was compacted away; the oldest is {compacted}")
            writes.compact(connection, compacted, revision)

    def backup(self, path: Path) -> None:
        files.copy(self.path, path)

    def _answer(self, connection: sqlite3.Connection, txn: Txn) -> TxnResult | StoreError:
        try:
            check_txn(txn)
            return writes.recall(connection, txn.request_id) or self._run(connection, txn)
        except StoreError as error:  # raised before the transaction's first write
            return error

    def _run(self, connection: sqlite3.Connection, txn: Txn) -> TxnResult:
        succeeded = all(holds(compare, reads.get_at(connection, compare.key)) for compare in txn.compare)
        branch = txn.success if succeeded else txn.failure
        for op in branch:
            if isinstance(op, Put) and op.lease and op.lease not in self._leases:
                raise _no_lease(op.lease)
        for op in branch:
            if isinstance(op, Get | Range):
                reads.check_revision(connection, op.revision)
        before = reads.current_revision(connection)
        responses = tuple(writes.run_op(connection, op, before + 1) for op in branch)
        answer = TxnResult(succeeded, reads.current_revision(connection), responses)
        if answer.revision > before:
            writes.remember(connection, txn.request_id, answer)
        return answer

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._read_lock, storage_errors(self.path), reads.snapshot(self._reader):
            yield self._reader

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One SQL transaction, synced to disk at its end; leases that have lapsed end in it first."""
        with self._write_lock, storage_errors(self.path):
            self._writer.execute("BEGIN IMMEDIATE")
            with self._lease_lock:
                before, now = dict(self._leases), self._clock()
                lapsed = [lease for lease, held in before.items() if held.deadline <= now]
                for lease in lapsed:
                    del self._leases[lease]
            try:
                for lease in lapsed:
                    writes.end_lease(self._writer, lease)
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                with self._lease_lock:
                    self._leases = {**before, **self._leases}
                raise
        with self._changed:
            self._changed.notify_all()


def _no_lease(lease: int) -> LeaseNotFoundError:
    return LeaseNotFoundError(f"lease {lease} has lapsed or never was; grant a new one")
