"""What one store, alone, would have answered: the model that recorded histories are checked against.

A write whose answer never came has an UNKNOWN revision until somebody reads the key.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from linearizability import Changes, Operation

from autoresearch_ray.store.contract import Compare, Delete, Found, Get, KeyValue, Op, Put, holds

UNKNOWN = -1


class _Contradiction(Exception):  # an outcome of the search, not an error
    pass


def outcomes(kvs: Mapping[str, KeyValue], operation: Operation) -> Iterator[Changes]:
    """What the operation may change without contradicting its answer; {}: it fits and changes nothing."""
    for succeeded in (operation.answer.succeeded,) if operation.answer else (True, False):
        run = _Run(kvs, operation)
        try:
            run.compare(succeeded)
            run.branch(succeeded)
        except _Contradiction:
            continue
        yield run.changes


class _Run:
    """One transaction on the keys; `changes` is what it wrote or told."""

    def __init__(self, kvs: Mapping[str, KeyValue], operation: Operation) -> None:
        self._kvs = kvs
        self._txn, self._answer = operation.txn, operation.answer
        self.changes: Changes = {}

    def compare(self, succeeded: bool) -> None:
        if succeeded:
            for compare in self._txn.compare:
                if not _may_hold(compare, self._get(compare.key)):
                    raise _Contradiction
                self._learn_revision(compare)
        elif all(_must_hold(compare, self._get(compare.key)) for compare in self._txn.compare):
            raise _Contradiction

    def branch(self, succeeded: bool) -> None:
        branch = self._txn.success if succeeded else self._txn.failure
        for place, op in enumerate(branch):
            seen = self._answer.responses[place] if self._answer else None
            if isinstance(op, Put):
                self._put(op, seen)
            elif isinstance(op, Delete):
                self._delete(op, seen)
            elif seen is not None:
                self._read(op, seen)

    def _put(self, op: Put, seen: Found | None) -> None:
        before, revision = self._get(op.key), self._revision()
        if seen is not None:
            replaced = [before] if before and op.previous else []
            self._check(seen, replaced, len(replaced))
        created, version = (before.create_revision, before.version + 1) if before else (revision, 1)
        self.changes[op.key] = KeyValue(op.key, op.value, created, revision, version, op.lease)

    def _delete(self, op: Delete, seen: Found | None) -> None:
        gone = self._under(op.key) if op.prefix else [kv for kv in [self._get(op.key)] if kv]
        if seen is not None:
            self._check(seen, gone if op.previous else [], len(gone))
        for kv in gone:
            self.changes[kv.key] = None

    def _read(self, op: Op, seen: Found) -> None:
        assert not isinstance(op, Put | Delete)
        assert op.revision == 0, f"a read of the past is not in the model: {op}"
        if isinstance(op, Get):
            kv = self._get(op.key)
            self._check(seen, [kv] if kv else [], int(kv is not None))
        else:
            kvs = [kv for kv in self._under(op.prefix) if kv.key > op.after]
            self._check(seen, kvs[: op.limit or None], len(kvs))

    def _check(self, seen: Found, kvs: list[KeyValue], count: int) -> None:
        if seen.count != count or len(seen.kvs) != len(kvs):
            raise _Contradiction
        for told, held in zip(seen.kvs, kvs, strict=True):
            if told != held:
                if not _may_be(held, told):
                    raise _Contradiction
                self.changes[told.key] = told

    def _get(self, key: str) -> KeyValue | None:
        return self.changes[key] if key in self.changes else self._kvs.get(key)

    def _under(self, prefix: str) -> list[KeyValue]:
        keys = {key for kvs in (self._kvs, self.changes) for key in kvs if key.startswith(prefix)}
        return [kv for kv in map(self._get, sorted(keys)) if kv]

    def _revision(self) -> int:
        return self._answer.revision if self._answer else UNKNOWN

    def _learn_revision(self, compare: Compare) -> None:
        kv = self._get(compare.key)
        if kv and kv.mod_revision == UNKNOWN and (compare.field, compare.op) == ("mod", "=="):
            assert isinstance(compare.operand, int)
            self.changes[kv.key] = replace(kv, mod_revision=compare.operand)


def _may_hold(compare: Compare, kv: KeyValue | None) -> bool:
    return _is_unknown(compare, kv) or holds(compare, kv)


def _must_hold(compare: Compare, kv: KeyValue | None) -> bool:
    return not _is_unknown(compare, kv) and holds(compare, kv)


def _is_unknown(compare: Compare, kv: KeyValue | None) -> bool:
    if kv is None:
        return False
    return UNKNOWN in {"mod": (kv.mod_revision,), "create": (kv.create_revision,)}.get(compare.field, ())


def _may_be(held: KeyValue, told: KeyValue) -> bool:
    """Whether what was told is what is held, as far as that is known."""
    created = told.create_revision if held.create_revision == UNKNOWN else held.create_revision
    modified = told.mod_revision if held.mod_revision == UNKNOWN else held.mod_revision
    return told == replace(held, create_revision=created, mod_revision=modified)
