"""The contract of the state store: etcd's model, in the words of etcd.

Values are bytes under str keys. One global revision starts at 1 and grows by one with every committed transaction
that writes something. A key knows the revision that created it, the one that last wrote it and how often it was
written since (its version, 1 again after a delete).

    store.put("program", b"be bold")                                         # -> revision 2
    store.get("program")                                                     # -> KeyValue(..., version=1)
    store.txn([Compare("best", "mod", "==", 7)], [Put("best", b"...")])      # -> TxnResult(succeeded=False, ...)
    found = store.range("queue/")                                            # all of them, at found.revision
    batch = store.watch("queue/", found.revision + 1, timeout_seconds=30)    # what came since; on at batch.revision + 1
    lease = store.grant(ttl_seconds=10); store.put("claim/t1", b"", lease)   # gone when nobody calls keep_alive
    store.keep_alive(lease)                                                  # -> 10.0; store.revoke(lease) ends it now
    store.delete("queue/", prefix=True)                                      # -> how many there were
    store.compact(found.revision)                                            # forget what was replaced before it
    store.backup(Path("state.backup"))                                       # a copy that opens as a store

Rules, all etcd's: a failed compare is an outcome, not an error. A key that does not exist compares as version,
create and mod 0, and its value equals, precedes and follows nothing. The operations of a branch run in order and
see what the earlier ones wrote; the same key put twice, or put and deleted, in one branch is an error. A delete of
nothing makes no revision. Reads below the compacted or above the current revision are errors. A put without lease
detaches the key from the lease that it had, and tells what it replaced only if asked.

A write may carry a `request_id`. The answer of one that wrote is remembered in the same transaction: asked again, it
gets the first answer and writes nothing. (One that wrote nothing has nothing to repeat and is evaluated anew.)

A differential test holds the SQLite store to a real etcd. Differences that are kept, each with its reason:

- Keys are printable text, which is all that a run needs and safe to print. Nested transactions, compares of ranges
  and leases, sort orders and filters are left out: nothing here asks for them. What cannot be meant (a negative
  revision, which etcd reads as now or as compacted, or a number beyond 64 bits) is refused by both (`arguments.py`).
- SQLite ends a lapsed lease before any later write, to the millisecond, so that a writer whose lease has lapsed cannot
  commit; etcd counts whole seconds from about 2 on, and ends a lease up to a second late.
- SQLite keeps the first answer itself, for the last 10,000 writes with an id. etcd has no place for one: there a marker
  is kept for some minutes and the answer read again from the past, so it may be a CompactedError, though nothing is
  written twice. A revoke's id is noted right after it, for etcd's transactions hold no leases.
- On SQLite a watch from the compacted revision itself is complete. etcd before 3.4.36 and 3.5.19 drops the deletes of
  that revision without a word, so the etcd store refuses it with CompactedError.
- A watch without events is complete up to now on SQLite, but on etcd, where only an event proves anything, up to where
  it began (or to a fence, see `etcd/watch.py`).
- SQLite has no limits of size. etcd takes 128 operations in a transaction, two of which the marker needs, and 1.5 MB.
- An etcd cluster has other tenants: revisions grow by what they write, and a compaction is everybody's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar

CompareField = Literal["value", "version", "create", "mod"]
CompareOp = Literal["==", "!=", "<", ">"]
EventKind = Literal["put", "delete"]
_Comparable = TypeVar("_Comparable", bytes, int)


@dataclass(frozen=True, slots=True)
class KeyValue:
    """One key as of some revision. A deleted one (in events) has version, create_revision and lease 0 and no value."""

    key: str
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Compare:
    """A condition of a transaction: bytes for `value`, an integer for the other fields."""

    key: str
    field: CompareField
    op: CompareOp
    operand: bytes | int


@dataclass(frozen=True, slots=True)
class Put:
    """Write a key; `previous` asks for what it replaced."""

    key: str
    value: bytes
    lease: int = 0
    previous: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a key, or all keys that start with it; `previous` asks for what was deleted."""

    key: str
    prefix: bool = False
    previous: bool = False


@dataclass(frozen=True, slots=True)
class Get:
    """Read one key; revision 0 is now."""

    key: str
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Range:
    """Read the keys that start with `prefix` and come after `after`, in key order; limit 0: all, revision 0: now."""

    prefix: str
    limit: int = 0
    revision: int = 0
    after: str = ""


Op = Put | Delete | Get | Range


