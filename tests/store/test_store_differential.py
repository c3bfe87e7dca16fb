"""Random operations on the SQLite store and on a real etcd: every answer agrees.

    AUTORESEARCH_OPERATIONS=200000 pytest tests/store/test_store_differential.py      the longer run

Answers, revisions, the keys' metadata, events of watches and kinds of errors are compared, those of etcd counted from
the revision that its server had when a sequence began. Every run draws new sequences; one that fails is shrunk and
printed with the line that repeats it. `sequences.py` draws the operations, `side_by_side.py` compares them.
"""

import os
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from etcd_server import Member, memory_folder, needs_etcd, running_etcd, wipe
from hypothesis import HealthCheck, given, settings
from sequences import SEQUENCES, Operation
from side_by_side import Pair

from autoresearch_ray.store.etcd.store import EtcdStore
from autoresearch_ray.store.sqlite.store import SqliteStore

OPERATIONS = int(os.environ.get("AUTORESEARCH_OPERATIONS", "20000"))

pytestmark = [needs_etcd, pytest.mark.timeout(120 + OPERATIONS / 50)]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with memory_folder() as made:
        yield made


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Member]:
    """A server of this test's own, for it compacts."""
    with running_etcd(folder) as member:
        yield member


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as made:
        yield made


def test_every_operation_answers_as_on_a_real_etcd(folder: Path, server: Member, pool: ThreadPoolExecutor) -> None:
    done = 0

    @settings(
        max_examples=25,  # at once; what hypothesis remembers of them grows
        derandomize=False,  # new sequences every time, in CI too
        database=None,
        print_blob=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(SEQUENCES)
    def agree(operations: list[Operation]) -> None:
        nonlocal done
        wipe(server.address, "sequence/")  # a lease of an earlier sequence must not lapse in this one
        # A revision above all that were compacted:
        EtcdStore(f"etcd://{server.address}", "sequence/begin/").put("begin", b"")
        theirs = EtcdStore(f"etcd://{server.address}", f"sequence/{uuid.uuid4().hex}/")
        file = folder / f"{uuid.uuid4().hex}.db"
        with SqliteStore(file, clock=lambda: 0.0) as ours:
            pair = Pair(ours, theirs, pool)
            for operation in operations:
                pair.run(operation)
            pair.settle_watches()
        for left in folder.glob(f"{file.name}*"):
            left.unlink()
        done += pair.done

    while done < OPERATIONS:
        agree()
