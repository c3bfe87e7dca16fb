"""What may be asked of a store: every field is looked at before anything is read, so that each store refuses the same.

A request that is refused here is refused alone: it reaches no group of requests that would fail with it.
"""

from collections.abc import Sequence

from autoresearch_ray.common.errors import StoreError
from autoresearch_ray.store.contract import Compare, Delete, Get, Op, Put, Range, Txn

BIGGEST = 2**63 - 1  # of revisions, limits, leases and operands
LONGEST_LEASE_SECONDS = 9_000_000_000  # etcd's
LARGEST_VALUE_BYTES = 500_000_000  # half of what SQLite takes in a row, for answers keep values in base64

_RELATIONS = ("==", "!=", "<", ">")
_NUMBERS = ("version", "create", "mod")


def check_txn(txn: Txn) -> None:
    """StoreError unless every compare and operation is one, of fields that can be meant."""
    check_text(txn.request_id, "request id")
    for compare in txn.compare:
        _check_compare(compare)
    for branch in (txn.success, txn.failure):
        for op in branch:
            _check_op(op)
        _check_doubles(branch)


def check_key(key: object) -> None:
    """StoreError unless it is one: printable text, at least a character."""
    if not isinstance(key, str) or not key or not key.isprintable():
        raise StoreError(f"{key!r} is no key; expected printable text, at least one character")


def check_text(text: object, what: str) -> None:
    """StoreError unless it is printable text, perhaps none."""
    if not isinstance(text, str) or not text.isprintable():
        raise StoreError(f"{text!r} is no {what}; expected printable text")


def check_number(number: object, what: str, least: int = 0) -> None:
    """StoreError unless it is a whole number from `least` on, of 64 bits."""
    if type(number) is not int or not least <= number <= BIGGEST:
        raise StoreError(f"{number!r} is no {what}; expected a whole number from {least} to 2**63 - 1")


def check_range(prefix: object, limit: object = 0, revision: object = 0, after: object = "") -> None:
    """StoreError unless it can be read."""
    check_text(prefix, "prefix")
    check_number(limit, "limit")
    check_number(revision, "revision")
    check_text(after, "key to go on after")


def check_watch(prefix: object, from_revision: object, timeout_seconds: float) -> None:
    """StoreError unless it can be waited for."""
    check_range(prefix, revision=from_revision)
    if not timeout_seconds >= 0:
        raise StoreError(f"a watch of {timeout_seconds} s; expected 0 or more")


def check_ttl(ttl_seconds: float) -> None:
    """StoreError unless a lease may live so long."""
    if not 0 < ttl_seconds <= LONGEST_LEASE_SECONDS:
        raise StoreError(f"a lease of {ttl_seconds} s; expected more than 0, and at most {LONGEST_LEASE_SECONDS:,}")


def _check_compare(compare: Compare) -> None:
    check_key(compare.key)
    numbers = compare.field in _NUMBERS
    if compare.op not in _RELATIONS or not (numbers or compare.field == "value"):
        raise StoreError(f"{compare} compares nothing; expected value, {', '.join(_NUMBERS)} by {' '.join(_RELATIONS)}")
    if not isinstance(compare.operand, int if numbers else bytes):
        raise StoreError(f"{compare.field} of {compare.key!r} cannot compare with {compare.operand!r}")
    if numbers:
        check_number(compare.operand, "operand", least=-BIGGEST - 1)


def _check_op(op: Op) -> None:
    if isinstance(op, Put):
        check_key(op.key)
        check_number(op.lease, "lease")
        if not isinstance(op.value, bytes) or len(op.value) > LARGEST_VALUE_BYTES:
            seen = f"{len(op.value):,} bytes" if isinstance(op.value, bytes) else repr(op.value)
            raise StoreError(f"{op.key!r} cannot hold {seen}; expected bytes, at most {LARGEST_VALUE_BYTES:,}")
    elif isinstance(op, Range):
        check_range(op.prefix, op.limit, op.revision, op.after)
    elif isinstance(op, Delete) and op.prefix:
        check_text(op.key, "prefix")
    elif isinstance(op, Delete | Get):
        check_key(op.key)
        check_number(op.revision if isinstance(op, Get) else 0, "revision")
    else:
        raise StoreError(f"{op!r} is no operation; expected Put, Delete, Get or Range")


def _check_doubles(branch: Sequence[Op]) -> None:
    """Refuse a branch that puts a key twice, or puts and deletes it."""
    puts: set[str] = set()
    for op in branch:
        if isinstance(op, Put):
            if op.key in puts:
                raise StoreError(f"duplicate key in one transaction: {op.key!r} is put twice")
            puts.add(op.key)
    for op in branch:
        if isinstance(op, Delete):
            hit = [key for key in puts if (key.startswith(op.key) if op.prefix else key == op.key)]
            if hit:
                raise StoreError(f"duplicate key in one transaction: {hit[0]!r} is put and deleted")
