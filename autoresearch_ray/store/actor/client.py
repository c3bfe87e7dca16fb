"""Start the store actor and talk to it: the store's contract over a Ray actor handle.

    store = start_store_actor(run_dir / "state.db", name="state-mar1", namespace="autoresearch")
    store.put("program", b"be bold")                                # in the driver and in workers: ActorStore pickles
    batch = store.watch("program", revision + 1, 30)                # waits for 30 seconds at most
    store.stop()

A call that meets a restart is tried again for RETRY_SECONDS; a write does so under one request id, so it happens once.
A compaction that is repeated this way may say CompactedError, and a repeated grant leaves a lease that lapses.
"""

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray._private import state
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from autoresearch_ray.common.errors import StoreError
from autoresearch_ray.store.actor.gather import ThreadGathering
from autoresearch_ray.store.actor.near import NearLine
from autoresearch_ray.store.actor.server import StoreActor, Watch
from autoresearch_ray.store.arguments import check_txn, check_watch
from autoresearch_ray.store.contract import Compare, Found, KeyValue, Op, Store, Txn, TxnResult, WatchBatch

RETRY_SECONDS = 30.0  # a killed actor answers again after about one
OPEN_SECONDS = 300.0  # for an actor to check its file, or to bring a large older one up to date
PAUSE_SECONDS = 0.1
TASK_RETRIES = 3  # Ray's own; finite, so that a request that kills the actor does not do so for ever
CALLS_AT_ONCE = 10_000  # long polls hold their place while they wait

T = TypeVar("T")


def start_store_actor(path: Path, name: str, namespace: str) -> "ActorStore":
    """The detached actor of this name on this node's file; StoreError, DamagedStoreError.

    One that has outlived its driver is taken, with the file that lies there now.
    """
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor = (
        ray.remote(StoreActor)
        .options(
            name=name,
            namespace=namespace,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            max_restarts=-1,
            max_task_retries=TASK_RETRIES,
            max_concurrency=CALLS_AT_ONCE,
            scheduling_strategy=here,
        )
        .remote(str(path.absolute()))
    )
    store = ActorStore(actor)
    try:
        opened = ActorStore(actor, OPEN_SECONDS).path()
    except StoreError:
        ray.kill(actor, no_restart=True)
        raise
    if opened != path.absolute():
        raise StoreError(
            f"store actor {name} has {opened} open; expected {path.absolute()}. Stop it, or take another tag"
        )
    return store


def find_store_actor(name: str, namespace: str) -> "ActorStore":
    """The store of the actor with this name, on the caller's Ray."""
    return ActorStore(ray.get_actor(name, namespace))


