"""One driver a run: who holds it, who may take it, and that a lapsed one writes nothing."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from state_records import proposal, result, trial

from autoresearch_ray.common.errors import FencedError, StoreError
from autoresearch_ray.records.trials import Candidate
from autoresearch_ray.search.watches.program import ProgramWatch
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.contract import Store
from autoresearch_ray.store.driver_lease import KEY, Tenure
from autoresearch_ray.store.sqlite.store import SqliteStore

TAKE_AND_DIE = """
import os, sys
from pathlib import Path
from autoresearch_ray.store.sqlite.store import SqliteStore
from autoresearch_ray.store.driver_lease import Tenure
store = SqliteStore(Path(sys.argv[1]))
Tenure(store, ttl_seconds=3600).__enter__()
os._exit(0)
"""


def test_a_second_driver_is_told_who_holds_the_run(store: Store) -> None:
    with (
        Tenure(store),
        pytest.raises(StoreError, match=r"driven by process \d+ on .*; stop that one"),
        Tenure(store, wait_seconds=0),
    ):
        pass


def test_the_place_is_free_again_at_the_end(store: Store) -> None:
    with Tenure(store):
        pass
    with Tenure(store, wait_seconds=0) as tenure:
        held = store.get(KEY)
        tenure.check(held)


def test_a_second_driver_waits_for_a_lease_that_lapses_and_says_so(store: Store) -> None:
    silent = store.grant(2)
    elsewhere = {"host": "elsewhere", "where": "another machine", "pid": 1, "since": 0.0}
    store.put(KEY, json.dumps(elsewhere).encode(), silent)
    said: list[str] = []
    with Tenure(store, say=said.append, wait_seconds=30):
        assert len(said) == 1 and "process 1 on elsewhere" in said[0]


def test_a_holder_of_this_machine_that_was_killed_is_replaced_at_once(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", TAKE_AND_DIE, str(tmp_path / "state.db")], check=True)
    with SqliteStore(tmp_path / "state.db") as store, Tenure(store, wait_seconds=0):
        assert store.get(KEY) is not None


def test_a_tenure_outlives_its_first_lease(store: Store) -> None:
    with Tenure(store, ttl_seconds=2) as tenure:
        time.sleep(4.5)
        tenure.check(store.get(KEY))


def test_a_driver_whose_lease_has_lapsed_cannot_claim_or_decide(tmp_path: Path) -> None:
    now = 0.0
    with SqliteStore(tmp_path / "state.db", clock=lambda: now) as store, Tenure(store, ttl_seconds=3000) as tenure:
        board = Board(store, tenure)
        for name in ("p1", "p2"):
            assert board.enqueue(proposal(name, name), Candidate.of(name), name)
        assert board.claim(trial("t00001", proposal("p1", "p1")))
        now = 4000.0
        late: Callable[[], object]
        for late in (
            lambda: board.claim(trial("t00002", proposal("p2", "p2"))),
            lambda: board.start(trial("t00002", proposal("p2", "p2"))),
            lambda: board.settle(0, b"{}"),
        ):
            with pytest.raises(FencedError, match="has lapsed and the run belongs to nobody"):
                late()
        with Tenure(store) as next_tenure:
            with pytest.raises(FencedError, match=r"belongs to process \d+"):
                board.settle(0, b"{}")
            assert Board(store, next_tenure).settle(0, b"{}")
            assert [late.trial_id for late in Board(store, next_tenure).open_trials()] == ["t00001"]


def test_a_result_counts_whoever_brings_it_and_once(store: Store) -> None:
    with Tenure(store) as tenure:
        board = Board(store, tenure)
        board.enqueue(proposal("p1"), Candidate.of("x = 1\n"), "n1")
        board.claim(trial("t00001", proposal("p1")))
    assert Board(store).finish(result("t00001", 1.5))
    with Tenure(store) as tenure:
        assert not Board(store, tenure).finish(result("t00001", 1.4))
    found = Board(store).result("t00001")
    assert found is not None and found.val_bpb == 1.5


def test_a_race_is_lost_quietly_while_the_tenure_holds(store: Store) -> None:
    with Tenure(store) as tenure:
        board = Board(store, tenure)
        assert board.settle(0, b"one")
        assert not board.settle(0, b"two")


def test_an_edit_of_the_program_reaches_a_watch_of_the_store(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "program.md"
    file.write_text("be bold\n")
    board = Board(store)
    with ProgramWatch(board, file):
        assert board.notes.program() == "be bold\n"
        revision = store.revision()
        file.write_text("be careful\n")
        batch = store.watch("program", revision + 1, timeout_seconds=30)
        assert [event.kv.value for event in batch.events] == [b"be careful\n"]
        file.unlink()
    assert board.notes.program() == "be careful\n"
