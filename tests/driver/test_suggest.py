"""A person's idea for a run: what is checked before it is handed over, and how the driver queues it."""

import difflib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from small_run import settings_of, write_experiment
from stored_run import BETTER, SGD, START, run_folder

from autoresearch_ray.candidate.normal_form import normal_sha
from autoresearch_ray.driver.suggestions import write_constants
from autoresearch_ray.records.codec import to_json
from autoresearch_ray.records.decisions import Standing
from autoresearch_ray.records.trials import Candidate
from autoresearch_ray.search.watches.suggestions import Suggestion, SuggestionWatch, leave_suggestion
from autoresearch_ray.settings.request import ask
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.sqlite.store import SqliteStore
from autoresearch_ray.suggest import main

STEP = "        optimizer.step()\n"
MINE = START.replace(STEP, "        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n" + STEP)
HOPE = "Clipped steps do not jump."


@pytest.fixture
def settings(tmp_path: Path) -> RunSettings:
    return settings_of(ask(experiment=write_experiment(tmp_path, START), program=tmp_path / "program.md"))


@pytest.fixture
def board(tmp_path: Path, settings: RunSettings) -> Iterator[Board]:
    with SqliteStore(tmp_path / "state.db") as store:
        board = Board(store)
        board.candidates.put(Candidate.of(settings.baseline))
        yield board


def move_frontier(board: Board, text: str, version: int = 1) -> None:
    standing = Standing(board.candidates.put(Candidate.of(text)), 2.0, 2.0, 15, version, 0.0)
    board.store.put("frontier", to_json(standing).encode())


def suggestion(text: str = MINE, hypothesis: str = HOPE) -> Suggestion:
    return Suggestion(text, Candidate.of(START).sha, hypothesis, 1.0)


def taken(board: Board, settings: RunSettings, folder: Path) -> list[str]:
    """What is said when the driver looks once."""
    said: list[str] = []
    SuggestionWatch(board, settings, folder, said.append).take()
    return said


def test_it_waits_for_the_start_and_is_queued_once(board: Board, settings: RunSettings, tmp_path: Path) -> None:
    left = leave_suggestion(tmp_path, suggestion())
    assert taken(board, settings, tmp_path) == [] and left.exists()
    move_frontier(board, START)
    assert taken(board, settings, tmp_path) == [f"a person's idea is queued: {HOPE}"] and not left.exists()
    leave_suggestion(tmp_path, suggestion())  # as if the driver had been killed before it took the file away
    taken(board, settings, tmp_path)
    (proposal,) = board.queue()
    assert (proposal.proposer, proposal.kind, proposal.hypothesis, proposal.lines_added) == ("person", "code", HOPE, 1)
    assert board.candidates.get(proposal.source_sha).text == MINE and board.notes.rejections() == ()


def test_it_is_merged_onto_a_frontier_that_has_moved(board: Board, settings: RunSettings, tmp_path: Path) -> None:
    move_frontier(board, BETTER, 2)
    leave_suggestion(tmp_path, suggestion())
    taken(board, settings, tmp_path)
    (proposal,) = board.queue()
    assert proposal.parent_sha == Candidate.of(BETTER).sha and proposal.parent_version == 2
    text = board.candidates.get(proposal.source_sha).text
    assert "torch.optim.Adam" in text and "clip_grad_norm_" in text


@pytest.mark.parametrize(
    ("text", "frontier", "refusal"),
    [
        (START.replace(SGD, "torch.optim.Rprop(model.parameters())"), BETTER, "moved"),
        ("import os\n" + MINE, START, "rule"),
        ("def (", START, "rule"),
    ],
)
def test_what_cannot_be_queued_is_said_and_kept(
    text: str, frontier: str, refusal: str, board: Board, settings: RunSettings, tmp_path: Path
) -> None:
    move_frontier(board, frontier)
    leave_suggestion(tmp_path, suggestion(text))
    (said,) = taken(board, settings, tmp_path)
    (kept,) = board.notes.rejections()
    assert kept.refusal == refusal and kept.proposer == "person" and said.endswith(kept.detail) and board.queue() == []


def test_a_second_of_the_same_is_refused_and_what_is_unreadable_is_put_aside(
    board: Board, settings: RunSettings, tmp_path: Path
) -> None:
    move_frontier(board, START)
    leave_suggestion(tmp_path, suggestion())
    leave_suggestion(tmp_path, replace(suggestion(MINE + "\n\n# again\n", "Once more."), at=2.0))
    (tmp_path / "suggestions" / "0.json").write_text("{")
    said = taken(board, settings, tmp_path)
    assert len(board.queue()) == 1 and [idea.hypothesis for idea in board.notes.rejections()] == ["Once more."]
    assert any("put aside" in line for line in said)
    assert [path.name for path in (tmp_path / "suggestions").iterdir()] == ["0.unreadable"]


