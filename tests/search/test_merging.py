"""A run's changes brought together, by their content hashes."""

from pathlib import Path

from small_run import CANDIDATE, settings_of, write_experiment

from autoresearch_ray.records.decisions import Standing
from autoresearch_ray.records.trials import Candidate
from autoresearch_ray.search.merging import Merging
from autoresearch_ray.settings.request import Request
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.sqlite.store import SqliteStore


def test_a_change_is_brought_onto_the_frontier_if_both_fit_and_the_rules_allow_it(tmp_path: Path) -> None:
    settings = settings_of(Request(experiment=write_experiment(tmp_path), program=tmp_path / "program.md"))
    frontier_text = CANDIDATE.replace("ROWS = 4", "ROWS = 8")
    faster = ("LR = 0.1 ", "LR = 0.2 ")
    refused = CANDIDATE.replace("import torch\n", "import os\n\nimport torch\n")
    with SqliteStore(tmp_path / "state.db") as store:
        board = Board(store)
        parent = board.candidates.put(Candidate.of(CANDIDATE))
        frontier = Standing(board.candidates.put(Candidate.of(frontier_text)), 2.0, 2.0, 15, 2, 0.0)
        merging = Merging(board, settings)
        assert merging.bring_onto(CANDIDATE.replace(*faster), parent, frontier) == frontier_text.replace(*faster)
        assert merging.bring_onto(refused, parent, frontier) is None
        assert merging.bring_onto(CANDIDATE.replace("ROWS = 4", "ROWS = 16"), parent, frontier) is None
        assert merging.bring_onto(refused, frontier.source_sha, frontier) == refused, "it stands there already"
