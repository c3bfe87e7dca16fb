"""What a person is told of the models while a run goes."""

import time
from pathlib import Path

import pytest

from autoresearch_ray.driver.console import Progress
from autoresearch_ray.propose.director.directives import parse_directives
from autoresearch_ray.records.guidance import NO_DIRECTIVES, PERSON, STATISTICS, Findings, Outlook
from autoresearch_ray.records.proposers import ProposerStatus
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.sqlite.store import SqliteStore


def test_a_model_s_failure_and_a_remark_are_told_once_and_a_model_that_is_well_is_no_news(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with SqliteStore(tmp_path / "state.db") as store:
        board = Board(store)
        board.notes.put_proposer(ProposerStatus("openai:cut", "ok", "its server read 9 tokens"))
        board.notes.put_proposer(ProposerStatus("openai:dead", "pausing", "openai:dead: cannot be reached"))
        board.notes.put_proposer(ProposerStatus("openai:well", "ok"))
        with Progress(plain=True).hearing(board):
            pass
    news = [line for line in capsys.readouterr().out.splitlines() if "conversations" not in line]
    assert news == [
        "openai:cut: its server read 9 tokens",
        "openai:dead: cannot be reached; asked again later, the others go on",
    ]


def test_new_advice_and_directions_that_somebody_wrote_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autoresearch_ray.driver.console.HEAR_SECONDS", 0.05)
    outlook = Outlook(40, 0, 20, 0.001, 0.002, 0.004, True)
    findings = Findings(40, 0.0, 0.01, 0.002, (), (), (), (), (), outlook, "explore", "nothing of late advanced")
    said = ""
    with SqliteStore(tmp_path / "state.db") as store:
        board = Board(store)
        board.notes.put_directives(parse_directives("direction: of an earlier launch\n", NO_DIRECTIVES, PERSON, 8, 0.0))
        with Progress(plain=True).hearing(board):
            time.sleep(0.2)
            board.notes.put_findings(findings)
            for author in (STATISTICS, "director openai:x"):
                newest = parse_directives(f"direction: by {author}\n", board.notes.directives(), author, 40, 0.0)
                board.notes.put_directives(newest)
                while author != STATISTICS and author not in said:
                    said += capsys.readouterr().out
                    time.sleep(0.05)
    assert said.splitlines() == [
        "after 40 candidates: explore; nothing of late advanced",
        "directions by director openai:x: by director openai:x",
    ]
