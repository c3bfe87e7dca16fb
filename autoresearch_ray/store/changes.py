"""What was written to a run's board since a revision, as records: the one place where keys of events are parsed.

changes = board.follow(since, timeout_seconds=5.0)
since = changes.revision
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from autoresearch_ray.records.decisions import Decision, Step
from autoresearch_ray.records.guidance import Findings
from autoresearch_ray.records.proposers import RejectedIdea
from autoresearch_ray.records.trials import Proposal, Result, Trial
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.contract import Event, KeyValue, WatchBatch
from autoresearch_ray.store.history import id_of, read_record, read_value

T = TypeVar("T")


@dataclass(frozen=True)
class Changes:
    """All up to a revision; each kind in the order in which it was written, and read when it is first asked for.

    Several may share one: a record is read once for all of them.
    """

    revision: int
    events: tuple[Event, ...] = ()

    @classmethod
    def of(cls, batch: WatchBatch) -> "Changes":
        """What a watch of the whole store, or of one folder of it, has seen."""
        return cls(batch.revision, batch.events)

    @cached_property
    def settings(self) -> RunSettings | None:
        """The run's settings, if they are others now."""
        return self._last("settings", lambda kv: read_value(kv, RunSettings.model_validate_json))

    @cached_property
    def trials(self) -> tuple[Trial, ...]:
        """Trials that were claimed or started."""
        return self._put("trial", Trial)

    @cached_property
    def results(self) -> tuple[Result, ...]:
        """Results of trials."""
        return self._put("result", Result)

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """Decisions on results."""
        return self._put("decision", Decision)

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """Moves of frontier and best."""
        return self._put("step", Step)

    @cached_property
    def rejected(self) -> tuple[RejectedIdea, ...]:
        """Ideas that took no slot."""
        return self._put("rejected", RejectedIdea)

    @cached_property
    def findings(self) -> Findings | None:
        """What all results say together, if that is new."""
        return self._last("findings", lambda kv: read_record(Findings, kv))

    @cached_property
    def queued(self) -> dict[str, Proposal | None]:
        """Proposals that came to wait, by id, and None for those that wait no more."""
        last = {event.kv.key: event for event in self._of("queue")}
        return {
            id_of(key): read_record(Proposal, event.kv) if event.kind == "put" else None for key, event in last.items()
        }

    def _of(self, folder: str) -> Iterable[Event]:
        return (event for event in self.events if event.kv.key.partition("/")[0] == folder)

    def _put(self, folder: str, kind: type[T]) -> tuple[T, ...]:
        return tuple([read_record(kind, event.kv) for event in self._of(folder) if event.kind == "put"])

    def _last(self, folder: str, read: Callable[[KeyValue], T]) -> T | None:
        put = [event.kv for event in self._of(folder) if event.kind == "put"]
        return read(put[-1]) if put else None
