"""What each part of a best is worth: the parts of a lineage, and the command with real trials."""

from pathlib import Path

import pytest
from stored_run import SGD, START, run_folder

from autoresearch_ray.ablate import main
from autoresearch_ray.driver.ablations import LOST, check_parts, find_parts
from autoresearch_ray.driver.transfers import read_proven
from autoresearch_ray.observe.ablations import AblatedPart, Ablation, ablation_rows, read_ablations
from autoresearch_ray.observe.pairs import Pair, mean_gain
from autoresearch_ray.search.parts import CONFLICT, Part
from autoresearch_ray.settings.score_words import ScoreWords

TUNED = START.replace("LR = 0.001 ", "LR = 0.002 ").replace("ROWS = 4 ", "ROWS = 6 ")
STEP = "        optimizer.step()\n"
CLIPPED = TUNED.replace(STEP, "        torch.nn.utils.clip_grad_norm_(model.parameters(), 50.0)\n" + STEP)
ADAM = CLIPPED.replace(SGD, "torch.optim.Adam(model.parameters(), lr=0.03)")


def test_parts_are_constants_at_their_start_and_changes_of_code(tmp_path: Path) -> None:
    parts = find_parts(read_proven(run_folder(tmp_path, TUNED, CLIPPED, ADAM), 2))
    names = [part.what.split(" [")[0] for part in parts]
    assert names == ["LR 0.001 -> 0.002", "ROWS 4 -> 6", "a hypothesis", "a hypothesis"]
    texts = [part.without or "" for part in parts]
    assert texts[0] == ADAM.replace("LR = 0.002 ", "LR = 0.001 ") and texts[1] == ADAM.replace("ROWS = 6 ", "ROWS = 4 ")
    assert "clip_grad_norm_" not in texts[2] and "optim.Adam" in texts[2]
    assert "clip_grad_norm_" in texts[3] and "optim.SGD" in texts[3]
    assert [part.code_lines for part in parts] == [0, 0, 1, 0]


def test_what_later_changes_build_on_or_the_best_fails_without_cannot_go_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTORESEARCH_HOME", str(tmp_path / "home"))
    named = START.replace("LR = 0.001 ", "RATE = 0.03  # of Adam\nLR = 0.001 ")
    used = named.replace(SGD, "torch.optim.Adam(model.parameters(), lr=RATE)")
    again = used.replace("torch.optim.Adam(", "torch.optim.AdamW(")
    proven = read_proven(run_folder(tmp_path, named, used, again), 2)
    parts = find_parts(proven)
    assert [part.fault for part in parts] == [CONFLICT, CONFLICT, ""][-len(parts) :]
    broken = Part("x", again.replace("model(x)", "model(x, x)"), 1)
    checked = check_parts([*parts, broken], proven.settings.train_experiment, "none", print)
    assert [part.fault for part in checked] == [*(part.fault for part in parts), LOST]


def test_what_went_back_to_the_start_is_no_part(tmp_path: Path) -> None:
    parts = find_parts(
        read_proven(run_folder(tmp_path, TUNED, START, CLIPPED.replace("LR = 0.002 ", "LR = 0.001 ")), 2)
    )
    assert [part.what.split(" [")[0] for part in parts] == ["ROWS 4 -> 6", "a hypothesis"]


def test_each_part_is_measured_beside_the_whole_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUTORESEARCH_HOME", str(tmp_path / "home"))
    run = run_folder(tmp_path, CLIPPED, ADAM)
    assert main([str(run), "--pairs", "3"]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 5 and said.out.endswith("report.html\n") and "seed 3 of 3 done" in said.err
    assert "0 lines  3 pairs  helps: a hypothesis [train +1 -1]" in said.out.splitlines()[0]
    (kept,) = read_ablations(run)
    adam = max(kept.parts, key=lambda part: mean_gain(part.pairs)[0])
    assert mean_gain(adam.pairs)[1] > 0.1 and [len(part.pairs) for part in kept.parts] == [3] * 4
    assert "What each part is worth" in (run / "report.html").read_text()


def test_a_run_without_a_win_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(run_folder(tmp_path))]) == 2
    assert "nothing has been proven yet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("gains", "lines", "verdict"),
    [
        ([0.02, 0.021, 0.022], 4, "earns its lines"),
        ([0.02, 0.021, 0.022], 0, "helps"),
        ([0.0001, 0.00011, 0.00012], 40, "costs more than it gives: take it out"),
        ([0.02, -0.021, 0.022], 4, "not certain: more pairs would tell"),
    ],
)
def test_what_a_part_says(gains: list[float], lines: int, verdict: str) -> None:
    pairs = tuple(Pair(seed, 1.5 + gain, 1.5) for seed, gain in enumerate(gains))
    part = AblatedPart("DEPTH 4 -> 6", lines, pairs)
    rows = ablation_rows(Ablation("sha", 0.00005, (AblatedPart("x", 0, (), CONFLICT), part), 1.0), ScoreWords())
    assert rows[0][0] == "DEPTH 4 -> 6" and rows[0][-1] == verdict and rows[1][-1] == CONFLICT
