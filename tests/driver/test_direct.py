"""Where models are asked to look, as a person sees and changes it: the command, and what the driver makes of it."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_run import settings_of, write_experiment
from stored_run import BETTER, run_folder

from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.direct import main
from autoresearch_ray.driver.files import rebuild
from autoresearch_ray.propose.director.directives import parse_directives
from autoresearch_ray.records.guidance import NO_DIRECTIVES, PERSON, Findings, KnobEffect, Outlook, SubjectRecord
from autoresearch_ray.search.watches.directives import DirectivesWatch, Edit, leave_edit
from autoresearch_ray.settings.request import ask
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.history import read_directives
from autoresearch_ray.store.sqlite.store import SqliteStore

TEXT = "note: Adam won.\n\ndirection: Schedules\nreason: nothing was tried there\nshare: 0.5\n\nstop: wider layers\n"
FIRST = parse_directives(TEXT, NO_DIRECTIVES, "director openai:x", 12, 1.7e9)
FINDINGS = Findings(
    results=12, at=1.7e9, noise_sd=0.01, pair_sd=0.004,
    knobs=(KnobEffect("LR", "raised", 3, 0.012, 0.004, 0.02),), untried_knobs=("ROWS",),
    subjects=(SubjectRecord("attention", 3, 0, 1, 2, -0.01, -0.02, 0.001, "crash: <script>alert(1)</script>"),),
    untried_subjects=("the speed of a step",), interactions=(),
    outlook=Outlook(40, 1, 20, 0.003, 0.012, 0.004, True), advice="explore", reason="1 of the last 40 advanced",
)  # fmt: skip


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with SqliteStore(tmp_path / "state.db") as store:
        yield Board(store)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with findings and directives."""
    run = run_folder(tmp_path, BETTER)
    with SqliteStore(run / "state.db") as store:
        board = Board(store)
        board.notes.put_findings(FINDINGS)
        board.notes.put_directives(FIRST)
    return run


def taken(board: Board, folder: Path) -> list[str]:
    """What is said when the driver looks once."""
    said: list[str] = []
    DirectivesWatch(board, folder, said.append).take()
    return said


