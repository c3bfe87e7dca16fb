"""Random sequences of operations, on the SQLite store and on a model made of dicts: every answer agrees."""

import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from autoresearch_ray.common.errors import CompactedError
from autoresearch_ray.store.contract import Compare, Delete, Event, Get, KeyValue, Op, Put, Range, WatchBatch, holds
from autoresearch_ray.store.sqlite.store import SqliteStore

State = dict[str, KeyValue]

KEYS = st.sampled_from(["a", "a/1", "a/2", "b", "b/1"])
VALUES = st.binary(max_size=2)
NUMBERS = st.sampled_from(["version", "create", "mod"])
RELATIONS = st.sampled_from(["==", "!=", "<", ">"])
COMPARES = st.one_of(
    st.builds(Compare, KEYS, st.just("value"), RELATIONS, VALUES),
    st.builds(Compare, KEYS, NUMBERS, RELATIONS, st.integers(0, 6)),
)
READS = st.one_of(st.builds(Get, KEYS), st.builds(Range, KEYS, st.integers(0, 2)))
OPS = st.one_of(st.builds(Put, KEYS, VALUES), st.builds(Delete, KEYS, st.booleans()), READS)


class Model:
    """Every revision's whole state, and its events."""

    def __init__(self) -> None:
        self.states: list[State] = [{}, {}]  # by revision; an empty store is at 1
        self.events: list[list[Event]] = [[], []]

    @property
    def revision(self) -> int:
        return len(self.states) - 1

    def branch(self, ops: list[Op]) -> list[tuple[list[KeyValue], int]]:
        state, answers = dict(self.states[-1]), []
        events: list[Event] = []
        for op in ops:
            answers.append(self._run(op, state, events))
        if events:
            self.states.append(state)
            self.events.append(events)
        return answers

    def _run(self, op: Op, state: State, events: list[Event]) -> tuple[list[KeyValue], int]:
        revision = self.revision + 1
        if isinstance(op, Get):
            found = [state[op.key]] if op.key in state else []
            return found, len(found)
        if isinstance(op, Range):
            found = under(op.prefix, state)
            return found[: op.limit or None], len(found)
        if isinstance(op, Put):
            old = state.get(op.key)
            new = KeyValue(op.key, op.value, revision, revision, 1)
            state[op.key] = replace(new, create_revision=old.create_revision, version=old.version + 1) if old else new
            events.append(Event("put", state[op.key]))
            return [], 0
        gone = under(op.key, state) if op.prefix else [state[key] for key in [op.key] if key in state]
        for kv in gone:
            del state[kv.key]
            events.append(Event("delete", KeyValue(kv.key, b"", 0, revision, 0)))
        return [], len(gone)


def under(prefix: str, state: State) -> list[KeyValue]:
    return [state[key] for key in sorted(state) if key.startswith(prefix)]


def without_doubles(ops: list[Op]) -> list[Op]:
    """The branch without writes that the contract refuses."""
    kept: list[Op] = []
    for op in ops:
        puts = [other.key for other in kept if isinstance(other, Put)]
        deletes = [other for other in kept if isinstance(other, Delete)]
        if isinstance(op, Put) and (op.key in puts or any(covers(delete, op.key) for delete in deletes)):
            continue
        if isinstance(op, Delete) and any(covers(op, key) for key in puts):
            continue
        kept.append(op)
    return kept


def covers(delete: Delete, key: str) -> bool:
    return key.startswith(delete.key) if delete.prefix else key == delete.key


class StoreAgreesWithModel(RuleBasedStateMachine):
    """Transactions, reads of the past, watches, compactions and restarts in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "state.db"
        self.store = SqliteStore(self.path)
        self.model = Model()
        self.compacted = 0

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    @rule(compare=st.lists(COMPARES, max_size=2), success=st.lists(OPS, max_size=4), failure=st.lists(OPS, max_size=2))
    def a_transaction(self, compare: list[Compare], success: list[Op], failure: list[Op]) -> None:
        success, failure = without_doubles(success), without_doubles(failure)
        expected = all(holds(condition, self.model.states[-1].get(condition.key)) for condition in compare)
        answers = self.model.branch(success if expected else failure)
        answer = self.store.txn(compare, success, failure)
        assert (answer.succeeded, answer.revision) == (expected, self.model.revision)
        assert [(list(found.kvs), found.count) for found in answer.responses] == answers

    @rule(share=st.floats(0, 1), prefix=KEYS)
    def a_read_of_the_past(self, share: float, prefix: str) -> None:
        revision = max(1, round(share * self.model.revision))
        if revision < self.compacted:
            try:
                self.store.range(prefix, revision=revision)
            except CompactedError:
                return
            raise AssertionError(f"revision {revision} was compacted away and is read")
        found = self.store.range(prefix, revision=revision)
        assert list(found.kvs) == under(prefix, self.model.states[revision])
        assert self.store.get(prefix, revision) == self.model.states[revision].get(prefix)

    @rule(share=st.floats(0, 1), prefix=KEYS)
    def a_watch(self, share: float, prefix: str) -> None:
        start = max(1, self.compacted, round(share * self.model.revision))
        events = [event for events in self.model.events[start:] for event in events if event.kv.key.startswith(prefix)]
        expected = WatchBatch(tuple(events), self.model.revision)
        assert self.store.watch(prefix, start, timeout_seconds=0) == expected

    @precondition(lambda self: self.model.revision > self.compacted + 1)
    @rule(share=st.floats(0, 1))
    def a_compaction(self, share: float) -> None:
        self.compacted += max(1, round(share * (self.model.revision - self.compacted)))
        self.store.compact(self.compacted)

    @rule()
    def a_restart(self) -> None:
        self.store.close()
        self.store = SqliteStore(self.path)

    @invariant()
    def the_present_agrees(self) -> None:
        found = self.store.range("")
        assert list(found.kvs) == under("", self.model.states[-1])
        assert found.revision == self.model.revision


TestStoreAgreesWithModel = StoreAgreesWithModel.TestCase
TestStoreAgreesWithModel.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
