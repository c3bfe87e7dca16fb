"""What concurrent clients saw of the store actor while its process was killed again and again.

Threads here and in a worker process compare-and-swap shared keys, work the queue and read. Some are patient; some give
an operation up at the first trouble and never learn what became of it. Every operation is recorded, and so is the
store's own account, by a watch. Then: the history is linearizable, revisions follow real time, the account holds every
acknowledged write once and at the revision that was told, and no task was completed twice.

Five kills, or as many as AUTORESEARCH_KILLS says. The long run:

    AUTORESEARCH_KILLS=50 pytest tests/store/test_store_history.py
"""

import os
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from history_model import outcomes
from linearizability import Operation, revision_violation, violation
from recorded_clients import RecordingStore, run_clients

from autoresearch_ray.records.codec import from_json
from autoresearch_ray.records.trials import Trial
from autoresearch_ray.store.actor.client import ActorStore, start_store_actor
from autoresearch_ray.store.contract import Delete, Event, Put, Store

KILLS = int(os.environ.get("AUTORESEARCH_KILLS", "5"))
SECONDS_BETWEEN_KILLS = 0.5
QUEUE = ("queue/", "normal/", "seen/", "source/", "trial/", "last_trial", "running/", "result/", "pending/")

Recorded = tuple[list[Operation], list[Event]]  # what the clients saw, and what the watch saw

pytestmark = pytest.mark.timeout(100 + 10 * KILLS)


class Account:
    """The store's own account: every event of every revision, by a watch that goes on over kills."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._until = 0
        self.events: list[Event] = []
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    def finish(self, revision: int) -> list[Event]:
        """All events up to and including the revision."""
        self._until = revision
        self._store.put("end", b"")  # wakes the watch
        self._thread.join()
        return [event for event in self.events if event.kv.mod_revision <= revision]

    def _follow(self) -> None:
        start = 2
        while not self._until or start <= self._until:
            batch = self._store.watch("", start, timeout_seconds=5)
            self.events.extend(batch.events)
            start = batch.revision + 1


@pytest.fixture(scope="module")
def history(
    ray_session: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[list[Operation], list[Event]]]:
    folder, name = tmp_path_factory.mktemp("history"), f"state-{uuid.uuid4().hex}"
    store = start_store_actor(folder / "state.db", name, ray_session)
    impatient = ActorStore(ray.get_actor(name, ray_session), retry_seconds=0)
    yield record(store, impatient, folder / "stop")
    store.stop()


def record(store: ActorStore, impatient: ActorStore, stop: Path) -> Recorded:
    """Run the clients, kill the actor KILLS times, and return what clients and watch saw."""
    account = Account(store)
    with_tests = {"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}}
    remote = ray.remote(num_cpus=1, runtime_env=with_tests)(run_clients).remote(store, impatient, stop, "there")
    found: list[Operation] = []
    local = threading.Thread(target=lambda: found.extend(run_clients(store, impatient, stop, "here")))
    local.start()
    kill_often(store)
    stop.touch()
    local.join()
    found += ray.get(remote)
    last = RecordingStore(store, "last")
    revision = max(last.range(prefix).revision for prefix in ("register/", *QUEUE))
    return found + last.operations, account.finish(revision)


def kill_often(store: ActorStore) -> None:
    processes = set()
    for _ in range(KILLS):
        processes.add(store.process_id())
        time.sleep(SECONDS_BETWEEN_KILLS)
        os.kill(store.process_id(), signal.SIGKILL)
    processes.add(store.process_id())
    assert len(processes) == KILLS + 1
    time.sleep(SECONDS_BETWEEN_KILLS)


def writes(operation: Operation) -> list[Put | Delete]:
    """What an operation has written, as far as its client knows."""
    if operation.answer is None:
        return []
    branch = operation.txn.success if operation.answer.succeeded else operation.txn.failure
    return [op for op in branch if isinstance(op, Put | Delete)]


def test_the_history_is_linearizable(history: Recorded) -> None:
    operations, _ = history
    assert len(operations) > 100 * KILLS
    assert sum(operation.answer is None for operation in operations) > KILLS
    for wrong in (violation(operations, outcomes), revision_violation(operations)):
        assert wrong is None, wrong


def test_no_acknowledged_write_is_lost_and_none_applied_twice(
    history: Recorded,
) -> None:
    operations, events = history
    revisions = [event.kv.mod_revision for event in events]
    assert revisions == sorted(revisions)
    assert set(revisions) == set(range(2, revisions[-1] + 1))
    at = {(event.kv.mod_revision, event.kv.key): event for event in events}
    assert len(at) == len(events)
    for operation in operations:
        for op in writes(operation):
            assert operation.answer
            event = at[operation.answer.revision, op.key]
            assert (event.kind, event.kv.value) == (("put", op.value) if isinstance(op, Put) else ("delete", b""))
    values = Counter(event.kv.value for event in events if event.kv.key.startswith("register/") and event.kv.value)
    assert set(values.values()) == {1}


def test_no_task_is_claimed_or_completed_twice(history: Recorded) -> None:
    operations, events = history
    completed = Counter(op.key for o in operations for op in writes(o) if op.key.startswith("result/"))
    stored = Counter(event.kv.key for event in events if event.kv.key.startswith("result/"))
    trials = [from_json(Trial, event.kv.value) for event in events if event.kv.key.startswith("trial/")]
    claimed = Counter(trial.proposal.proposal_id for trial in trials)
    assert len(completed) > KILLS
    assert set(stored.values()) == set(completed.values()) == set(claimed.values()) == {1}
    assert set(completed) <= set(stored) <= {f"result/{trial.trial_id}" for trial in trials}
