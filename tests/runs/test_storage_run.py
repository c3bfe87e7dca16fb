"""A whole run whose machine is lost, driver, store, lineage and all, and that goes on from S3 alone.

S3 itself is away for a while in the middle.
"""

import subprocess
import time
from pathlib import Path

import pytest
from s3_server import running_s3
from small_run import descendants, start_launch, wait_gone, write_experiment
from whole_run import check_whole

from autoresearch_ray.archive.manifest import RunStorage
from autoresearch_ray.archive.restore import restore, storage_of
from autoresearch_ray.records.history import History
from autoresearch_ray.records.kept_model import is_whole, read_kept
from autoresearch_ray.store.history import read_finished, read_history

pytestmark = pytest.mark.alone

TRIALS = 16
BEFORE = 6  # results in the storage when the head is lost


@pytest.mark.timeout(600)
def test_a_run_outlives_its_head_and_its_folder(tmp_path: Path, ray_address: str) -> None:
    write_experiment(tmp_path)
    with running_s3() as server:
        url = server.make_bucket("runs") + "/night"
        where = ["--tag", "x", "--storage", url, "--address", ray_address, "--keep-weights", "best"]
        storage = storage_of(url, "x")
        head = start_launch(tmp_path, "e.yaml", *where, "--trials", str(TRIALS))
        await_results(storage, tmp_path / "looks", BEFORE)
        family = descendants(head.pid)
        head.kill()
        for left in wait_gone(family):
            left.kill()
        head.communicate()
        before = stored_history(storage, tmp_path / "before")
        kept = sum(row.result is not None for row in before.rows)  # more than were waited for, if it was stored late
        subprocess.run(["rm", "-r", "runs"], cwd=tmp_path, check=True)

        head = start_launch(tmp_path, "--resume", *where)
        run = tmp_path / "runs" / "x"
        await_local(head, run, kept + 2)
        server.stop()
        await_local(head, run, kept + 4)
        server.start()
        output = head.communicate(timeout=300)[0]
        assert head.returncode == 0 and "Traceback" not in output, output
        check_whole(run, TRIALS, tmp_path)
        after = read_history(run / "state.db")
        for old, new in zip(before.rows, after.rows, strict=False):
            assert old.trial == new.trial and old.result in (None, new.result)
        assert before.commits.items() <= after.commits.items()
        check_stored(storage, run, tmp_path / "again" / "x")


def check_stored(storage: RunStorage, run: Path, again: Path) -> None:
    """What is in the storage is the run, to the last file."""
    newest = storage.newest()
    assert newest is not None and newest.epoch == 2
    assert restore(storage, again, print)
    assert read_history(again / "state.db") == read_history(run / "state.db")
    waiting = ["--exclude=model.pt", "--exclude=skeleton.pt"]  # models that were not proven
    for part in ("trials", "settings.json"):
        subprocess.run(["diff", "-r", *waiting, run / part, again / part], check=True)
    if any(step.kind == "keep" for step in read_history(run / "state.db").steps):
        best = read_kept(run)
        assert best is not None and is_whole(again, best)
    assert not [name for name in storage.bucket.names("") if "/trials/" in name and name.endswith(".pt")]
    for name in ("results.tsv", "trials.parquet", "report.html", "progress.png"):
        assert storage.bucket.get(f"{storage.folder(2)}/{name}") == (run / name).read_bytes(), name
    (again / "bundle").write_bytes(storage.bucket.get(newest.lineage) or b"")
    heads = ["git", "-C", str(run / "lineage"), "for-each-ref", "--format=%(objectname) %(refname)"]
    bundled = subprocess.run(["git", "bundle", "list-heads", again / "bundle"], check=True, capture_output=True)
    kept = [line for line in bundled.stdout.decode().splitlines() if not line.endswith(" HEAD")]
    assert kept == subprocess.run(heads, check=True, capture_output=True).stdout.decode().splitlines()


def stored_history(storage: RunStorage, folder: Path) -> History:
    assert restore(storage, folder, lambda _: None)
    return read_history(folder / "state.db")


def await_local(head: subprocess.Popen[str], run: Path, count: int) -> None:
    """Until so many trials of the living run have results."""
    deadline = time.monotonic() + 240
    while not (run / "state.db").exists() or len(read_finished(run / "state.db")[1]) < count:
        assert head.poll() is None, head.communicate()[0]
        assert time.monotonic() < deadline, "the run does not go on"
        time.sleep(0.3)


def await_results(storage: RunStorage, folder: Path, count: int) -> None:
    """Until so many trials of the living run have their results in the storage."""
    deadline, seen = time.monotonic() + 240, 0
    while True:
        newest = storage.newest()
        if newest is not None and newest.state and newest.number > seen:
            seen = newest.number
            history = stored_history(storage, folder / str(newest.number))
            if sum(row.result is not None for row in history.rows) >= count:
                return
        assert time.monotonic() < deadline, "nothing is stored"
        time.sleep(0.5)
