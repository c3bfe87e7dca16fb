"""What was told outside of a run (to a command, to a tracker), so that it is told once; and what came since.

    told/on-win       the index of the last step that --on-win has heard of
    told/<tracker>    a Mark

The store is the queue: what cannot be told now stays in it, however long that takes, and no memory grows. A mark is
written when its news have been told. So a driver that is killed in between tells them again.
"""

from dataclasses import dataclass

from autoresearch_ray.common.errors import CompactedError
from autoresearch_ray.records.codec import to_json
from autoresearch_ray.records.decisions import Decision, Step
from autoresearch_ray.records.history import TrialRow
from autoresearch_ray.records.trials import Result, Trial
from autoresearch_ray.store.contract import Get, KeyValue, Store
from autoresearch_ray.store.history import all_under, read_record

ON_WIN = "told/on-win"
DECISIONS = "decision/"


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a tracker has been told."""

    revision: int = 0  # of the store; every decision up to it was told
    number: int = 0  # of decisions that were told


@dataclass(frozen=True, slots=True)
class StepAt:
    """A step and the revision that wrote it."""

    revision: int
    step: Step


@dataclass(frozen=True, slots=True)
class DecisionAt:
    """A decision and the revision that wrote it; several may share one."""

    revision: int
    decision: Decision


def read_announced(store: Store) -> int | None:
    """The index of the last step that --on-win has heard of; None if no launch had the option."""
    kv = store.get(ON_WIN)
    return int(kv.value) if kv else None


def put_announced(store: Store, index: int) -> None:
    """Up to this step, --on-win has heard of all."""
    store.put(ON_WIN, str(index).encode())


def read_mark(store: Store, tracker: str) -> Mark:
    """How far this tracker has been told."""
    kv = store.get(f"told/{tracker}")
    return read_record(Mark, kv) if kv else Mark()


def put_mark(store: Store, tracker: str, mark: Mark) -> None:
    """The tracker has been told so far."""
    store.put(f"told/{tracker}", to_json(mark).encode())


def decisions_after(store: Store, revision: int) -> list[DecisionAt]:
    """The decisions after this revision, in the order in which they were made.

    A decision is written once and never deleted. So where the watch's past is compacted, what stands there says it all.
    """
    found: list[KeyValue]
    try:
        found = [event.kv for event in store.watch(DECISIONS, revision + 1, timeout_seconds=0).events]
    except CompactedError:
        found = [kv for kv in all_under(store, DECISIONS) if kv.mod_revision > revision]
    found.sort(key=lambda kv: (kv.mod_revision, kv.key))
    return [DecisionAt(kv.mod_revision, read_record(Decision, kv)) for kv in found]


def steps_after(store: Store, index: int) -> list[StepAt]:
    """The steps after this index, in order."""
    return [
        StepAt(kv.mod_revision, read_record(Step, kv)) for kv in all_under(store, "step/", after=f"step/{index:06d}")
    ]


def read_row(store: Store, decision: Decision) -> TrialRow:
    """The trial that was decided, with its result."""
    name = decision.trial_id
    trial, result = (found.kvs[0] for found in store.txn((), [Get(f"trial/{name}"), Get(f"result/{name}")]).responses)
    return TrialRow(read_record(Trial, trial), read_record(Result, result), decision)
