"""Ctrl-C in the middle of a whole run, which is stored in a folder and pushed to a git remote as it goes on."""

from pathlib import Path

import pytest
from small_run import branches, descendants, git, read_until, start_launch, wait_gone, write_experiment

from autoresearch_ray.store.history import read_history


@pytest.mark.timeout(300)
def test_ctrl_c_saves_everything_and_the_run_that_goes_on_is_stored_and_pushed(tmp_path: Path) -> None:
    write_experiment(tmp_path)
    git(tmp_path, "init", "-q", "--bare", "remote.git")
    run, places = tmp_path / "runs" / "x", ["--push-to", "remote.git", "--storage", "kept"]
    driver = start_launch(tmp_path, "e.yaml", "--tag", "x", "--trials", "100", *places)
    lines = read_until(driver, "t00001")
    family = descendants(driver.pid)
    driver.send_signal(2)
    output = "".join(lines) + driver.communicate(timeout=60)[0]
    assert driver.returncode == 130, output
    assert "--resume --tag x" in output and "Traceback" not in output and "slot was lost" not in output
    assert wait_gone(family) == []

    done = len([row for row in read_history(run / "state.db").rows if row.result])
    driver = start_launch(tmp_path, "--resume", "--tag", "x", "--trials", str(done + 3), *places)
    output = driver.communicate(timeout=120)[0]
    assert driver.returncode == 0 and "slot was lost" not in output, output
    rows = read_history(run / "state.db").rows
    assert len(rows) == done + 3 and all(row.result for row in rows)
    tip = git(run / "lineage", "rev-parse", "autoresearch/x")
    assert branches(tmp_path / "remote.git") == f"refs/heads/autoresearch/x {tip}" and "not pushed" not in output
    assert (tmp_path / "kept" / "x" / "head-0002" / "report.html").exists()
