"""Clients of a store that write down what they asked and heard, for the checker in linearizability.py."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from linearizability import Operation
from state_records import proposal, result, trial

from autoresearch_ray.common.errors import StoreError
from autoresearch_ray.records.trials import Candidate
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.contract import Compare, Delete, Found, Get, KeyValue, Op, Put, Range, Store, Txn, TxnResult

CLIENTS = 3  # of each kind, in one place
REGISTERS = 3
PAUSE_SECONDS = 0.01  # at most, between two operations of one client
WAITING = 5  # proposals that the queue's clients keep waiting

T = TypeVar("T")


class RecordingStore(Store):
    """Another store's transactions and present reads, with their times (of the machine's monotonic clock)."""

    def __init__(self, store: Store, client: str) -> None:
        self._store = store
        self.client = client
        self.operations: list[Operation] = []

    def txn(
        self, compare: Sequence[Compare], success: Sequence[Op], failure: Sequence[Op] = (), request_id: str = ""
    ) -> TxnResult:
        txn = Txn(tuple(compare), tuple(success), tuple(failure))
        return self._recorded(txn, lambda: self._store.txn(compare, success, failure), lambda answer: answer)

    def get(self, key: str, revision: int = 0) -> KeyValue | None:
        txn = Txn(success=(Get(key, revision),))
        return self._recorded(txn, lambda: self._store.get(key, revision), _told_by_get)

    def range(self, prefix: str, limit: int = 0, revision: int = 0, after: str = "") -> Found:
        txn = Txn(success=(Range(prefix, limit, revision, after),))
        read = self._store.range
        return self._recorded(txn, lambda: read(prefix, limit, revision, after), _told_by_range)

    def _not_recorded(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("the checker would not know of it")

    revision = watch = grant = keep_alive = revoke = expire_leases = compact = backup = _not_recorded

    def _recorded(self, txn: Txn, ask: Callable[[], T], told: Callable[[T], TxnResult]) -> T:
        called = time.monotonic()
        try:
            answer = ask()
        except StoreError:  # it may have happened, or happen yet
            self.operations.append(Operation(self.client, txn, called))
            raise
        self.operations.append(Operation(self.client, txn, called, time.monotonic(), told(answer)))
        return answer


def run_clients(patient: Store, impatient: Store, stop: Path, place: str) -> list[Operation]:
    """CLIENTS threads on each kind of work, one in three impatient, until the file `stop` exists. Their operations."""
    stores = (patient, impatient, patient)
    recording = [
        RecordingStore(stores[number % 3], f"{work} {place} {number}")
        for work in ("register", "queue")
        for number in range(CLIENTS)
    ]
    threads = [threading.Thread(target=_repeat, args=(store, stop)) for store in recording]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [operation for store in recording for operation in store.operations]


def _repeat(store: RecordingStore, stop: Path) -> None:
    rng = random.Random(store.client)
    step = _queue_client(store, rng) if store.client.startswith("queue") else _register_client(store, rng)
    while not stop.exists():
        try:
            step()
        except StoreError:
            continue  # recorded; go on with something else
        finally:
            time.sleep(rng.uniform(0, PAUSE_SECONDS))


def _register_client(store: RecordingStore, rng: random.Random) -> Callable[[], None]:
    """Reads, compare-and-swaps and deletes of a few keys that all clients share; no value is written twice."""
    written = 0

    def step() -> None:
        nonlocal written
        key = f"register/{rng.randrange(REGISTERS)}"
        if rng.random() < 0.2:
            store.range("register/")
            return
        held = store.get(key)
        unchanged = Compare(key, "mod", "==", held.mod_revision if held else 0)
        written += 1
        write: Op = Put(key, f"{store.client} {written}".encode(), previous=rng.random() < 0.5)
        store.txn([unchanged], [Delete(key) if held and rng.random() < 0.05 else write], [Get(key)])

    return step


def _queue_client(store: RecordingStore, rng: random.Random) -> Callable[[], None]:
    """Queues proposals, claims them in a race and writes their results, sometimes those of other clients' trials."""
    board, made = Board(store), 0

    def step() -> None:
        nonlocal made
        made += 1
        name = f"{store.client} {made:05d}"
        waiting, running = board.queue(), board.open_trials() if rng.random() < 0.4 else []
        if len(waiting) < WAITING:
            board.enqueue(proposal(name), Candidate.of("x = 1\n"), normal_sha=name)
        elif running:
            board.finish(result(rng.choice(running).trial_id, val_bpb=-made))
        elif board.claim(trial(name, rng.choice(waiting[:3]))) and rng.random() < 0.5:
            board.finish(result(name, val_bpb=made))  # else whoever finds it running does

    return step


def _told_by_get(kv: KeyValue | None) -> TxnResult:
    return TxnResult(True, 0, (Found((kv,) if kv else (), int(kv is not None), 0),))


def _told_by_range(found: Found) -> TxnResult:
    return TxnResult(True, found.revision, (found,))
