"""Watching an etcd cluster by long polls: what is known to be complete, and when.

etcd tells the events of a watch in whole revisions and in order, but it says nothing while there are none, and what
its messages say of the present may be ahead of the events (a watch of the past is served in the background, about ten
times a second). So only an event proves that everything before it was delivered, and a batch goes up to its last one.
A watch that stays quiet is complete up to where it started, and says no more than that. Should the cluster have gone
on by FENCE_REVISIONS meanwhile, so that compaction may come near, the watch proves more: it writes a key of its own,
the fence, and watches the run's whole prefix up to that event.

A compaction takes away the deletes of its own revision too (etcd before 3.4.36 and 3.5.19), and a watch that starts
there does not tell. So a watch from the compacted revision itself counts as one from before it.
"""

import time
from dataclasses import dataclass

from autoresearch_ray.common.errors import CompactedError, FutureRevisionError, StoreError
from autoresearch_ray.store.contract import WatchBatch
from autoresearch_ray.store.etcd import wire
from autoresearch_ray.store.etcd.client import PAUSE_SECONDS, EtcdClient, UnavailableError, refusal
from autoresearch_ray.store.etcd.wire import Json, Keys

FENCE_REVISIONS = 1_000
FENCE_SECONDS = 10.0
BACKGROUND_SECONDS = 0.5  # for what is there already, even if the caller would wait less


@dataclass(frozen=True, slots=True)
class EtcdWatch:
    """Watches of a run's keys."""

    client: EtcdClient
    keys: Keys

    def batch(self, prefix: str, start: int, timeout_seconds: float, previous: bool) -> WatchBatch:
        """`Store.watch`, from a revision that is not 0."""
        first = self.keys.full(prefix)
        end = wire.prefix_end(first)
        if timeout_seconds < BACKGROUND_SECONDS and self._now(start) >= start:
            timeout_seconds = BACKGROUND_SECONDS
        events = self._events(first, end, start, time.monotonic() + timeout_seconds, previous)
        now = self._now(start)
        if events:
            return self._batch(events, _revision(events[-1]))
        if now - (start - 1) < FENCE_REVISIONS:
            return self._batch([], start - 1)
        return self._up_to_fence(first, end, start, previous)

    def _up_to_fence(self, first: bytes, end: bytes, start: int, previous: bool) -> WatchBatch:
        put = self.client.call("/kv/put", wire.put_request(self.keys.root + b"fence", b""))
        fence, seen, found = wire.revision_of(put), start - 1, list[Json]()
        while seen < fence and not found:
            deadline = time.monotonic() + FENCE_SECONDS
            events = self._events(self.keys.root, wire.prefix_end(self.keys.root), seen + 1, deadline, previous)
            if not events:
                break
            seen = _revision(events[-1])
            found = [event for event in events if first <= wire.blob(event["kv"]["key"]) < end]
        self._now(start)
        return self._batch(found, seen)

    def _batch(self, events: list[Json], revision: int) -> WatchBatch:
        return WatchBatch(tuple(self.keys.event(event) for event in events), revision)

    def _now(self, start: int) -> int:
        """The current revision, or `start` - 1 if it is less. CompactedError when events from `start` may be gone."""
        try:
            answer = self.client.call("/kv/range", wire.now_request(self.keys.prefix, start - 1))
            return wire.revision_of(answer)
        except FutureRevisionError:
            return start - 1
        except CompactedError:
            raise _compaction_error(start) from None

    def _events(self, first: bytes, end: bytes, start: int, deadline: float, previous: bool) -> list[Json]:
        """The first events there are, as whole revisions; none at the deadline."""
        request = wire.watch_request(first, end, start, previous)
        refused = False
        while True:
            try:
                return self._events_of_one(request, start, deadline)
            except UnavailableError:
                if time.monotonic() >= deadline:
                    return []
                time.sleep(PAUSE_SECONDS)
            except CompactedError:
                raise
            except StoreError:  # of an ended session, perhaps, whatever it says: servers differ
                if refused:
                    raise
                refused = True
                self._now(start)  # a call signs in again where a stream cannot

    def _events_of_one(self, request: Json, start: int, deadline: float) -> list[Json]:
        events: list[Json] = []
        with self.client.stream("/watch", request, deadline - time.monotonic()) as messages:
            for message in messages:
                if int(message.get("compact_revision", 0)):
                    raise _compaction_error(start)
                if message.get("canceled"):
                    raise refusal("/watch", message.get("cancel_reason") or "canceled")
                events += [event for event in message.get("events", ()) if _revision(event) >= start]
                if events and not message.get("fragment"):
                    return events
        raise UnavailableError("the watch has ended")


def _revision(event: Json) -> int:
    return int(event["kv"]["mod_revision"])


def _compaction_error(start: int) -> CompactedError:
    return CompactedError(f"events from revision {start} were compacted away")
