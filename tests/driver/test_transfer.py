"""Does a win hold at other settings: the command on a run's folder, with real trials."""

import math
from pathlib import Path

import pytest
from stored_run import BETTER, run_folder

from autoresearch_ray.observe.pairs import Pair, mean_gain
from autoresearch_ray.observe.transfers import Transfer, keep_transfer, read_transfers, transfer_rows
from autoresearch_ray.settings.score_words import ScoreWords
from autoresearch_ray.transfer import main


def test_a_win_is_measured_at_another_budget_and_the_report_tells_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUTORESEARCH_HOME", str(tmp_path / "home"))
    run = run_folder(tmp_path, BETTER)
    assert main([str(run), "--budget-seconds", "0.7", "--set", "WIDTH=24", "--pairs", "3"]) == 0
    said = capsys.readouterr()
    assert "pair 3 of 3: start " in said.err and said.out.splitlines()[0].endswith(" in 3 pairs: holds")
    assert said.out.startswith("budget_seconds 0.7, WIDTH 24: start ")
    (kept,) = read_transfers(run)
    assert mean_gain(kept.pairs)[1] > 0.2 and kept.run_gain == 1.0 and kept.failures == ()
    assert len({pair.seed for pair in kept.pairs}) == 3

    assert main([str(run), "--set", "LR=x", "--pairs", "2"]) == 0  # only the start has use for it
    said = capsys.readouterr()
    assert "the start, seed 2000000: crash: " in said.err and "the best, seed" not in said.err
    assert 'LR "x": start –, best –, gain – in 0 (2 failed) pairs: nothing to compare' in said.out
    report = (run / "report.html").read_text()
    assert "At other settings" in report and "budget_seconds 0.7, WIDTH 24" in report and "LR &#34;x&#34;" in report


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--pairs", "1"], "--pairs 1: expected at least 2"),
        (["--set", "WIDTH"], "--set WIDTH: expected NAME=VALUE"),
        (["--set", "DEPTH=3"], "--set DEPTH=3: DEPTH is not a module-level constant"),
        (["--budget-seconds", "0"], "--budget-seconds 0: expected a number above 0"),
        (["--experiment", "none.yaml"], "none.yaml: cannot be read"),
    ],
)
def test_a_wrong_request_is_one_line(
    words: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(run_folder(tmp_path, BETTER)), *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {expected}")


def test_a_run_without_a_win_and_a_folder_without_a_run_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_folder(tmp_path)
    assert main([str(run)]) == 2 and "its best is the starting candidate" in capsys.readouterr().err
    assert main([str(tmp_path / "nowhere")]) == 2 and "error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ([0.10, 0.11, 0.12], "holds"),
        ([0.10, -0.11, 0.12], "not certain: more pairs would tell"),
        ([-0.10, -0.11, -0.12], "does not hold: the start is better there"),
        ([0.1, math.nan], "not certain: more pairs would tell"),
        ([math.nan, math.nan], "nothing to compare: no pair has two scores"),
    ],
)
def test_what_pairs_say(gains: list[float], verdict: str, tmp_path: Path) -> None:
    pairs = tuple(Pair(seed, 1.5 + gain, 1.5) for seed, gain in enumerate(gains))
    transfer = Transfer("budget_seconds 60", "sha", 0.1, pairs, (), 1.0)
    keep_transfer(tmp_path, transfer)
    keep_transfer(tmp_path, transfer)
    assert [one.verdict() for one in read_transfers(tmp_path)] == [verdict] * 2
    assert transfer_rows([transfer], ScoreWords())[0][-1] == verdict
