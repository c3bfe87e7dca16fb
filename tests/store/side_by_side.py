"""Two stores side by side: each operation is carried out on both, and what they answer is compared.

Differences that are meant stand in the docstring of `store/contract.py`, and are here where a comment says "kept".
"""

import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from sequences import Compact, Grant, Operation, Renew, Repeat, Revoke, Watch, Write

from autoresearch_ray.common.errors import CompactedError, StoreError
from autoresearch_ray.store.contract import (
    Compare,
    Event,
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

NOBODYS_LEASE = 999_999
TTL = 3_600.0


class Side:
    """One of the two stores, spoken to in the other's numbers: revisions from 1 on, leases by their place."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.shift = store.revision() - 1
        self.leases: list[int] = []  # all that were granted
        self.places: dict[int, int] = {}

    def there(self, revision: int) -> int:
        return revision + self.shift if revision > 0 else revision

    def grant(self, place: int) -> None:
        self.places[place] = self.store.grant(TTL)
        self.leases.append(self.places[place])

    def lease(self, place: int) -> int:
        return self.places.get(place, NOBODYS_LEASE)

    def txn(self, txn: Txn) -> TxnResult:
        compare = tuple(self._compare(compare) for compare in txn.compare)
        success, failure = (tuple(self._op(op) for op in branch) for branch in (txn.success, txn.failure))
        answer = self.store.txn(compare, success, failure, request_id=txn.request_id)
        found = tuple(self.found(found) for found in answer.responses)
        return TxnResult(answer.succeeded, answer.revision - self.shift, found)

    def found(self, found: Found) -> Found:
        return Found(tuple(self.kv(kv) for kv in found.kvs), found.count, found.revision - self.shift)

    def kv(self, kv: KeyValue) -> KeyValue:
        lease = self.leases.index(kv.lease) + 1 if kv.lease else 0
        created = kv.create_revision and kv.create_revision - self.shift
        return replace(kv, create_revision=created, mod_revision=kv.mod_revision - self.shift, lease=lease)

    def events(self, batch: WatchBatch, until: int) -> list[Event]:
        events = [
            Event(event.kind, self.kv(event.kv), self.kv(event.previous) if event.previous else None)
            for event in batch.events
        ]
        return [event for event in events if event.kv.mod_revision <= until]

    def _compare(self, compare: Compare) -> Compare:
        if isinstance(compare.operand, int) and compare.field != "version":
            return replace(compare, operand=self.there(compare.operand))
        return compare

    def _op(self, op: Op) -> Op:
        if isinstance(op, Put) and op.lease:
            return replace(op, lease=self.lease(op.lease))
        if isinstance(op, Get | Range):
            return replace(op, revision=self.there(op.revision))
        return op


class Pair:
    """Ours and the real one, compared with every operation."""

    def __init__(self, ours: Store, theirs: Store, pool: ThreadPoolExecutor) -> None:
        self.ours, self.theirs = Side(ours), Side(theirs)
        self.pool = pool
        self.compacted = 0
        self.sent: list[tuple[Txn, int]] = []  # and the revision that each made
        self.watches: list[Callable[[], None]] = []
        self.done = 0
        self.run(Grant(1))

    def run(self, operation: Operation) -> None:
        self.done += 1
        if isinstance(operation, Get):
            get = replace(operation, revision=self.revision(operation.revision))
            self.both(lambda side: _maybe(side, side.store.get(get.key, side.there(get.revision))))
        elif isinstance(operation, Range):
            scan = replace(operation, revision=self.revision(operation.revision))
            revision = scan.revision
            self.both(lambda s: s.found(s.store.range(scan.prefix, scan.limit, s.there(revision), scan.after)))
        elif isinstance(operation, Write):
            self.write(self.dated(operation.txn))
        elif isinstance(operation, Repeat):
            self.repeat(operation.back)
        elif isinstance(operation, Grant):
            self.both(lambda side: side.grant(operation.lease))
        elif isinstance(operation, Renew):
            self.both(lambda side: side.store.keep_alive(side.lease(operation.lease)))
        elif isinstance(operation, Revoke):
            self.both(lambda side: side.store.revoke(side.lease(operation.lease)) - side.shift)
        elif isinstance(operation, Compact):
            self.compact(self.revision(operation.age) or self.now())
        elif isinstance(operation, Watch):
            start = self.revision(operation.age) or self.now() + 1
            if operation.compacted:
                start = max(1, self.compacted + operation.age % 4)
            self.watch(operation.prefix, start, operation.previous)

    def write(self, txn: Txn) -> None:
        answer = self.both(lambda side: side.txn(txn))
        if isinstance(answer, TxnResult):
            self.sent.append((txn, answer.revision))

    def repeat(self, back: int) -> None:
        if back > len(self.sent):
            self.done -= 1
            return
        txn, revision = self.sent[-back]
        ours, theirs = outcome(lambda: self.ours.txn(txn)), outcome(lambda: self.theirs.txn(txn))
        past = [op.revision for op in txn.success + txn.failure if isinstance(op, Get | Range) and op.revision]
        if theirs is CompactedError and min([revision - 1, *past]) < self.compacted:
            return  # kept: etcd's answer is read again from the past
        assert theirs == ours, f"{txn} of revision {revision}, repeated: etcd says {theirs}, ours {ours}"

    def compact(self, revision: int) -> None:
        self.settle_watches()
        answer = self.both(lambda side: side.store.compact(side.there(revision)))
        if answer is None:
            self.compacted = revision

    def watch(self, prefix: str, start: int, previous: bool) -> None:
        """Begin a watch of etcd; it goes on beside later operations, as one does."""
        now = self.now()
        if start == self.compacted:  # kept: etcd before 3.4.36 and 3.5.19 drops the deletes of this revision
            expected: object = CompactedError
            wait = 0.0
        else:
            batch = outcome(lambda: self.ours.store.watch(prefix, start, 0, previous))
            expected = self.ours.events(batch, now) if isinstance(batch, WatchBatch) else batch
            wait = 10.0 if expected else 0.0
        answer: Future[Any] = self.pool.submit(
            lambda: outcome(lambda: self.theirs.store.watch(prefix, self.theirs.there(start), wait, previous))
        )

        def check() -> None:
            batch = answer.result()
            seen = self.theirs.events(batch, now) if isinstance(batch, WatchBatch) else batch
            assert seen == expected, f"watch of {prefix!r} from {start}: etcd says {seen}, ours {expected}"

        self.watches.append(check)

    def settle_watches(self) -> None:
        while self.watches:
            self.watches.pop()()

    def both(self, ask: Callable[[Side], Any]) -> Any:
        ours, theirs = outcome(lambda: ask(self.ours)), outcome(lambda: ask(self.theirs))
        assert theirs == ours, f"etcd says {theirs}, ours {ours}"
        return ours

    def now(self) -> int:
        return self.ours.store.revision()

    def revision(self, age: int) -> int:
        return max(1, self.now() - age + 1) if age > 0 else self.now() - age if age < 0 else 0

    def dated(self, txn: Txn) -> Txn:
        def dated(op: Op) -> Op:
            return replace(op, revision=self.revision(op.revision)) if isinstance(op, Get | Range) else op

        def compared(compare: Compare) -> Compare:
            if isinstance(compare.operand, int) and compare.field != "version":
                return replace(compare, operand=self.revision(compare.operand))
            return compare

        return Txn(
            tuple(compared(compare) for compare in txn.compare),
            tuple(dated(op) for op in txn.success),
            tuple(dated(op) for op in txn.failure),
            uuid.uuid4().hex,
        )


def outcome(ask: Callable[[], Any]) -> Any:
    """The answer, or the kind of the refusal."""
    try:
        return ask()
    except StoreError as error:
        return "duplicate key" if "duplicate key" in str(error) else type(error)


def _maybe(side: Side, kv: KeyValue | None) -> KeyValue | None:
    return side.kv(kv) if kv else None