@dataclass(frozen=True, slots=True)
class Found:
    """The answer to one operation: what was read (or replaced, or deleted, if asked for).

    `count` is the number of keys concerned, also of those beyond a range's limit; `revision` the store's when it was
    answered.
    """

    kvs: tuple[KeyValue, ...]
    count: int
    revision: int


@dataclass(frozen=True, slots=True)
class Txn:
    """A transaction as one record: what `Store.txn` takes."""

    compare: tuple[Compare, ...] = ()
    success: tuple[Op, ...] = ()
    failure: tuple[Op, ...] = ()
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class TxnResult:
    """Which branch ran, the store's revision after it, and the answer to each of the branch's operations."""

    succeeded: bool
    revision: int
    responses: tuple[Found, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """One change of one key; `previous` is what the key was before, if the watch asked and it is not compacted."""

    kind: EventKind
    kv: KeyValue
    previous: KeyValue | None = None


@dataclass(frozen=True, slots=True)
class WatchBatch:
    """All events of the watch up to and including `revision`; the next batch starts at `revision + 1`."""

    events: tuple[Event, ...]
    revision: int


class Reads(Protocol):
    """The part of a store that reports need."""

    def range(self, prefix: str, limit: int = 0, revision: int = 0, after: str = "") -> Found:
        """The keys that start with `prefix` and come after `after`, in key order."""

    def revision(self) -> int:
        """The current revision."""


class Store(Reads, Protocol):
    """What every store does. Errors are StoreError and its children; any thread may call."""

    def txn(
        self, compare: Sequence[Compare], success: Sequence[Op], failure: Sequence[Op] = (), request_id: str = ""
    ) -> TxnResult:
        """If all compares hold, run `success`, else `failure`: atomically, in one revision if it writes."""

    def get(self, key: str, revision: int = 0) -> KeyValue | None:
        """The key at a revision (0: now), or None. CompactedError, FutureRevisionError."""

    def watch(
        self, prefix: str, from_revision: int = 0, timeout_seconds: float = 30.0, previous: bool = False
    ) -> WatchBatch:
        """The events from a revision on (0: after now) as soon as there are some; an empty batch at the timeout.

        No event is lost or repeated when each batch starts at the last one's revision + 1; a batch holds whole
        revisions, in order. CompactedError when `from_revision` is below the compacted revision.
        """

    def grant(self, ttl_seconds: float) -> int:
        """A new lease; keys put with it are deleted, in one revision, when nobody keeps it alive for its TTL."""

    def keep_alive(self, lease: int) -> float:
        """Start the lease's TTL again and return it in seconds. LeaseNotFoundError when it has lapsed."""

    def revoke(self, lease: int, request_id: str = "") -> int:
        """End the lease, delete its keys in one revision and return the revision. LeaseNotFoundError."""

    def expire_leases(self) -> int:
        """End the leases that have lapsed and return how many; a server also does it by itself."""

    def compact(self, revision: int) -> None:
        """Forget what was overwritten or deleted before `revision`. CompactedError, FutureRevisionError."""

    def backup(self, path: Path) -> None:
        """Write a consistent copy that opens as a store, while others go on."""

    def put(self, key: str, value: bytes, lease: int = 0, request_id: str = "") -> int:
        """Write one key and return the revision. LeaseNotFoundError."""
        return self.txn((), (Put(key, value, lease),), (), request_id).revision

    def delete(self, key: str, prefix: bool = False, request_id: str = "") -> int:
        """Delete one key, or all that start with it, and return how many there were."""
        return self.txn((), (Delete(key, prefix),), (), request_id).responses[0].count


def absent(key: str) -> Compare:
    """The key does not exist."""
    return Compare(key, "version", "==", 0)


def present(key: str) -> Compare:
    """The key exists."""
    return Compare(key, "version", ">", 0)


def holds(compare: Compare, kv: KeyValue | None) -> bool:
    """Whether a checked compare holds for the key's current state (None: it does not exist)."""
    if isinstance(compare.operand, bytes):
        return kv is not None and _related(kv.value, compare.op, compare.operand)
    seen = {"version": 0, "create": 0, "mod": 0}
    if kv is not None:
        seen = {"version": kv.version, "create": kv.create_revision, "mod": kv.mod_revision}
    return _related(seen[compare.field], compare.op, compare.operand)


def _related(left: _Comparable, op: CompareOp, right: _Comparable) -> bool:
    if op == "==":
        return left == right
    if op == "!=":
        return left != right
    return left < right if op == "<" else left > right