def test_findings_and_directions_are_shown(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(run)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("after 12 candidates: explore. 1 of the last 40 advanced\n")
    for words in (
        "a gain of 0.0040 is seen after 7 pairs",
        "LR    raised  3           +0.0120 (+0.0040 to +0.0200)  helps",
        "never moved: ROWS",
        "version 1, by director openai:x",
        "direction: Schedules",
        "stop: wider layers",
    ):
        assert words in shown, words


def test_the_report_tells_them_and_escapes_what_is_foreign(run: Path) -> None:
    rebuild(run)
    page = (run / "report.html").read_text()
    for words in (
        "What all results say",
        "Directions",
        "Schedules",
        "Not worth trying any more: wider layers",
        "helps",
    ):
        assert words in page, words
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page


def test_a_file_is_handed_over_and_becomes_the_next_version_once(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = run.parent / "mine.txt"
    mine.write_text("direction: Mine\nshare: 1\n")
    assert main([str(run), "--edit", str(mine)]) == 0
    assert "the run takes it when it is resumed" in capsys.readouterr().out
    assert main([str(run)]) == 0
    assert "1 edit waiting for the run to go on" in capsys.readouterr().out
    (left,) = (run / "directives").glob("*.json")
    again = left.read_bytes()
    with SqliteStore(run / "state.db") as store:
        board = Board(store)
        taken(board, run)
        written = board.notes.directives()
        left.write_bytes(again)  # as if the driver had been killed before it took the file away
        taken(board, run)
        assert board.notes.directives() == written and not left.exists()
    assert (written.version, written.author, written.pinned) == (2, PERSON, True)
    assert [(direction.name, direction.title) for direction in written.directions] == [("d2", "Mine")]


def test_an_editor_gets_the_directions_as_they_are(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    editor = run.parent / "editor"
    editor.write_text('#!/bin/sh\ncp "$1" seen.txt\necho "stop: bundles" >> "$1"\n')
    editor.chmod(editor.stat().st_mode | stat.S_IXUSR)
    monkeypatch.chdir(run.parent)
    monkeypatch.setenv("EDITOR", str(editor))
    monkeypatch.delenv("VISUAL", raising=False)
    assert main([str(run), "--edit"]) == 0
    assert "direction: Schedules\nreason: nothing was tried there\nshare: 0.5" in (run.parent / "seen.txt").read_text()
    with SqliteStore(run / "state.db") as store:
        taken(Board(store), run)
        assert Board(store).notes.directives().stops == ("wider layers", "bundles")
    monkeypatch.setenv("EDITOR", "true")
    assert main([str(run), "--edit"]) == 2
    assert "nothing was changed; --pin keeps the directions as they are" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "state"),
    [("--pin", (True, False)), ("--release", (False, False)), ("--off", (False, True)), ("--on", (False, False))],
)
def test_directions_are_pinned_released_and_switched(run: Path, option: str, state: tuple[bool, bool]) -> None:
    assert main([str(run), option]) == 0
    with SqliteStore(run / "state.db") as store:
        taken(Board(store), run)
        written = Board(store).notes.directives()
    assert (written.pinned, written.off) == state and written.directions == FIRST.directions
    assert (written.version, written.is_closed) == (2, any(state))


def test_somebody_else_s_version_does_not_stop_a_person(board: Board, tmp_path: Path) -> None:
    board.notes.put_directives(FIRST)
    for at, text in enumerate(("direction: One\n", "direction: Two\n"), start=1):
        leave_edit(tmp_path, Edit("edit", text, at=float(at)))
    assert len(taken(board, tmp_path)) == 2
    newest = board.notes.directives()
    assert newest.version == 3 and newest.directions[0].title == "Two", "in their order"
    assert [one.author for one in read_directives(board.store)] == ["director openai:x", PERSON, PERSON]


def test_what_cannot_be_read_is_put_aside(board: Board, tmp_path: Path) -> None:
    leave_edit(tmp_path, Edit("edit", "nothing of use", at=1.0))
    (tmp_path / "directives" / "2.json").write_text("{")
    said = taken(board, tmp_path)
    assert len(said) == 2 and all(line.endswith("put aside") for line in said)
    assert sorted(path.name for path in (tmp_path / "directives").iterdir()) == ["1000000.unreadable", "2.unreadable"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "nowhere"),
        (["{run}", "--edit", "missing.txt"], "missing.txt: cannot be read"),
        (["{run}", "--edit", "{run}/e.txt"], "e.txt: no `direction:` and no `stop:` in it"),
    ],
)
def test_a_wrong_use_is_one_line(
    run: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "e.txt").write_text("hello\n")
    assert main([argument.replace("{run}", str(run)) for argument in arguments]) == 2
    said = capsys.readouterr().err
    assert words in said and said.startswith("error: ") and said.count("\n") == 1
    assert not (run / "directives").exists()


def test_a_run_in_which_no_model_proposes_says_that_nobody_reads_them(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(run), "--off"]) == 0
    assert "no language model proposes in it, so nobody reads directions" in capsys.readouterr().out


def test_a_director_without_a_model_that_proposes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--director openai:x: no language model proposes"):
        directed(tmp_path, director="openai:x")
    with pytest.raises(SettingsError, match="--director tpe: a director is a model; expected one of anthropic:MODEL"):
        directed(tmp_path, director="tpe", proposers=("openai:x",))
    settings = directed(tmp_path, director="openai:y", proposers=("openai:x",))
    assert settings.director_label == "director openai:y" and settings.has_models
    assert directed(tmp_path, director="none", proposers=("openai:x",)).director is None


def directed(folder: Path, **options: object) -> RunSettings:
    return settings_of(ask(experiment=write_experiment(folder), program=folder / "program.md", **options))