class ActorStore(Store):
    """A store at the other end of an actor handle. Any thread, process or node may use one.

    Transactions that threads start at the same time travel together; on the actor's machine they take a socket
    (`near.py`).
    """

    def __init__(self, actor: Any, retry_seconds: float = RETRY_SECONDS) -> None:
        self._actor = actor
        self._retry_seconds = retry_seconds
        self._threads = ThreadGathering[Txn, TxnResult | StoreError](self._send_from_thread)
        # a store's actor of an older version has no short way
        self._near = NearLine(lambda: self._call("near") if hasattr(self._actor, "near") else None)

    def __reduce__(self) -> tuple[Any, ...]:
        return ActorStore, (self._actor, self._retry_seconds)

    def path(self) -> Path:
        """The file, on the actor's node."""
        return Path(self._call("path"))

    def process_id(self) -> int:
        """The actor's process on its node; killing it loses nothing."""
        return int(self._call("process_id"))

    def revision(self) -> int:
        return int(self._call("revision"))

    def get(self, key: str, revision: int = 0) -> KeyValue | None:
        found: KeyValue | None = self._call("get", key, revision)
        return found

    def range(self, prefix: str, limit: int = 0, revision: int = 0, after: str = "") -> Found:
        found: Found = self._call("range", prefix, limit, revision, after)
        return found

    def txn(
        self, compare: Sequence[Compare], success: Sequence[Op], failure: Sequence[Op] = (), request_id: str = ""
    ) -> TxnResult:
        return _unpack(self._threads.ask(_txn(compare, success, failure, request_id)))

    def watch(
        self, prefix: str, from_revision: int = 0, timeout_seconds: float = 30.0, previous: bool = False
    ) -> WatchBatch:
        check_watch(prefix, from_revision, timeout_seconds)
        start = from_revision or self.revision() + 1  # fixed here, so that a retry misses nothing
        asked = [Watch(prefix, start, timeout_seconds, previous)]
        seen: list[WatchBatch | StoreError] = self._call("watches", asked, wait_seconds=timeout_seconds)
        return _unpack(seen[0])

    def grant(self, ttl_seconds: float) -> int:
        return int(self._call("grant", ttl_seconds))

    def keep_alive(self, lease: int) -> float:
        return float(self._call("keep_alive", lease))

    def revoke(self, lease: int, request_id: str = "") -> int:
        return int(self._call("revoke", lease, request_id or _new_id()))

    def expire_leases(self) -> int:
        return int(self._call("expire_leases"))

    def compact(self, revision: int) -> None:
        self._call("compact", revision)

    def backup(self, path: Path) -> None:
        self._call("backup", str(path.absolute()))

    def stop(self) -> None:
        """Close the file and end the actor for good; what was acknowledged is on disk."""
        with suppress(StoreError):  # stopped before, or its file could not be opened
            self._call("close")
        self._near.close()
        ray.kill(self._actor, no_restart=True)

    def _send_from_thread(self, txns: list[Txn]) -> list[TxnResult | StoreError]:
        try:
            answers = self._near.ask(txns, max(self._retry_seconds, PAUSE_SECONDS))
        except TimeoutError as error:
            raise self._silent("txns") from error
        return self._call("txns", txns) if answers is None else answers

    def _call(self, method: str, *arguments: object, wait_seconds: float = 0.0) -> Any:
        deadline = time.monotonic() + self._retry_seconds + wait_seconds
        while True:
            with self._failures(method, deadline):
                answer = getattr(self._actor, method).remote(*arguments)
                return ray.get(answer, timeout=max(deadline - time.monotonic(), PAUSE_SECONDS))
            time.sleep(PAUSE_SECONDS)

    @contextmanager
    def _failures(self, method: str, deadline: float) -> Iterator[None]:
        """Ray's errors as the store's; returns when the call may be tried again."""
        try:
            yield
        except RayTaskError as error:
            if isinstance(error.cause, StoreError):
                raise error.cause from None
            raise
        except ActorUnavailableError as error:
            if time.monotonic() >= deadline:
                raise StoreError(
                    f"{method}: the store actor is not back after {self._retry_seconds:g} s; {self._restarts()}"
                ) from error
        except ActorDiedError as error:
            raise StoreError(f"{method}: the store actor has ended for good; continue the run with --resume") from error
        except TimeoutError as error:
            raise self._silent(method) from error

    def _silent(self, method: str) -> StoreError:
        return StoreError(
            f"{method}: no answer from the store actor within {self._retry_seconds:g} s; {self._restarts()}"
        )

    def _restarts(self) -> str:
        """How often Ray has restarted the actor, and what that means."""
        known = state.actors(self._actor._actor_id.hex()) or {}
        if not known.get("NumRestarts"):
            return "is the machine very busy?"
        return (
            f"Ray restarted it {known['NumRestarts']} times: where a node's memory is nearly full its memory monitor "
            "ends processes (raylet.out in Ray's logs says which); use less memory there, or fewer slots"
        )


def _unpack(answer: T | StoreError) -> T:
    if isinstance(answer, StoreError):
        raise answer
    return answer


def _txn(compare: Sequence[Compare], success: Sequence[Op], failure: Sequence[Op], request_id: str) -> Txn:
    txn = Txn(tuple(compare), tuple(success), tuple(failure), request_id or _new_id())
    check_txn(txn)  # here, so that what cannot be sent spoils nobody else's
    return txn


def _new_id() -> str:
    return uuid.uuid4().hex
