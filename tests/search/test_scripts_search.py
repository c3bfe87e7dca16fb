"""A search by a score that is to rise: decided as one that falls, and told in its own words to git and to tools."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_run import settings_of, write_experiment
from test_lineage import git
from test_search import queue

from autoresearch_ray.driver.tools.news import TrialNews, WinNews, read_wins, tell_end, tell_win
from autoresearch_ray.driver.tools.tracker import list_params
from autoresearch_ray.observe.lines import summary_lines
from autoresearch_ray.observe.tables.formats import write_table
from autoresearch_ray.observe.tables.trials import trial_table
from autoresearch_ray.records.codec import to_json
from autoresearch_ray.records.trials import Result, Trial
from autoresearch_ray.search.recompute import recompute_decisions
from autoresearch_ray.search.search import Search
from autoresearch_ray.settings.request import Request
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.settings.script_experiment import ScriptExperiment
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.sqlite.store import SqliteStore

SCRIPT = ScriptExperiment.model_validate(
    {
        "contract": "script",
        "name": "digits",
        "command": "python fit.py",
        "editable": ["fit.py"],
        "metric": "accuracy",
        "direction": "higher",
        "budget_seconds": 1.0,
    }
)


@pytest.fixture
def settings(tmp_path: Path) -> RunSettings:
    request = Request(experiment=write_experiment(tmp_path), trials=40, slots=2, program=tmp_path / "program.md")
    made = settings_of(request)
    return made.replace(experiment=SCRIPT, rules=replace(made.rules, complexity_price=0.0))


class Won(SimpleNamespace):
    """A run that has proven one win: its board, its settings, its folder."""

    board: Board
    settings: RunSettings
    folder: Path


def search_until_win(settings: RunSettings, folder: Path, board: Board) -> None:
    """A change that is better by 0.05 and one that is worse, among runs that differ by some 0.01."""
    board.put_settings(settings.model_dump_json().encode())
    search = Search(board, settings, folder / "lineage", now=iter(range(1_700_000_000, 1_800_000_000, 10)).__next__)
    for change in (("ROWS = 4", "ROWS = 5"), ("WIDTH = 16", "WIDTH = 17")):
        queue(board, settings.baseline, change)
    worse, better = (proposal.source_sha for proposal in board.queue())
    while "keep" not in [step.kind for step in board.steps()]:
        for trial in [search.next(), search.next()]:
            if isinstance(trial, Trial):
                score = (
                    0.90 + {better: 0.05, worse: -0.03}.get(trial.proposal.source_sha, 0.0) + 0.004 * (trial.seed % 5)
                )
                search.finish(Result(trial.trial_id, "ok", -score, -score, strength="full", checks=("ends", "hashes")))


@pytest.fixture
def won(settings: RunSettings, tmp_path: Path) -> Iterator[Won]:
    folder = tmp_path / "run"
    folder.mkdir()
    with SqliteStore(folder / "state.db") as store:
        board = Board(store)
        search_until_win(settings, folder, board)
        yield Won(board=board, settings=settings, folder=folder)


def test_decisions_are_made_again_from_the_printed_scores(won: Won) -> None:
    write_table(trial_table(won.board.history()), won.folder / "trials.parquet")
    (won.folder / "settings.json").write_text(won.settings.model_dump_json())
    table = trial_table(won.board.history())
    assert 0.86 < table.score.min() < table.score.max() < 0.98
    again = recompute_decisions(won.folder)
    assert again.agrees.all() and "keep" in set(again.decision), again.to_string()
    assert not again.decision_reason.str.contains("bpb").any()
    lost = again.decision_reason[again.decision == "discard"]
    assert lost.str.contains(" worse than the frontier").any()
    assert again.decision_reason[2].startswith("baseline 0.9"), "with the sign that it was printed with"


def test_the_commit_of_a_win_says_the_metric_and_whose_word_it_is(won: Won) -> None:
    message = git(won.folder / "lineage", "log", "-1", "--format=%B")
    assert "Win 1. accuracy 0.9" in message and "), self-reported\n" in message and "bpb" not in message


def test_tools_are_told_the_printed_score_and_no_bits_per_byte(won: Won) -> None:
    ((win,), baseline) = read_wins(won.board)
    news = tell_win(win, baseline, won.board, won.settings, won.folder)
    assert isinstance(news, WinNews)
    assert (news.metric, news.direction, news.doubt) == ("accuracy", "higher", "self-reported")
    assert 0.89 < news.baseline < news.score < 0.98 and news.gain == pytest.approx(0.05, abs=0.01)
    assert '"val_bpb":null' in to_json(news)
    history = won.board.history()
    end = tell_end(history, won.settings, won.folder, "finished", "", tuple(summary_lines(history)))
    assert (end.metric, end.doubt) == ("accuracy", "self-reported") and end.best == pytest.approx(news.score)
    values = TrialNews(1, history.rows[0], -0.95, -0.96, 1, 0.5, 0.0, won.settings.experiment.scoring).metrics()
    assert "val_bpb" not in values and (values["best"], values["frontier"]) == (0.95, 0.96)
    assert 0.89 < values["score"] < 0.93
    params = list_params(won.settings)
    assert (params["metric"], params["direction"]) == ("accuracy", "higher")