def written(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def patch(before: str, after: str) -> str:
    lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), "a/train.py", "b/train.py")
    return "".join(lines)


def test_a_file_and_a_patch_are_handed_over_with_the_candidate_that_they_were_made_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUTORESEARCH_HOME", str(tmp_path / "home"))
    run = run_folder(tmp_path, BETTER)
    clipped = BETTER.replace(STEP, "        torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)\n" + STEP)
    assert main([str(run), written(tmp_path, "mine.py", MINE), "--hypothesis", HOPE]) == 0
    assert main([str(run), written(tmp_path, "idea.patch", patch(BETTER, clipped))]) == 0
    assert capsys.readouterr().out.count("passed the rules and a dry run; the run takes it when it is resumed") == 2
    left = [path.read_text() for path in sorted((run / "suggestions").iterdir())]
    assert Candidate.of(START).sha in left[0] and HOPE in left[0]
    assert Candidate.of(BETTER).sha in left[1] and "As suggested in idea.patch." in left[1]


def test_a_text_made_from_the_experiments_own_train_py_gets_the_experiments_constants(tmp_path: Path) -> None:
    shipped = START.replace("WIDTH = 16 ", "WIDTH = 64 ").replace("ROWS = 4 ", "ROWS = 32 ")
    (tmp_path / "shipped.py").write_text(shipped)
    settings = settings_of(ask(experiment=write_experiment(tmp_path, START), program=tmp_path / "program.md"))
    constants = {"WIDTH": 16, "ROWS": 4}
    experiment = settings.train_experiment.replace(candidate=str(tmp_path / "shipped.py"), constants=constants)
    mine = shipped.replace(STEP, "        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n" + STEP)
    assert normal_sha(write_constants(mine, START, experiment) or "") == normal_sha(MINE)
    wide = mine.replace("WIDTH = 64 ", "WIDTH = 48 ")
    written = write_constants(wide, START, experiment) or ""
    assert "WIDTH = 48 " in written and "ROWS = 4 " in written, "what was changed there is meant"
    assert write_constants(MINE, START, experiment) is None


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.py", "import os\n" + MINE, "os"),
        ("a.py", START + "# a comment\n", "does the same as t00001"),
        ("a.py", START.replace("model(x)", "model(x, x)"), "fails a dry run"),
        ("a.patch", "no hunk", "has no hunk"),
        ("a.patch", patch("nowhere = 1\n", "nowhere = 2\n"), "applies neither to the frontier"),
        ("gone.py", None, "cannot be read"),
    ],
)
def test_what_cannot_be_tried_is_one_clear_error(
    name: str,
    text: str | None,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AUTORESEARCH_HOME", str(tmp_path / "home"))
    run = run_folder(tmp_path, BETTER)
    file = written(tmp_path, name, text) if text is not None else str(tmp_path / name)
    assert main([str(run), file]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {file}: ") and words in said.splitlines()[0]
    assert not (run / "suggestions").exists()


def test_what_won_in_another_run_is_merged_onto_the_frontier(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    run, other = run_folder(here, START, BETTER), run_folder(there, MINE)
    assert main([str(run), "--from-run", str(other)]) == 0
    assert "1 win of " in capsys.readouterr().out
    with SqliteStore(run / "state.db") as store:
        board = Board(store)
        settings = RunSettings.model_validate_json(board.settings() or b"")
        (said,) = taken(board, settings, run)
        (proposal,) = board.queue()
        text = board.candidates.get(proposal.source_sha).text
    assert "torch.optim.Adam" in text and "clip_grad_norm_" in text
    assert "As it won in x: a hypothesis" in said and proposal.parent_sha == Candidate.of(BETTER).sha


def test_there_must_be_a_file_or_another_run_with_a_win(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other").mkdir()
    run, other = run_folder(tmp_path, BETTER), run_folder(tmp_path / "other")
    for arguments, words in (
        ([], "expected a FILE, or --from-run RUN"),
        (["a.py", "--from-run", str(other)], "expected a FILE, or --from-run RUN"),
        (["--from-run", str(other)], "has no win; expected a run that has proven something"),
        (["--from-run", str(run)], "is the run itself; expected another one"),
        (["--from-run", "nowhere"], "nowhere"),
    ):
        assert main([str(run), *arguments]) == 2
        said = capsys.readouterr().err
        assert words in said and said.count("\n") == 1
    assert not (run / "suggestions").exists()
