"""A run's changes brought together, by their content hashes."""

from pathlib import Path

from small_run import CANDIDATE, settings_of, write_experiment

from autoresearch_ray.records import Candidate, Standing
from autoresearch_ray.search.merging import Merging
from autoresearch_ray.settings import Request
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.sqlite.store import SqliteStore


def test_confirmed_changes_are_brought_onto_the_frontier_together_and_the_rules_judge_each(tmp_path: Path) -> None:
    settings = settings_of(Request(experiment=write_experiment(tmp_path), program=tmp_path / "program.md"))
    frontier_text = CANDIDATE.replace("ROWS = 4", "ROWS = 8")
    children = {
        "clear": CANDIDATE.replace("LR = 0.1 ", "LR = 0.2 "),
        "refused": CANDIDATE.replace("import torch\n", "import os\n\nimport torch\n"),
        "conflicts": CANDIDATE.replace("ROWS = 4", "ROWS = 16"),
        "momentum": CANDIDATE.replace("lr=LR)", "lr=LR, momentum=0.9)"),
    }
    with SqliteStore(tmp_path / "state.db") as store:
        board = Board(store)
        parent = board.put_candidate(Candidate.of(CANDIDATE))
        frontier = Standing(board.put_candidate(Candidate.of(frontier_text)), 2.0, 2.0, 15, 2, 0.0)
        changes = [(parent, board.put_candidate(Candidate.of(text))) for text in children.values()]
        made = Merging(board, settings).together(changes, frontier)
    assert dict(zip(children, made.fitted, strict=True)) == {
        "clear": True,
        "refused": False,
        "conflicts": False,
        "momentum": True,
    }
    wanted = frontier_text.replace("LR = 0.1 ", "LR = 0.2 ").replace("lr=LR)", "lr=LR, momentum=0.9)")
    assert made.source == wanted
