"""What a run keeps: the queue, trials, results, decisions, standings, steps. All stores keep one contract, so one is
enough here; reading the file beside a living store is tried on each."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from state_records import decision, proposal, result, standing, step, trial

from autoresearch_ray.common.errors import LineageError, StoreError
from autoresearch_ray.records.history import TrialRow
from autoresearch_ray.records.trials import Candidate, Trial
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.contract import Store
from autoresearch_ray.store.history import read_history
from autoresearch_ray.store.sqlite.store import SqliteStore


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with SqliteStore(tmp_path / "state.db") as store:
        yield Board(store)


def test_settings_are_put_once(board: Board) -> None:
    assert board.settings() is None
    assert board.put_settings_once(b'{"slots":2}')
    assert not board.put_settings_once(b"{}")
    assert board.settings() == b'{"slots":2}'


def test_a_source_is_kept_once_and_read_back(board: Board) -> None:
    sha = board.candidates.put(Candidate.of("x = 1\n"))
    revision = board.store.revision()
    assert board.candidates.put(Candidate.of("x = 1\n")) == sha == Candidate.of("x = 1\n").sha
    assert Board(board.store).candidates.put(Candidate.of("x = 1\n")) == sha
    assert board.store.revision() == revision
    assert Board(board.store).candidates.get(sha).text == "x = 1\n"
    with pytest.raises(StoreError, match="not in the store"):
        board.candidates.get("0" * 64)


def test_a_proposal_is_queued_once_and_what_was_seen_is_refused(board: Board) -> None:
    first, again = proposal("p2"), proposal("p3", "x = 1  # same\n")
    assert board.enqueue(first, Candidate.of("x = 1\n"), normal_sha="n1")
    assert not board.enqueue(again, Candidate.of("x = 1  # same\n"), normal_sha="n1")
    assert board.enqueue(proposal("p1", "y = 1\n"), Candidate.of("y = 1\n"), normal_sha="n2")
    assert [waiting.proposal_id for waiting in board.queue()] == ["p1", "p2"]
    assert Board(board.store).candidates.get(first.source_sha).text == "x = 1\n"


def test_a_dropped_proposal_may_come_again_and_a_claimed_one_is_not_dropped(board: Board) -> None:
    for name, text in (("p1", "a\n"), ("p2", "b\n")):
        board.enqueue(proposal(name, text), Candidate.of(text), normal_sha=f"n{name}")
    board.claim(trial("t00001", proposal("p2", "b\n")))
    assert board.drop(["p1", "p2", "p9"]) == 1
    assert board.drop(["p1"]) == 0
    assert board.enqueue(proposal("p3", "a\n"), Candidate.of("a\n"), normal_sha="np1")
    assert not board.enqueue(proposal("p4", "b\n"), Candidate.of("b\n"), normal_sha="np2")


def test_a_proposal_is_claimed_by_one_trial_alone(board: Board) -> None:
    waiting = proposal("p1")
    board.enqueue(waiting, Candidate.of("x = 1\n"), normal_sha="n1")
    assert board.last_trial_id() is None
    assert board.claim(trial("t00001", waiting))
    assert not board.claim(trial("t00002", waiting))
    assert not board.start(trial("t00001", waiting))
    assert board.start(trial("t00002", waiting))
    assert board.queue() == []
    assert [held.trial_id for held in board.open_trials()] == ["t00001", "t00002"]
    assert (board.trial_count(), board.last_trial_id()) == (2, "t00002")


def test_a_result_is_written_once_and_a_late_duplicate_changes_nothing(board: Board) -> None:
    board.start(trial("t00001", proposal("p1")))
    assert board.finish(result("t00001", 1.5))
    revision = board.store.revision()
    assert not board.finish(result("t00001", 1.1))
    assert board.store.revision() == revision
    assert board.result("t00001") == result("t00001", 1.5)
    assert board.open_trials() == []
    with pytest.raises(StoreError, match="nobody claimed"):
        board.finish(result("t00002"))


def test_undecided_results_come_in_the_order_they_were_stored(board: Board) -> None:
    for name in ("t00001", "t00002", "t00003"):
        board.start(trial(name, proposal("p1")))
    for name in ("t00003", "t00001", "t00002"):
        board.finish(result(name))
    assert [pending.trial_id for pending in board.open_results()] == ["t00003", "t00001", "t00002"]
    assert board.settle(0, b"s", [decision("t00003"), decision("t00002")])
    assert [pending.trial_id for pending in board.open_results()] == ["t00001"]


def test_a_late_duplicate_of_a_decided_result_is_not_undecided_again(board: Board) -> None:
    board.start(trial("t00001", proposal("p1")))
    board.finish(result("t00001"))
    board.settle(0, b"s", [decision("t00001")])
    assert not board.finish(result("t00001"))
    assert board.open_results() == []


def test_who_settles_against_an_old_search_state_changes_nothing(board: Board) -> None:
    board.start(trial("t00001", proposal("p1")))
    board.finish(result("t00001"))
    assert board.search_state() == (None, 0)
    assert board.settle(0, b"one", [decision("t00001")], frontier=standing("a"), best=standing("b"), steps=[step(1)])
    state, revision = board.search_state()
    assert state == b"one"
    assert not board.settle(0, b"two", frontier=standing("c"), steps=[step(2)])
    assert (board.frontier(), board.best()) == (standing("a"), standing("b"))
    assert [taken.index for taken in board.steps()] == [1]
    assert board.settle(revision, b"two", steps=[step(2)])
    assert board.frontier() == standing("a")
    assert [taken.index for taken in board.steps(2)] == [2]


def test_a_commit_is_noted_once_and_another_hash_is_an_error(board: Board) -> None:
    assert board.put_commit(1, "abc")
    assert not board.put_commit(1, "abc")
    with pytest.raises(LineageError, match="step 1"):
        board.put_commit(1, "def")
    board.put_commit(12, "123")
    assert board.commits() == {1: "abc", 12: "123"}


def test_the_program_is_rewritten_only_when_it_changed(board: Board) -> None:
    assert board.notes.program() is None
    assert board.notes.put_program("be bold")
    assert not board.notes.put_program("be bold")
    assert board.notes.put_program("be careful")
    assert board.notes.program() == "be careful"


def test_trials_past_the_hundred_thousandth_stay_in_order(board: Board) -> None:
    for name in ("t99999", "t100000"):
        board.start(trial(name, proposal("p1")))
    assert [held.trial_id for held in board.trials()] == ["t99999", "t100000"]


def small_run(board: Board) -> tuple[Trial, Trial]:
    first, second = trial("t00001", proposal("p1")), trial("t00002", proposal("p2", "y = 1\n"))
    board.put_settings_once(json.dumps({"slots": 2}).encode())
    board.enqueue(first.proposal, Candidate.of("x = 1\n"), "n1")
    board.enqueue(second.proposal, Candidate.of("y = 1\n"), "n2")
    board.enqueue(proposal("p3", "z = 1\n"), Candidate.of("z = 1\n"), "n3")
    board.claim(first)
    board.claim(second)
    board.finish(result("t00001"))
    board.settle(0, b"s", [decision("t00001")], steps=[step(1)])
    board.put_commit(1, "abc")
    return first, second


def test_the_history_is_all_of_the_past_and_the_sources_that_it_names(board: Board) -> None:
    first, second = small_run(board)
    history = board.history()
    assert history.settings == {"slots": 2}
    assert [row.trial for row in history.rows] == [first, second]
    assert history.rows[0].result is not None
    assert history.rows[0].result.val_bpb == 1.5
    assert history.rows[0].decision == decision("t00001")
    assert history.rows[1] == TrialRow(second, None, None)
    assert [taken.index for taken in history.steps] == [1]
    assert history.commits == {1: "abc"}
    assert sorted(one.text for one in history.candidates.values()) == ["x = 1\n", "y = 1\n"]


def test_a_history_longer_than_a_page_is_whole(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "state.db") as store:
        board = Board(store)
        board.put_settings_once(b"{}")
        for number in range(1, 2_102):
            board.start(trial(f"t{number:05d}", proposal("p1")))
        assert [row.trial.trial_id for row in board.history().rows] == [f"t{n:05d}" for n in range(1, 2_102)]


def test_a_history_is_read_from_the_file_beside_a_living_store(file_store: Store, tmp_path: Path) -> None:
    board = Board(file_store)
    small_run(board)
    assert [row.trial.trial_id for row in read_history(tmp_path / "state.db").rows] == ["t00001", "t00002"]
    board.start(trial("t00003", proposal("p1")))
    assert len(read_history(tmp_path / "state.db").rows) == 3


def test_a_history_is_read_from_the_file_after_the_store_is_closed(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "state.db") as store:
        small_run(Board(store))
    assert len(read_history(tmp_path / "state.db").rows) == 2


def test_a_history_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such file"):
        read_history(tmp_path / "state.db")
    with SqliteStore(tmp_path / "state.db"), pytest.raises(StoreError, match="no settings"):
        read_history(tmp_path / "state.db")


def test_who_follows_is_told_what_has_changed_since_as_records(store: Store) -> None:
    board = Board(store)
    board.enqueue(proposal("p0"), Candidate.of("x = 1\n"), "n0")
    before = store.revision()
    board.enqueue(proposal("p1"), Candidate.of("x = 1\n"), "n1")
    board.claim(trial("t00001", proposal("p0")))
    board.finish(result("t00001"))
    revision = board.settle(0, b"s", [decision("t00001")], frontier=standing("a"), steps=[step(1)])
    changes = board.follow(before)
    assert changes.revision == revision
    assert changes.queued == {"p0": None, "p1": proposal("p1")}
    assert changes.trials == (trial("t00001", proposal("p0")),)
    assert [one.trial_id for one in changes.results] == ["t00001"] == [one.trial_id for one in changes.decisions]
    assert changes.steps == (step(1),)
    assert (changes.settings, changes.findings, changes.rejected) == (None, None, ())
    assert changes.results[0] is changes.results[0], "read once for all who share it"
    after = board.follow(revision)
    assert (after.revision, after.trials, after.queued) == (revision, (), {})
    assert board.follow(before, folder="result/").trials == ()
