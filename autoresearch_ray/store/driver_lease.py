"""Who drives a run: one holder at a time, for as long as it keeps its lease alive.

    with Tenure(store) as tenure:                 # StoreError while somebody else drives
        Board(store, tenure).settle(...)          # FencedError, and nothing written, once the lease has lapsed

The key `driver` stands under the holder's lease. Its create revision is the fencing token: every claim and decision
compares it in its own transaction, so a driver that was cut off, and whose place another has taken, cannot write over
it however late it wakes. A holder on this machine whose process is gone is replaced at once, any other when its lease
has lapsed.
"""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from autoresearch_ray.common.errors import FencedError, LeaseNotFoundError, StoreError
from autoresearch_ray.store.contract import Compare, Get, KeyValue, Put, Store, absent

KEY = "driver"
TENURE_SECONDS = 30.0
KEEP_ALIVES = 3  # per lease: two may fail before it lapses
WAIT_PAUSE_SECONDS = 0.5


class Tenure:
    """The right to drive the run of a store, from `with` to its end. Any thread may read `fence`."""

    def __init__(
        self,
        store: Store,
        ttl_seconds: float = TENURE_SECONDS,
        say: Callable[[str], None] = lambda _: None,
        wait_seconds: float | None = None,
    ) -> None:
        """Waits `wait_seconds` (None: two leases) for another holder's lease to lapse, and tells `say` of it."""
        self._store, self._ttl, self._say = store, ttl_seconds, say
        self._wait = 2 * ttl_seconds if wait_seconds is None else wait_seconds
        self._ended = threading.Event()
        self._lease, self._revision = 0, 0

    @property
    def fence(self) -> Compare:
        """Holds as long as the place is ours."""
        return Compare(KEY, "create", "==", self._revision)

    def check(self, seen: KeyValue | None) -> None:
        """FencedError if the key `driver`, as a transaction saw it, is not ours."""
        if seen is None or seen.create_revision != self._revision:
            holder = "nobody" if seen is None else _words(seen)
            raise FencedError(
                f"this driver's lease of {self._ttl:g} s has lapsed and the run belongs to {holder} now; nothing was "
                "written. What it knew is in the store: continue with --resume if nobody else does"
            )

    def __enter__(self) -> Self:
        self._take()
        self._thread = threading.Thread(target=self._keep, name="tenure", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()
        try:
            self._store.revoke(self._lease)
        except StoreError:
            return  # lapsed already, or the store is gone: it lapses by itself

    def _take(self) -> None:
        deadline, told = time.monotonic() + self._wait, False
        while True:
            lease = self._store.grant(self._ttl)
            answer = self._store.txn([absent(KEY)], [Put(KEY, _holder(), lease)], [Get(KEY)])
            if answer.succeeded:
                self._lease, self._revision = lease, answer.revision
                return
            self._store.revoke(lease)
            held = answer.responses[0].kvs[0]
            if _is_gone(held):
                self._revoke(held.lease)
                continue
            if time.monotonic() >= deadline:
                raise StoreError(f"this run is driven by {_words(held)}; stop that one, or use another --tag")
            if not told:
                self._say(f"the run is held by {_words(held)}; waiting up to {self._wait:.0f} s for its lease to lapse")
                told = True
            time.sleep(WAIT_PAUSE_SECONDS)

    def _revoke(self, lease: int) -> None:
        try:
            self._store.revoke(lease)
        except LeaseNotFoundError:
            return  # lapsed in between

    def _keep(self) -> None:
        while not self._ended.wait(self._ttl / KEEP_ALIVES):
            try:
                self._store.keep_alive(self._lease)
            except LeaseNotFoundError:
                return  # the next fenced write says so
            except StoreError:
                continue  # out of reach: the next beat may do


def release(store: Store) -> None:
    """Free the place in a copy of a store: whoever held it in the original knows nothing of the copy."""
    held = store.get(KEY)
    if held is not None:
        store.revoke(held.lease)


def this_process() -> str:
    """The process that asks, for people."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def _holder() -> bytes:
    process = psutil.Process()
    holder = {"host": socket.gethostname(), "where": _where(), "pid": process.pid, "since": process.create_time()}
    return json.dumps(holder).encode()


def _where() -> str:
    """What tells machines and containers apart, within which process ids mean something."""
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    if boot.exists() and namespace.exists():
        return f"{boot.read_text().strip()} {namespace.readlink()}"
    return f"{uuid.getnode():x}"


def _words(held: KeyValue) -> str:
    holder = json.loads(held.value)
    return f"process {holder['pid']} on {holder['host']}"


def _is_gone(held: KeyValue) -> bool:
    """Whether the holder was a process of this machine that has ended."""
    holder = json.loads(held.value)
    if holder["where"] != _where():
        return False
    try:
        return bool(abs(psutil.Process(holder["pid"]).create_time() - holder["since"]) > 1)
    except psutil.NoSuchProcess:
        return True
