"""The store's records as etcd's JSON (grpc-gateway: bytes in base64, 64-bit numbers as text) and back. No connection.

A run's keys all stand under its prefix: `state/<key>` for the store's keys, `request/<id>` for the markers of writes
that were carried out, so that a watch or a range of the store's keys never meets a marker.

    a transaction that may write, under request id R, is sent as
        if request/R does not exist: then, in one revision with it,
            if the compares hold: success..., and put request/R = "1"
            else: failure..., and put request/R = "0"
        else: read request/R, whose mod revision is that of the first attempt

A branch that writes nothing puts no marker; one that only deletes puts it if there is something to delete.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from autoresearch_ray.store.contract import (
    Compare,
    Delete,
    Event,
    EventKind,
    Found,
    Get,
    KeyValue,
    Op,
    Put,
    Range,
    Txn,
    TxnResult,
)

Json = dict[str, Any]

_TARGETS = {"value": "VALUE", "version": "VERSION", "create": "CREATE", "mod": "MOD"}
_OPERANDS = {"value": "value", "version": "version", "create": "create_revision", "mod": "mod_revision"}
_RESULTS = {"==": "EQUAL", "!=": "NOT_EQUAL", "<": "LESS", ">": "GREATER"}


@dataclass(frozen=True, slots=True)
class Keys:
    """Where a run's keys stand in the cluster: under `root`, in bytes."""

    root: bytes

    @property
    def prefix(self) -> bytes:
        return self.root + b"state/"

    def full(self, key: str) -> bytes:
        """The cluster's name of the store's key."""
        return self.prefix + key.encode()

    def marker(self, request_id: str) -> bytes:
        """The cluster's name of a request's marker."""
        return self.root + b"request/" + request_id.encode()

    def kv(self, kv: Json) -> KeyValue:
        """A key as etcd tells it; what is absent is 0 or empty."""
        return KeyValue(
            key=_bytes(kv["key"]).removeprefix(self.prefix).decode(),
            value=_bytes(kv.get("value", "")),
            create_revision=int(kv.get("create_revision", 0)),
            mod_revision=int(kv["mod_revision"]),
            version=int(kv.get("version", 0)),
            lease=int(kv.get("lease", 0)),
        )

    def event(self, event: Json) -> Event:
        """An event of a watch."""
        before = event.get("prev_kv")
        kind: EventKind = "delete" if event.get("type") == "DELETE" else "put"
        return Event(kind, self.kv(event["kv"]), self.kv(before) if before else None)

    def get(self, op: Get) -> Json:
        """A `RangeRequest` for one key."""
        return {"key": _text(self.full(op.key)), "revision": op.revision}

    def range(self, op: Range) -> Json:
        """A `RangeRequest` for the keys under a prefix."""
        first = self.full(op.prefix)
        if op.after:
            first = max(first, self.full(op.after) + b"\0")
        end = _text(prefix_end(self.full(op.prefix)))
        return {"key": _text(first), "range_end": end, "limit": op.limit, "revision": op.revision}

    def read_range(self, answer: Json) -> Found:
        """A `RangeResponse`."""
        kvs = tuple(self.kv(kv) for kv in answer.get("kvs", ()))
        return Found(kvs, int(answer.get("count", 0)), revision_of(answer))

    def txn(self, txn: Txn) -> Json:
        """A `TxnRequest` as it is, without a marker."""
        return {
            "compare": [self._compare(compare) for compare in txn.compare],
            "success": [self._op(op) for op in txn.success],
            "failure": [self._op(op) for op in txn.failure],
        }

    def mark_txn(self, txn: Txn, lease: int) -> Json:
        """A `TxnRequest` that is carried out once for its request id; the marker goes under this lease."""
        marker, inner = self.marker(txn.request_id), self.txn(txn)
        inner["success"] += self._marking(txn.success, _put(marker, b"1", lease))
        inner["failure"] += self._marking(txn.failure, _put(marker, b"0", lease))
        return {
            "compare": [{"key": _text(marker), "target": "VERSION", "result": "EQUAL", "version": 0}],
            "success": [{"request_txn": inner}],
            "failure": [{"request_range": {"key": _text(marker)}}],
        }

    def answer(self, answer: Json, txn: Txn, revision: int) -> TxnResult:
        """A `TxnResponse` to what `txn` made; the marker's own response is left out."""
        succeeded = bool(answer.get("succeeded", False))
        ops = txn.success if succeeded else txn.failure
        responses = answer.get("responses", ())[: len(ops)]
        return TxnResult(
            succeeded, revision, tuple(self._read_found(op, told) for op, told in zip(ops, responses, strict=True))
        )

    def _compare(self, compare: Compare) -> Json:
        operand = _text(compare.operand) if isinstance(compare.operand, bytes) else compare.operand
        return {
            "key": _text(self.full(compare.key)),
            "target": _TARGETS[compare.field],
            "result": _RESULTS[compare.op],
            _OPERANDS[compare.field]: operand,
        }

    def _op(self, op: Op) -> Json:
        if isinstance(op, Put):
            return _put(self.full(op.key), op.value, op.lease, op.previous)
        if isinstance(op, Delete):
            return {"request_delete_range": {**self._deletion(op), "prev_kv": op.previous}}
        return {"request_range": self.get(op) if isinstance(op, Get) else self.range(op)}

    def _deletion(self, op: Delete) -> Json:
        full = self.full(op.key)
        return {"key": _text(full), **({"range_end": _text(prefix_end(full))} if op.prefix else {})}

    def _marking(self, branch: Sequence[Op], mark: Json) -> list[Json]:
        if any(isinstance(op, Put) for op in branch):
            return [mark]
        deletes = [op for op in branch if isinstance(op, Delete)]
        if not deletes:
            return []
        nothing = [
            {**self._deletion(op), "target": "VERSION", "result": "EQUAL", "version": 0} for op in deletes
        ]  # etcd compares before it runs anything, and a range of no keys compares as version 0
        return [{"request_txn": {"compare": nothing, "failure": [mark]}}]

    def _read_found(self, op: Op, response: Json) -> Found:
        if isinstance(op, Put):
            told = response["response_put"]
            replaced = [self.kv(told["prev_kv"])] if "prev_kv" in told else []
            return Found(tuple(replaced), len(replaced), revision_of(told))
        if isinstance(op, Delete):
            told = response["response_delete_range"]
            kvs = tuple(self.kv(kv) for kv in told.get("prev_kvs", ()))
            return Found(kvs, int(told.get("deleted", 0)), revision_of(told))
        return self.read_range(response["response_range"])


