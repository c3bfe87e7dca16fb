"""Which trained models a run keeps: the best's, and a handful that may become it, whatever is killed."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from kept_run import keeping, prove
from stored_run import BETTER, START, run_folder, step_to

from autoresearch_ray.candidate.normal_form import code_lines
from autoresearch_ray.cluster.node_files import DepotActor
from autoresearch_ray.common.paths import BEST_FOLDER, KEPT_MODEL_FILES, python_command
from autoresearch_ray.driver.weights import MOST_WAITING, WeightKeeper
from autoresearch_ray.observe.lines import summary_lines
from autoresearch_ray.records.decisions import Standing
from autoresearch_ray.records.kept_model import PARTIAL, is_whole, read_kept
from autoresearch_ray.records.trials import Result, Trial
from autoresearch_ray.settings.run_settings import RunTerms
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.connect import read_run
from autoresearch_ray.store.sqlite.store import SqliteStore

OTHERS = [BETTER.replace("WIDTH = 16 ", f"WIDTH = {width} ") for width in (17, 18, 19, 20)]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUTORESEARCH_HOME", str(tmp_path / "home"))
    return run_folder(tmp_path, BETTER)


@pytest.fixture
def board(run: Path) -> Iterator[Board]:
    with SqliteStore(run / "state.db") as store:
        yield Board(store)


def finish(board: Board, run: Path, number: int, val_bpb: float, text: str = BETTER) -> tuple[Trial, Result]:
    """A run of a proof with its result, and files that stand for its model."""
    trial = prove(board, number, text)
    folder = run / "trials" / trial.trial_id
    folder.mkdir(parents=True)
    for name in KEPT_MODEL_FILES:
        (folder / name).write_text(f"{name} of {trial.trial_id}")
    result = Result(trial.trial_id, "ok", val_bpb=val_bpb)
    board.finish(result)
    return trial, result


def waiting(run: Path) -> list[str]:
    """The trials whose models lie in their own folders."""
    return sorted({path.parent.name for name in KEPT_MODEL_FILES for path in run.glob(f"trials/*/*{name}*")})


def test_of_the_runs_of_the_best_the_lowest_is_kept_and_the_others_are_deleted(board: Board, run: Path) -> None:
    settings = keeping(board)
    for number, val_bpb in ((2, 0.6), (3, 0.4), (4, 0.5)):
        finish(board, run, number, val_bpb)
    (run / "trials" / "t00009").mkdir()
    (run / "trials" / "t00009" / f".{KEPT_MODEL_FILES[0]}.part").write_text("cut off")
    said: list[str] = []
    with WeightKeeper(board, settings, run, said.append) as keeper:
        assert not keeper.lacks()
    kept = read_kept(run)
    assert kept is not None and (kept.trial_id, kept.val_bpb, kept.step) == ("t00003", 0.4, 3) and is_whole(run, kept)
    assert (run / BEST_FOLDER / "model.pt").read_text() == "model.pt of t00003" and waiting(run) == []
    assert said == ["the best's trained model is kept: t00003, val_bpb 0.4000, 0.0 MB in run/best"]
    line = f"model        {python_command()} -m autoresearch_ray.sample runs/x  (t00003, 0.0 MB)"
    assert line in summary_lines(read_run(run), "runs/x", kept=kept)
    assert any("--resume runs it once more" in line for line in summary_lines(read_run(run), "runs/x"))


def test_one_run_of_the_latest_candidates_waits_until_one_of_them_wins(board: Board, run: Path) -> None:
    settings = keeping(board)
    finish(board, run, 2, 0.5)
    said: list[str] = []
    keeper = WeightKeeper(board, settings, run, said.append)
    notify = keeper.after(lambda *_: None)
    with keeper:
        for number, text in enumerate([*OTHERS, OTHERS[2], OTHERS[3]], start=3):
            notify(*finish(board, run, number, 0.5 - 0.01 * number, text), (), ())
            assert not keeper.lacks(), "and it has looked"
            assert len(waiting(run)) <= MOST_WAITING
        assert waiting(run) == ["t00007", "t00008"], "the lower runs of the two latest"
        won = replace(step_to(board, 4, "keep", OTHERS[3]), gain=1.0)
        best = Standing(won.source_sha, 1.0, 0.5, code_lines(OTHERS[3]), 9, 0.0)
        assert board.settle(board.search_state()[1], b"", best=best, steps=[won])
        notify(*finish(board, run, 20, 0.1, START), (), (won,))
    kept = read_kept(run)
    assert kept is not None and kept.trial_id == "t00008" and kept.step == 4
    assert waiting(run) == ["t00007", "t00020"] and len(said) == 2
    assert sorted(path.name for path in run.glob("*best*")) == ["best"]


@pytest.mark.parametrize("moment", ["before it was renamed", "between the two renames"])
def test_a_driver_that_is_killed_while_it_installs_is_followed_by_one_that_finishes(
    board: Board, run: Path, moment: str
) -> None:
    settings = keeping(board)
    finish(board, run, 2, 0.5)
    with WeightKeeper(board, settings, run, print):
        pass
    (run / BEST_FOLDER).rename(run / PARTIAL)
    if moment == "before it was renamed":
        shutil.copytree(run / PARTIAL, run / BEST_FOLDER)  # stands for an earlier best
    with WeightKeeper(board, settings, run, print) as keeper:
        assert not keeper.lacks()
    kept = read_kept(run)
    assert kept is not None and is_whole(run, kept) and not (run / PARTIAL).exists()


def test_a_large_file_of_another_node_arrives_in_parts_each_of_which_may_be_repeated(board: Board, run: Path) -> None:
    depot = DepotActor(RunTerms.model_validate(keeping(board).terms()).model_dump_json(), str(run))
    parts = [(0, b"abcd", False), (4, b"efgh", False), (4, b"efgh", False), (8, b"i", True), (8, b"i", True)]
    for number, (offset, content, is_last) in enumerate(parts):
        depot.keep_part("t00002", "model.pt", offset, content, is_last)
        assert (run / "trials" / "t00002" / "model.pt").exists() == (number >= 3), "whole or not there"
    assert (run / "trials" / "t00002" / "model.pt").read_bytes() == b"abcdefghi"
    assert [path.name for path in (run / "trials" / "t00002").iterdir()] == ["model.pt"]


def test_a_best_without_its_model_or_with_a_torn_one_is_lacking(board: Board, run: Path) -> None:
    settings = keeping(board)
    with WeightKeeper(board, settings, run, print) as keeper:
        assert keeper.lacks() and not (run / BEST_FOLDER).exists()
        notify = keeper.after(lambda *_: None)
        notify(*finish(board, run, 2, 0.5), (), ())
        assert not keeper.lacks()
    (run / BEST_FOLDER / "skeleton.pt").write_text("torn")
    said: list[str] = []
    with WeightKeeper(board, settings, run, said.append) as keeper:
        assert keeper.lacks() and "is not what was kept; the best's weights are made again" in said[0]
        keeper.after(lambda *_: None)(*finish(board, run, 3, 0.6), (), ())
        assert not keeper.lacks()
    kept = read_kept(run)
    assert kept is not None and kept.trial_id == "t00003" and is_whole(run, kept)
