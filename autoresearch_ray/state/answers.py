"""The answers to writes, as JSON: what the SQLite store remembers for retried requests."""

import base64
import json
from typing import Any

from autoresearch_ray.state.store import Found, KeyValue, TxnResult


def answer_to_json(answer: TxnResult) -> str:
    """One line of JSON; values in base64."""
    responses = [[[_kv_to_list(kv) for kv in found.kvs], found.count, found.revision] for found in answer.responses]
    return json.dumps([answer.succeeded, answer.revision, responses], separators=(",", ":"))


def answer_from_json(text: str) -> TxnResult:
    """What `answer_to_json` wrote."""
    succeeded, revision, responses = json.loads(text)
    found = tuple(Found(tuple(_kv_from_list(kv) for kv in kvs), count, at) for kvs, count, at in responses)
    return TxnResult(succeeded, revision, found)


def _kv_to_list(kv: KeyValue) -> list[Any]:
    value = base64.b64encode(kv.value).decode()
    return [kv.key, value, kv.create_revision, kv.mod_revision, kv.version, kv.lease]


def _kv_from_list(fields: list[Any]) -> KeyValue:
    key, value, *numbers = fields
    return KeyValue(key, base64.b64decode(value), *numbers)
