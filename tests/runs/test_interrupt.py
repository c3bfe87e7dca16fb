"""A terminal that closes in the middle of a whole run, which is stored in a folder and pushed to a git remote.

A person's idea waits for it to go on.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from small_run import CANDIDATE, branches, descendants, git, read_until, start_launch, wait_gone, write_experiment

from autoresearch_ray.observe.headline import summarise
from autoresearch_ray.propose.llm.spending import Spending
from autoresearch_ray.records.proposers import ProposerStatus
from autoresearch_ray.search.watches.suggestions import PERSON
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.history import read_history
from autoresearch_ray.store.sqlite.store import SqliteStore

pytestmark = pytest.mark.alone

LONG = "a-temporary-folder-whose-path-is-longer-than-a-socket-of-ray-s-may-be"


@pytest.mark.timeout(420)
def test_a_hang_up_saves_everything_and_the_run_that_goes_on_is_stored_and_pushed(tmp_path: Path) -> None:
    write_experiment(tmp_path)
    git(tmp_path, "init", "-q", "--bare", "remote.git")
    run, places = tmp_path / "runs" / "x", ["--push-to", "remote.git", "--storage", "kept"]
    (tmp_path / LONG).mkdir()
    nowhere = {"TMPDIR": str(tmp_path / LONG), "HOME": "/proc/nobody", "PYTHONIOENCODING": "ascii"}
    driver = start_launch(tmp_path, "e.yaml", "--tag", "x", "--trials", "100", *places, **nowhere)
    lines = read_until(driver, "t00001")
    family = descendants(driver.pid)
    for process in [psutil.Process(driver.pid), *family]:  # as the kernel does when a terminal closes
        process.send_signal(signal.SIGHUP)
    output = "".join(lines) + driver.communicate(timeout=60)[0]
    assert driver.returncode == 130, output
    assert "--resume --tag x" in output and "Traceback" not in output and "slot was lost" not in output
    assert wait_gone(family) == []
    assert f"{LONG}/ray: " in output and "Ray keeps its files in /" in output

    done = len([row for row in read_history(run / "state.db").rows if row.result])
    with SqliteStore(run / "state.db") as store:  # as if a model had been there that is gone
        Board(store).notes.put_proposer(ProposerStatus("openai:gone", "stopped", "openai:gone: the key was refused"))
        assert Spending(store).reserve("c1", "openai:gone", 250_000) == "reserved"
    (tmp_path / "mine.py").write_text(CANDIDATE.replace("torch.optim.SGD(", "torch.optim.Adam("))
    suggest = [sys.executable, "-m", "autoresearch_ray.suggest", str(run), "mine.py", "--hypothesis", "Adam, by hand."]
    home = os.environ | {"AUTORESEARCH_HOME": str(tmp_path / "home")}
    said = subprocess.run(suggest, cwd=tmp_path, env=home, capture_output=True, text=True, timeout=120)
    assert said.stdout == "passed the rules and a dry run; the run takes it when it is resumed\n", said.stderr
    (tmp_path / "run").write_text("import subprocess, sys\nsys.exit(subprocess.call(sys.argv[1:]))\n")
    under_uv = ["bash", "-c", 'exec -a uv "$0" run "$@"', sys.executable]  # a process that looks like `uv run` to Ray
    resume = ["--resume", "--tag", "x", "--trials", str(done + 14), *places]
    driver = start_launch(tmp_path, *resume, before=under_uv)
    output = driver.communicate(timeout=180)[0]
    assert driver.returncode == 0 and "slot was lost" not in output, output
    assert "the key was refused" not in output and "0 conversations" not in output, "it is no news of this launch"
    assert "models       $0.25 in all launches\n  openai:gone  1 calls, 0 tokens, $0.25\n" in output
    history = read_history(run / "state.db")
    rows, (_, resumed_at) = history.rows, history.launches
    before = [row.result.finished_at for row in rows if row.result and row.result.started_at < resumed_at]
    began = min(row.result.started_at for row in rows if row.result and row.result.started_at > resumed_at)
    ends = [row.result.finished_at for row in rows if row.result]
    starts = [row.result.started_at for row in rows if row.result]
    pause = began - max(before)
    assert summarise(history).wall_seconds == pytest.approx(max(ends) - min(starts) - pause)
    assert len(rows) == done + 14 and all(row.result for row in rows)
    (mine,) = [row for row in rows if row.trial.proposal.proposer == PERSON]
    assert mine.result and mine.result.status == "ok" and mine.trial.proposal.hypothesis == "Adam, by hand."
    assert "a person's idea is queued: Adam, by hand." in output and list((run / "suggestions").iterdir()) == []
    tip = git(run / "lineage", "rev-parse", "autoresearch/x")
    assert branches(tmp_path / "remote.git") == f"refs/heads/autoresearch/x {tip}" and "not pushed" not in output
    assert (tmp_path / "kept" / "x" / "head-0002" / "report.html").exists()
