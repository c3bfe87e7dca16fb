"""The answer to a write that was carried out, but whose answer was lost, put together again from the store's past.

A marker tells which branch ran and which revision it made. What the branch read and replaced stands in that revision
and the one before it, as long as they are not compacted.
"""

from collections.abc import Sequence

from autoresearch_ray.store.contract import Delete, Found, Get, KeyValue, Op, Put, Range, Store


def replay(past: Store, branch: Sequence[Op], revision: int) -> tuple[Found, ...]:
    """What the operations of this branch answered when they made this revision. CompactedError."""
    answers: list[Found] = []
    written: list[Put | Delete] = []
    now = revision - 1  # until the first operation that changes something
    for op in branch:
        if isinstance(op, Get | Range):
            answers.append(_read(past, op, written, revision, now))
            continue
        asked = op.previous or isinstance(op, Delete)
        kvs = _view(past, op.key, isinstance(op, Delete) and op.prefix, written, revision) if asked else ()
        if isinstance(op, Put) or kvs:
            now = revision
        written.append(op)
        answers.append(Found(kvs if op.previous else (), len(kvs), now))
    return tuple(answers)


def _read(past: Store, op: Get | Range, written: Sequence[Put | Delete], revision: int, now: int) -> Found:
    if isinstance(op, Get):
        at = (op.key, False)
    else:
        at = (op.prefix, True)
    kvs = _living(past, *at, op.revision) if op.revision else _view(past, *at, written, revision)
    if isinstance(op, Range):
        kvs = tuple(kv for kv in kvs if kv.key > op.after)
        return Found(kvs[: op.limit or None], len(kvs), now)
    return Found(kvs, len(kvs), now)


def _view(past: Store, key: str, prefix: bool, written: Sequence[Put | Delete], revision: int) -> tuple[KeyValue, ...]:
    """The keys as they were when the branch had written this much: its own writes are of `revision`, the rest older."""
    seen = [kv for kv in _living(past, key, prefix, revision - 1) if not _touched(kv.key, written)]
    if written:
        seen += [kv for kv in _living(past, key, prefix, revision) if _touched(kv.key, written)]
    return tuple(sorted(seen, key=lambda kv: kv.key))


def _living(past: Store, key: str, prefix: bool, revision: int) -> tuple[KeyValue, ...]:
    if prefix:
        return past.range(key, revision=revision).kvs
    kv = past.get(key, revision)
    return (kv,) if kv else ()


def _touched(key: str, written: Sequence[Put | Delete]) -> bool:
    return any(key.startswith(op.key) if isinstance(op, Delete) and op.prefix else key == op.key for op in written)
