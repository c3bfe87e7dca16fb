"""The simulation decides as a run does, in worlds whose truth is known, beside peers."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import autoresearch_ray
from autoresearch_ray.candidate.template import split
from autoresearch_ray.common.paths import EXPERIMENTS, STORE_FILE
from autoresearch_ray.driver.simulated_run import simulate_run
from autoresearch_ray.search.worlds.world import Conditions
from autoresearch_ray.settings.request import ask
from autoresearch_ray.simulate import main
from autoresearch_ray.store.history import read_history


def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line, to its end."""
    command = [sys.executable, "-m", "autoresearch_ray.simulate", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=250)


def test_a_simulation_finds_gains_and_leaves_a_run_that_pandas_reads(tmp_path: Path) -> None:
    asked = ["--trials", "60", "--slots", "4", "--seed", "5", "--runs-dir", str(tmp_path)]
    done = simulate(*asked)
    assert done.returncode == 0, done.stderr
    found = re.search(r"best \+([\d.]+) sd, frontier \+([\d.]+) sd; (\d+) wins, 0 false", done.stdout)
    assert found and float(found[1]) > 2 and int(found[3]) >= 1, done.stdout
    rows = autoresearch_ray.load_trials(tmp_path / "simulated-5")
    assert len(rows) == 60 and (rows.decision == "keep").sum() == int(found[3])
    decisions = autoresearch_ray.recompute_decisions(tmp_path / "simulated-5")
    assert len(decisions) == 60 and decisions.agrees.all(), decisions[~decisions.agrees].to_string()
    assert rows.slot.max() == 3 and (tmp_path / "simulated-5" / "report.html").exists()
    again = simulate(*asked[:-1], str(tmp_path / "again"))
    (first, second) = (re.search("world 5: 60 trials on .*; a trial took", each.stdout) for each in (done, again))
    assert first and second and first[0] == second[0], "the same seed finds the same"


def test_all_texts_of_a_tuners_run_are_read_by_one_template(tmp_path: Path) -> None:
    request = ask(experiment=EXPERIMENTS / "t4.yaml", trials=60, slots=8, seed=3, isolation="none")
    simulate_run(request, Conditions(), tmp_path / "run", lambda _: None)
    history = read_history(tmp_path / "run" / STORE_FILE)
    texts = [candidate.text for candidate in history.candidates.values()]
    assert len(texts) > 20 and {row.trial.proposal.kind for row in history.rows} >= {"knobs", "merge"}
    assert len({id(split(text).template) for text in texts}) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--proposer", "anthropic:x"], "no language model knows this landscape"),
        (["--trials", "2"], "--trials 2"),
        (["--noise-sd", "0"], "--noise-sd 0: expected bits per byte, above 0"),
        (["--noise-sd", "nan"], "--noise-sd nan"),
        (["--seed-share", "1.5"], "--seed-share 1.5: expected a share, 0 to 1"),
        (["--failures", "-1"], "--failures -1: expected a share"),
        (["--holds", "5", "1"], "--holds 5 1: expected LEAST MOST"),
        (["--drift", "inf"], "--drift inf: expected sd"),
        (["--slow-slots", "0.5"], "--slow-slots 0.5: expected SHARE:FACTOR"),
        (["--slow-slots", "0.5:0.5"], "--slow-slots 0.5:0.5: expected SHARE:FACTOR"),
        (["--worlds", "0"], "--worlds 0: expected 1 or more"),
        (["--slots", "0"], "--slots 0"),
        (["--seed", "-1"], "--seed -1"),
        (["--out", "table.txt"], "--out table.txt: expected a name that ends in .csv or .png"),
        (["--out", "nowhere/table.csv"], "--out nowhere/table.csv: expected a folder that is there"),
        (["--policy", "luck"], "--policy: invalid choice: 'luck' (choose from"),
        (["--landscape", "flat"], "--landscape: invalid choice: 'flat'"),
        (["--trials", "many"], "--trials: invalid int value: 'many'; see python -m autoresearch_ray.simulate --help"),
        (["nothing.yaml"], "nothing.yaml: cannot be read"),
    ],
)
def test_a_wrong_request_is_one_line(arguments: list[str], words: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    told = capfd.readouterr()
    assert words in told.err and len(told.err.splitlines()) == 1 and told.out == ""


def test_policies_are_compared_in_the_same_worlds_as_a_table_and_a_picture(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def compare(name: str) -> tuple[str, str, bytes]:
        files = [tmp_path / f"{name}.csv", tmp_path / f"{name}.png"]
        policies = ["--policy", "ledger", "--policy", "greedy", "--policy", "asha", "--policy", "greedy"]
        sizes = ["--trials", "12", "--slots", "3", "--worlds", "2", "--drift", "1", "--slow-slots", "0.4:1.5"]
        assert main([*policies, *sizes, "--out", str(files[0]), "--out", str(files[1])]) == 0
        return capfd.readouterr().out, files[0].read_text(), files[1].read_bytes()

    (told, table, picture), again = compare("one"), compare("again")
    lines = told.splitlines()
    assert [line.split("  ")[0] for line in lines[-6:-2]] == ["ledger", "ledger's frontier", "greedy", "asha"]
    assert len(table.splitlines()) == 1 + 2 * 4 and picture.startswith(b"\x89PNG")
    assert again[1:] == (table, picture), "seeded: the same numbers again"


def test_a_run_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "simulated-0").mkdir()
    done = simulate("--runs-dir", str(tmp_path))
    assert done.returncode == 2 and "File exists" in done.stderr
