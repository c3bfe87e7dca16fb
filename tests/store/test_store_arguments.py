"""What cannot be meant is refused by every store, and fails nobody else's request."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoresearch_ray.common.errors import CompactedError, StoreError
from autoresearch_ray.store.contract import Compare, Delete, Get, Put, Range, Store, Txn, TxnResult
from autoresearch_ray.store.sqlite.store import SqliteStore

LONE = "\ud800"  # half of a character: text for Python, but for no encoding
ANY: Any = None

ODD_TXNS = [
    Txn((), (Range(LONE),)),
    Txn((), (Range("a", after=LONE),)),
    Txn((), (Range("a", limit=2**63),)),
    Txn((), (Range("a", limit=-1),)),
    Txn((), (Range("a", revision=2**63),)),
    Txn((), (Range("a\0"),)),
    Txn((), (Get("a", revision=-2),)),
    Txn((), (Get("a", revision=2**70),)),
    Txn((), (Get(LONE),)),
    Txn((), (Delete(LONE, prefix=True),)),
    Txn((), (Delete(LONE),)),
    Txn((), (Put(LONE, b""),)),
    Txn((), (Put("a", b"", lease=2**63),)),
    Txn((), (Put("a", b"", lease=-1),)),
    Txn((), (Put("a", ANY),)),
    Txn((), (Put(ANY, b""),)),
    Txn((), (), (Range(LONE),)),
    Txn((), (ANY,)),
    Txn((Compare(LONE, "mod", "==", 1),)),
    Txn((Compare("a", "mod", "==", 2**63),)),
    Txn((Compare("a", "mod", "==", True),)),
    Txn((Compare("a", ANY, "==", 1),)),
    Txn((Compare("a", "mod", ANY, 1),)),
    Txn((), (Put("a", b""),), (), LONE),
]
ODD_CALLS: list[Callable[[Store], object]] = [
    lambda store: store.range(LONE),
    lambda store: store.range("a", limit=2**63),
    lambda store: store.range("a", revision=-1),
    lambda store: store.get("a", 2**63),
    lambda store: store.get(LONE),
    lambda store: store.watch(LONE, 1, 0),
    lambda store: store.watch("a", 2**63, 0),
    lambda store: store.watch("a", 1, math.nan),
    lambda store: store.grant(math.inf),
    lambda store: store.grant(math.nan),
    lambda store: store.grant(1e30),
    lambda store: store.keep_alive(2**63),
    lambda store: store.revoke(2**63),
    lambda store: store.revoke(1, LONE),
    lambda store: store.compact(2**63),
    lambda store: store.compact(-1),
]


def test_every_odd_request_is_a_store_error_and_writes_nothing(store: Store) -> None:
    before = store.put("kept", b"")
    for txn in ODD_TXNS:
        with pytest.raises(StoreError):
            store.txn(txn.compare, txn.success, txn.failure, txn.request_id)
    for call in ODD_CALLS:
        with pytest.raises(StoreError):
            call(store)
    assert store.revision() == before


def test_an_odd_request_fails_no_other_of_its_group_commit(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "state.db") as store:
        crowd = [part for number, odd in enumerate(ODD_TXNS) for part in (odd, Txn((), (Put(f"k/{number}", b""),)))]
        answers = store.commit(crowd)
        assert all(isinstance(answer, StoreError) for answer in answers[::2])
        assert all(isinstance(answer, TxnResult) for answer in answers[1::2])
        assert store.range("k/").count == len(ODD_TXNS)


def test_the_first_compaction_may_be_of_revision_zero_as_in_etcd(file_store: Store) -> None:
    file_store.compact(0)
    with pytest.raises(CompactedError):
        file_store.compact(0)
