"""A search on a script, by the command line: it survives SIGKILL, and proves a win where higher is better."""

import re
from pathlib import Path

import pytest
from small_run import descendants, git, read_until, start_launch, wait_gone

from autoresearch_ray.driver.tables.load import load_trials

pytestmark = pytest.mark.alone

EXPERIMENT = """\
contract: script
name: small
command: python fit.py
editable: [fit.py]
metric: accuracy
direction: higher
holdout: other_accuracy
budget_seconds: 0.5
device: cpu
"""
SCRIPT = """\
import math
import random
import time

from helper import quality

RATE = 0.001  # step; search log(0.0001, 10.0)
DEPTH = 1  # layers; search int(1, 8)

random.seed(42)
time.sleep(0.2)
print("step 1", end="\\r")
for name in ("accuracy", "other_accuracy"):
    print(f"{name}: {quality(math.log10(RATE), DEPTH) + random.gauss(0, 0.005):.4f}")
"""
HELPER = "def quality(rate, depth):\n    return 0.9 - 0.1 * abs(rate) - 0.02 * abs(depth - 6)\n"


def write_script(folder: Path, script: str = SCRIPT) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in {"e.yaml": EXPERIMENT, "fit.py": script, "helper.py": HELPER, "program.md": "# Fit\n"}.items():
        (folder / name).write_text(text)


def test_a_killed_search_on_a_script_goes_on_to_a_proven_win(tmp_path: Path) -> None:
    write_script(tmp_path)
    driver = start_launch(tmp_path, "e.yaml", "--tag", "x", "--trials", "18", "--slots", "2")
    read_until(driver, "t00006")
    family = descendants(driver.pid)
    driver.kill()
    driver.communicate(timeout=60)
    for left in wait_gone(family, seconds=5):  # Ray leaves agents and half-started workers for a while
        left.kill()
    (tmp_path / "helper.py").write_text("raise SystemExit('changed since the run began')\n")
    printed = start_launch(tmp_path, "--resume", "--tag", "x", "--trials", "18", "--slots", "2")
    output = printed.communicate(timeout=200)[0]
    assert printed.returncode == 0 and "Traceback" not in output, output

    run = tmp_path / "runs" / "x"
    table = load_trials(run)
    assert list(table.trial_id) == [f"t{i:05d}" for i in range(1, 19)] and set(table.status) == {"ok"}
    assert set(table.metric) == {"accuracy"} and set(table.metric_direction) == {"higher"}
    assert table.score.min() > 0.2 and table.score.max() < 1 and table.val_bpb.isna().all()
    paired = table[table.holdout_score.notna()]
    assert 0 < len(paired) < len(table) and set(table.seed.value_counts()) != {1}
    wins = git(run / "lineage", "log", "--format=%s", "autoresearch/x").splitlines()
    assert len(wins) >= 2, output
    assert re.search(r"^best +0\.\d+ accuracy, by pairs of runs on equal seeds, self-reported$", output, re.M), output
    assert "val_bpb" not in output
    assert [path.name for path in sorted((run / "lineage").iterdir())] == [".git", "fit.py"]


def test_a_script_that_gives_no_score_ends_its_run_at_once(tmp_path: Path, ray_address: str) -> None:
    place = tmp_path / "place"
    write_script(place, SCRIPT.replace('print(f"{name}:', 'print(f"{name} is'))
    home = str(tmp_path / "home")
    arguments = ["e.yaml", "--tag", "x", "--trials", "40", "--address", ray_address]
    launch = start_launch(place, *arguments, AUTORESEARCH_HOME=home)
    output = launch.communicate(timeout=200)[0]
    assert launch.returncode == 2 and "Traceback" not in output, output
    last = output.splitlines()[-1]
    assert last.startswith("error: the starting candidate fails: invalid: printed no line `accuracy: NUMBER`; its last")
    assert "was: other_accuracy is 0." in last, output
    assert len(load_trials(place / "runs" / "x")) <= 3
