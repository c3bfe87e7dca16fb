"""What a person is told of the models while a run goes."""

from pathlib import Path

import pytest

from autoresearch_ray.driver.console import Progress
from autoresearch_ray.records import ProposerStatus
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.sqlite.store import SqliteStore


def test_a_model_s_failure_and_a_remark_are_told_once_and_a_model_that_is_well_is_no_news(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with SqliteStore(tmp_path / "state.db") as store:
        board = Board(store)
        board.put_proposer(ProposerStatus("openai:cut", "ok", "its server read 9 tokens"))
        board.put_proposer(ProposerStatus("openai:dead", "pausing", "openai:dead: cannot be reached"))
        board.put_proposer(ProposerStatus("openai:well", "ok"))
        with Progress(plain=True).hearing(board):
            pass
    news = [line for line in capsys.readouterr().out.splitlines() if "conversations" not in line]
    assert news == [
        "openai:cut: its server read 9 tokens",
        "openai:dead: cannot be reached; asked again later, the others go on",
    ]
