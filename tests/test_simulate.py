"""The simulation decides as a run does, on landscapes whose truth is known."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import autoresearch_ray
from autoresearch_ray.candidate.knobs import read_knobs
from autoresearch_ray.candidate.template import split
from autoresearch_ray.driver.simulated_run import simulate_run
from autoresearch_ray.paths import EXPERIMENTS, STATE_FILE
from autoresearch_ray.search.landscape import Landscape
from autoresearch_ray.settings import ask
from autoresearch_ray.store.history import read_history

KNOBS = read_knobs((EXPERIMENTS / "train.py").read_text())
START = {knob.name: knob.value for knob in KNOBS}


def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line, to its end."""
    command = [sys.executable, "-m", "autoresearch_ray.simulate", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=250)


def test_what_a_landscape_holds_is_found_at_its_best_place() -> None:
    landscape = Landscape(KNOBS, np.random.default_rng(3), (5.0, 10.0))
    best = dict(START)
    for knob in KNOBS:
        places = [knob.range.from_unit(u) for u in np.linspace(0.01, 0.99, 99)]
        best[knob.name] = min([*places, knob.value], key=lambda value: landscape.loss(best | {knob.name: value}))
    assert 12 < landscape.loss(START) - landscape.loss(best) < 60, "three knobs of 5 to 10 sd, and little else"
    assert landscape.loss(START | {"A_KNOB_OF_LATER": 3}) == landscape.loss(START)


def test_a_simulation_finds_gains_and_leaves_a_run_that_pandas_reads(tmp_path: Path) -> None:
    asked = ["--trials", "60", "--slots", "4", "--seed", "5", "--runs-dir", str(tmp_path)]
    done = simulate(*asked)
    assert done.returncode == 0, done.stderr
    found = re.search(r"best \+([\d.]+) sd, frontier \+([\d.]+) sd; (\d+) wins, 0 false", done.stdout)
    assert found and float(found[1]) > 2 and int(found[3]) >= 1, done.stdout
    rows = autoresearch_ray.load_trials(tmp_path / "simulated-5")
    assert len(rows) == 60 and (rows.decision == "keep").sum() == int(found[3])
    assert rows.slot.max() == 3 and (tmp_path / "simulated-5" / "report.html").exists()
    again = simulate(*asked[:-1], str(tmp_path / "again"))
    (first, second) = (re.search("world 5: 60 trials on .*; a trial took", each.stdout) for each in (done, again))
    assert first and second and first[0] == second[0], "the same seed finds the same"


def test_all_texts_of_a_tuners_run_are_read_by_one_template(tmp_path: Path) -> None:
    request = ask(experiment=EXPERIMENTS / "t4.yaml", trials=60, slots=8, seed=3, isolation="none")
    simulate_run(request, (5.0, 10.0), 0.01, 0.8, 0.02, tmp_path / "run", lambda _: None)
    history = read_history(tmp_path / "run" / STATE_FILE)
    texts = [candidate.text for candidate in history.candidates.values()]
    assert len(texts) > 30 and {row.trial.proposal.kind for row in history.rows} >= {"knobs", "merge"}
    assert len({id(split(text).template) for text in texts}) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--proposer", "anthropic:x"], "no language model knows this landscape"),
        (["--trials", "2"], "--trials 2"),
        (["--noise-sd", "0"], "--noise-sd above 0"),
        (["nothing.yaml"], "nothing.yaml: cannot be read"),
    ],
)
def test_a_wrong_request_is_one_line(arguments: list[str], words: str) -> None:
    done = simulate(*arguments)
    assert done.returncode == 2 and words in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr, (
        done.stderr
    )


def test_a_run_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "simulated-0").mkdir()
    done = simulate("--runs-dir", str(tmp_path))
    assert done.returncode == 2 and "File exists" in done.stderr
