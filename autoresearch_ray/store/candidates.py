"""The candidates of a run, by content: each is written once, and the last used are kept in memory.

source/<sha>    a Candidate
"""

import threading
from collections import OrderedDict

from autoresearch_ray.common.errors import StoreError
from autoresearch_ray.records.trials import Candidate
from autoresearch_ray.store.contract import Put, Store, absent
from autoresearch_ray.store.history import read_value

CACHED_CANDIDATES = 256  # of some 25 kB each


class Candidates:
    """Any thread may call."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._cached: OrderedDict[str, Candidate] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, candidate: Candidate) -> str:
        """Keep a candidate and return its content hash; one that is there is not written again."""
        sha = candidate.sha
        if not self.has(sha):
            write = put_source(candidate)
            self._store.txn([absent(write.key)], [write])
            self.remember(sha, candidate)
        return sha

    def get(self, sha: str) -> Candidate:
        """The candidate with this content hash. StoreError when it was never put."""
        with self._lock:
            if sha in self._cached:
                self._cached.move_to_end(sha)
                return self._cached[sha]
        kv = self._store.get(f"source/{sha}")
        if kv is None:
            raise StoreError(f"source {sha} is not in the store; expected it to be put, or queued, before")
        candidate = read_value(kv, Candidate.decode)
        self.remember(sha, candidate)
        return candidate

    def has(self, sha: str) -> bool:
        """Whether this candidate is in memory, and so in the store; False says nothing."""
        return sha in self._cached

    def remember(self, sha: str, candidate: Candidate) -> None:
        """Keep in memory what is in the store."""
        with self._lock:
            self._cached[sha] = candidate
            if len(self._cached) > CACHED_CANDIDATES:
                self._cached.popitem(last=False)


def put_source(candidate: Candidate) -> Put:
    """What writes a candidate, for a transaction."""
    return Put(f"source/{candidate.sha}", candidate.encode())
