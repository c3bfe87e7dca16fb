"""SIGKILL anything at any time and resume: nothing is lost, run twice or committed twice.

A handful of kills here; `AUTORESEARCH_KILLS=20 pytest tests/runs/test_kills.py` makes twenty.
"""

import os
import random
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from small_run import descendants, start_launch, wait_gone, write_experiment
from whole_run import VICTIMS, check_whole, ours

from autoresearch_ray.driver.weights import MOST_WAITING
from autoresearch_ray.records.kept_model import is_whole, read_kept
from autoresearch_ray.store.history import read_history

pytestmark = pytest.mark.alone

KILLS = int(os.environ.get("AUTORESEARCH_KILLS", "4"))
OPTIONS = ("--early-stop", "paired", "--keep-weights", "best")


def victim(driver: subprocess.Popen[str], what: str, rng: random.Random) -> psutil.Process | None:
    """A process of that kind below the driver; of the process server's, its child: the candidate."""
    if what == "driver":
        return psutil.Process(driver.pid)
    found = []
    for process in descendants(driver.pid):
        try:
            if VICTIMS[what] in " ".join(process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    if what == "candidate":  # a fork of the server has the server's command line
        found = [p for p in found if (above := p.parent()) and above in found and "unshare" not in above.name()]
    return rng.choice(found) if found else None


@pytest.mark.timeout(60 + 60 * KILLS)
def test_any_kill_loses_nothing(tmp_path: Path) -> None:
    rng = random.Random(int(os.environ.get("AUTORESEARCH_SEED", "1")))
    write_experiment(tmp_path)
    trials, kills = 14 + 2 * KILLS, []
    for number in range(KILLS + 1):
        resume = ["--resume"] if (tmp_path / "runs" / "x" / "state.db").exists() else ["e.yaml", *OPTIONS]
        driver = start_launch(tmp_path, *resume, "--tag", "x", "--trials", str(trials))
        if number < KILLS:
            what = "driver" if number == 0 else rng.choice(["driver", *VICTIMS])
            time.sleep(rng.uniform(5, 14))
            target = victim(driver, what, rng)
            if target is not None and driver.poll() is None:
                kills.append(what)
                target.kill()
        if number < KILLS and kills[-1:] != ["driver"]:
            time.sleep(rng.uniform(1, 4))
        if number < KILLS:
            family = descendants(driver.pid)
            driver.kill()
            assert wait_gone([process for process in family if ours(process)]) == []
            for left in wait_gone(family, seconds=1):  # Ray 2.60 leaves agents and half-started workers for a while
                left.kill()
        output = driver.communicate(timeout=240)[0]
        assert "Traceback" not in output, output
    assert driver.returncode == 0, output
    check_whole(tmp_path / "runs" / "x", trials, tmp_path)
    check_kept(tmp_path / "runs" / "x")


def check_kept(run: Path) -> None:
    """The proven best has its weights, from a run of its own, and at most a handful of other files is left."""
    history, kept = read_history(run / "state.db"), read_kept(run)
    won = [step for step in history.steps if step.kind == "keep"]
    assert (kept is None) == (not won)
    assert len({path.parent for path in run.glob("trials/*/*.pt*")}) <= MOST_WAITING
    if kept is not None:
        row = next(row for row in history.rows if row.trial.trial_id == kept.trial_id)
        assert is_whole(run, kept) and kept.source_sha == row.trial.proposal.source_sha == won[-1].source_sha
        assert row.result is not None and kept.val_bpb == row.result.val_bpb
