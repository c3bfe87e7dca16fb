"""A run's past, read at one revision: from a store, or from its file beside a living run or after it."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from autoresearch_ray.common.errors import StoreError
from autoresearch_ray.records.codec import from_json
from autoresearch_ray.records.decisions import Decision, Step
from autoresearch_ray.records.guidance import Directives, Findings
from autoresearch_ray.records.history import EarlierRun, History, TrialRow
from autoresearch_ray.records.proposers import Charge, RejectedIdea
from autoresearch_ray.records.trials import Candidate, Result, Trial
from autoresearch_ray.store.contract import Found, KeyValue, Reads
from autoresearch_ray.store.sqlite import reads
from autoresearch_ray.store.sqlite.check import check
from autoresearch_ray.store.sqlite.errors import storage_errors
from autoresearch_ray.store.sqlite.wal import check_cut

PAGE = 1_000  # keys read at once

T = TypeVar("T")


def read_history(path: Path) -> History:
    """The past of the run whose state.db this is. StoreError when it is not there, DamagedStoreError."""
    with closing(reads.open_readonly(path)) as connection:
        check(path, connection)
        with storage_errors(path), reads.snapshot(connection):
            check_cut(connection, path)
            return history_of(_Snapshot(connection))


def read_settings(path: Path) -> bytes | None:
    """The settings of the run whose state.db this is, as JSON; None before it has begun. Errors as `read_history`."""
    with (
        closing(reads.open_readonly(path)) as connection,
        storage_errors(path),
        reads.snapshot(connection),
    ):
        kv = reads.get_at(connection, "settings")
    return kv.value if kv else None


def read_file_revision(path: Path) -> int:
    """The revision of the store in this file. Errors as `read_history`."""
    with (
        closing(reads.open_readonly(path)) as connection,
        storage_errors(path),
        reads.snapshot(connection),
    ):
        return reads.current_revision(connection)


def read_finished(path: Path) -> tuple[int, set[str]]:
    """The store's revision and the ids of the trials with a result, by index alone. Errors as `read_history`."""
    with (
        closing(reads.open_readonly(path)) as connection,
        storage_errors(path),
        reads.snapshot(connection),
    ):
        return reads.current_revision(connection), {id_of(key) for key in reads.keys(connection, "result/")}


def history_of(store: Reads) -> History:
    """The whole past at one revision. StoreError before the settings are put."""
    now = store.revision()
    results = {result.trial_id: result for result in records_under(store, "result/", Result, now)}
    decisions = {decision.trial_id: decision for decision in records_under(store, "decision/", Decision, now)}
    trials = records_under(store, "trial/", Trial, now)
    trials.sort(key=lambda trial: (len(trial.trial_id), trial.trial_id))
    steps = tuple(records_under(store, "step/", Step, now))
    named = {trial.proposal.source_sha for trial in trials} | {step.source_sha for step in steps}
    named |= {trial.proposal.parent_sha for trial in trials}
    sources = all_under(store, "source/", now)
    spent = list(all_under(store, "spent/", now))
    settings = _settings(store, now)
    return History(
        settings=settings,
        rows=tuple(TrialRow(t, results.get(t.trial_id), decisions.get(t.trial_id)) for t in trials),
        steps=steps,
        commits={int(id_of(kv.key)): read_value(kv, bytes.decode) for kv in all_under(store, "commit/", now)},
        candidates={id_of(kv.key): read_value(kv, Candidate.decode) for kv in sources if id_of(kv.key) in named},
        rejected=read_rejected(store, now),
        launches=tuple(sorted(float(id_of(kv.key)) for kv in all_under(store, "launch/", now))),
        findings=next(iter(records_under(store, "findings", Findings, now)), None),
        directives=tuple(read_directives(store, revision=now)),
        charges=tuple(read_record(Charge, kv) for kv in spent),
        call_ids=tuple(id_of(kv.key) for kv in spent),
        earlier=_earlier(store, now) if settings.get("from_run") else None,
    )


def read_rejected(store: Reads, revision: int = 0) -> tuple[RejectedIdea, ...]:
    """The ideas that took no slot, oldest first."""
    return tuple(sorted(records_under(store, "rejected/", RejectedIdea, revision), key=lambda idea: idea.at))


def read_directives(store: Reads, after_version: int = 0, revision: int = 0) -> list[Directives]:
    """The versions after this one, in order."""
    return records_under(store, "directives/", Directives, revision, after=directives_key(after_version))


def directives_key(version: int) -> str:
    """Where a version of the directives is."""
    return f"directives/{version:06d}"


def records_under(store: Reads, prefix: str, kind: type[T], revision: int = 0, after: str = "") -> list[T]:
    """The records under a prefix, in key order."""
    return [read_record(kind, kv) for kv in all_under(store, prefix, revision, after)]


def id_of(key: str) -> str:
    """Of what a key is, by its last part: a trial's id, a step's number."""
    return key.partition("/")[2]


def read_record(kind: type[T], kv: KeyValue) -> T:
    """The record that a key holds. StoreError when it is none of this version."""
    return read_value(kv, partial(from_json, kind))


def read_value(kv: KeyValue, read: Callable[[bytes], T]) -> T:
    """What a key holds, as `read` reads it. StoreError when it cannot."""
    try:
        return read(kv.value)
    except ValueError as error:
        raise StoreError(
            f"{kv.key} at revision {kv.mod_revision}: {error}. If no newer version has written it, the store is "
            "damaged: go back to its last backup"
        ) from error


def all_under(store: Reads, prefix: str, revision: int = 0, after: str = "") -> Iterator[KeyValue]:
    """The keys under a prefix at one revision (0: that of the first page), read page by page."""
    while True:
        page = store.range(prefix, PAGE, revision, after)
        yield from page.kvs
        if len(page.kvs) == page.count:
            return
        revision, after = revision or page.revision, page.kvs[-1].key


class _Snapshot:
    """Reads on a connection within the caller's read transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def range(self, prefix: str, limit: int = 0, revision: int = 0, after: str = "") -> Found:
        return reads.range_at(self._connection, prefix, limit, revision, after)

    def revision(self) -> int:
        return reads.current_revision(self._connection)


def _settings(store: Reads, revision: int) -> dict[str, Any]:
    for kv in store.range("settings", limit=1, revision=revision).kvs:
        return dict(read_value(kv, json.loads))
    raise StoreError("the store has no settings; expected those of a run that has begun")


def _earlier(store: Reads, revision: int) -> EarlierRun | None:
    found = store.range("earlier", limit=1, revision=revision).kvs
    return next((read_record(EarlierRun, kv) for kv in found if kv.key == "earlier"), None)
