"""A whole run whose state is in a real etcd: the driver is killed in the middle and another one goes on."""

import subprocess
import time
from pathlib import Path

import pytest
from etcd_server import needs_etcd, running_etcd
from small_run import descendants, start_launch, wait_gone, write_experiment

from autoresearch_ray import launch
from autoresearch_ray.store.connect import read_run

pytestmark = [pytest.mark.alone, needs_etcd]
TRIALS = 10


def test_a_run_on_etcd_outlives_its_driver_and_its_folder(tmp_path: Path, ray_address: str) -> None:
    write_experiment(tmp_path)
    (tmp_path / "etcd").mkdir()
    with running_etcd(tmp_path / "etcd") as member:
        where = ["--tag", "x", "--state", f"etcd://{member.address}", "--address", ray_address]
        driver = start_launch(tmp_path, "e.yaml", *where, "--trials", str(TRIALS))
        wait_for_results(tmp_path, 4)
        family = descendants(driver.pid)
        driver.kill()
        for left in wait_gone(family):
            left.kill()
        driver.communicate()
        assert not (tmp_path / "runs" / "x" / "state.db").exists()
        before = read_run(tmp_path / "runs" / "x")
        subprocess.run(["rm", "-r", "runs"], cwd=tmp_path, check=True)
        driver = start_launch(tmp_path, "--resume", *where)
        output = driver.communicate(timeout=200)[0]
        assert driver.returncode == 0, output
        after = read_run(tmp_path / "runs" / "x")
        assert [row.trial.trial_id for row in after.rows] == [f"t{i:05d}" for i in range(1, TRIALS + 1)]
        assert all(row.result is not None and row.decision is not None for row in after.rows)
        for old, new in zip(before.rows, after.rows, strict=False):
            assert old.trial == new.trial and old.result in (None, new.result)
        assert before.commits.items() <= after.commits.items() and len(after.commits) == len(after.steps)


def test_a_second_run_under_the_same_tag_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_experiment(tmp_path)
    (tmp_path / "etcd").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTORESEARCH_HOME", str(tmp_path / "home"))
    with running_etcd(tmp_path / "etcd") as member:
        from autoresearch_ray.store.etcd.store import EtcdStore

        EtcdStore(f"etcd://{member.address}", "autoresearch/x/").put("settings", b"{}")
        assert launch.main(["e.yaml", "--tag", "x", "--state", f"etcd://{member.address}"]) == 2
    assert "holds run x; continue it with --resume" in capsys.readouterr().err


def wait_for_results(folder: Path, count: int) -> None:
    """Return when the living run has so many."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if (folder / "runs" / "x" / "settings.json").exists():
            rows = read_run(folder / "runs" / "x").rows
            if sum(row.result is not None for row in rows) >= count:
                return
        time.sleep(0.5)
    raise AssertionError(f"fewer than {count} results after two minutes")