def watch_request(first: bytes, end: bytes, start: int, previous: bool) -> Json:
    """A `WatchRequest` for the keys from `first` to before `end`."""
    watch = {"key": _text(first), "range_end": _text(end), "start_revision": start}
    return {"create_request": {**watch, "prev_kv": previous, "fragment": True}}


def now_request(key: bytes, revision: int = 0) -> Json:
    """A `RangeRequest` that reads nothing but the current revision, if this revision can be read."""
    return {"key": _text(key), "count_only": True, "revision": revision}


def key_request(key: bytes) -> Json:
    """A `RangeRequest` for one key of the cluster."""
    return {"key": _text(key)}


def put_request(key: bytes, value: bytes, lease: int = 0) -> Json:
    """A `PutRequest`."""
    request: Json = _put(key, value, lease)["request_put"]
    return request


def revision_of(answer: Json) -> int:
    """The store's revision when this was answered."""
    return int(answer["header"]["revision"])


def blob(text: str) -> bytes:
    """Bytes as etcd's JSON has them."""
    return _bytes(text)


def prefix_end(prefix: bytes) -> bytes:
    """The first key after all those that start with `prefix`, which is never empty or all 0xff here."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1])


def _put(key: bytes, value: bytes, lease: int = 0, previous: bool = False) -> Json:
    return {"request_put": {"key": _text(key), "value": _text(value), "lease": lease, "prev_kv": previous}}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)
