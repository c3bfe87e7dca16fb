"""Faults on a cluster in the middle of a run: no result is lost, no trial counted twice, no win committed twice.

One cluster of three hosts; after each fault it is whole again before the next. `-s` shows for how long no result came.
`AUTORESEARCH_FAULTS=1 pytest tests/cluster/test_faults.py` runs them, in some ten minutes.
"""

import contextlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest
from hosts import Host, hosts, unavailable
from ray_cluster import FILES, RAY, SHARES, RayCluster, ray_up
from s3_server import running_s3
from small_run import SERVER, write_experiment
from whole_run import check_whole

import autoresearch_ray

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "hosts can be had"),
    pytest.mark.skipif("AUTORESEARCH_FAULTS" not in os.environ, reason="minutes each: AUTORESEARCH_FAULTS=1 runs them"),
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("hosts"),
]
LAUNCH = "python -m autoresearch_ray.launch --program ~/e/program.md --plain --slots 6 --budget-seconds 1"
TRIALS = 36
LONG_SECONDS = 20  # of training
SKEWED = "export LD_PRELOAD=/root/skewed_clock.so SKEWED_CLOCK=/root/hours_ahead"
BEFORE = 8  # trials that have files when the fault comes
CUT_SECONDS = 20.0

Fault = Callable[[RayCluster], None]


def kill_everywhere(pattern: str) -> Fault:
    """SIGKILL to one process whose command line matches, on the first host that has one, workers first."""

    def fault(cluster: RayCluster) -> None:
        for host in reversed(cluster.hosts):
            if host.run(f"pkill -KILL -o -f {pattern} && echo killed || true").strip():
                return
        raise AssertionError(f"nobody runs {pattern}")

    return fault


def cut_off_and_back(cluster: RayCluster) -> None:
    cluster.hosts[1].cut()
    threading.Timer(CUT_SECONDS, cluster.hosts[1].heal).start()


def fill_the_disk(cluster: RayCluster) -> None:
    """All of a worker's disks, but for what a full disk leaves: nothing."""
    for folder in ("/root", "/tmp", "/var/tmp"):
        cluster.hosts[1].run(f"cat /dev/zero >{folder}/full 2>/dev/null || true")


def empty_the_disk(cluster: RayCluster) -> None:
    cluster.hosts[1].run("rm -f /root/full /tmp/full /var/tmp/full")


def lose_a_host(cluster: RayCluster) -> None:
    cluster.hosts[2].kill()


def give_it_back(cluster: RayCluster) -> None:
    cluster.hosts[2].start_again()
    cluster.join(cluster.hosts[2])


def nothing(cluster: RayCluster) -> None:
    """The cluster mends itself."""


FAULTS: dict[str, tuple[Fault, Fault]] = {
    "the store actor is killed": (kill_everywhere("[r]ay::StoreActor"), nothing),
    "a trial actor is killed": (kill_everywhere("[r]ay::TrialActor"), nothing),
    "a raylet is killed": (kill_everywhere("[/]raylet/raylet"), nothing),
    "a worker is cut off and comes back": (cut_off_and_back, nothing),
    "a worker's disk is full": (fill_the_disk, empty_the_disk),
    "a worker host is lost": (lose_a_host, give_it_back),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_mid_run_loses_nothing(cluster: RayCluster, name: str, tmp_path: Path) -> None:
    fault, mend = FAULTS[name]
    tag = name.replace(" ", "-").replace("'", "")
    launch = start(cluster, f"~/e/e.yaml --tag {tag} --trials {TRIALS}")
    await_trials(cluster.hosts[0], tag, BEFORE, launch)
    fault(cluster)
    output = launch.communicate(timeout=400)[0]
    mend(cluster)
    assert launch.returncode == 0 and "Traceback" not in output, output
    rows = check_run(cluster, tag, tmp_path)
    places = dict(rows.node.value_counts())
    print(f"\n{name}: {longest_pause(rows):.1f} s without a result, {len(rows)} trials on {places}")
    cluster.await_nodes(3)


def test_a_driver_that_is_killed_goes_on(cluster: RayCluster, tmp_path: Path) -> None:
    head, tag = cluster.hosts[0], "driver"
    launch = start(cluster, f"~/e/e.yaml --tag {tag} --trials {TRIALS}")
    await_trials(head, tag, BEFORE, launch)
    head.run("pkill -KILL -f [a]utoresearch_ray.launch")
    launch.communicate(timeout=60)
    resumed = start(cluster, f"--resume --tag {tag} --trials {TRIALS}")
    output = resumed.communicate(timeout=300)[0]
    assert resumed.returncode == 0 and "Traceback" not in output, output
    rows = check_run(cluster, tag, tmp_path)
    print(f"\ndriver killed: {longest_pause(rows):.1f} s without a result, the start of the next one included")
    assert not [line for line in head.processes() if "ray::StoreActor" in line]


def test_a_lost_head_is_replaced_from_its_storage(tmp_path: Path) -> None:
    """Power off at the head: what was its disk is gone, and another machine becomes the head."""
    tag = "moved"
    with hosts(tmp_path, 3) as machines, running_s3(machines[0].gateway) as server:
        url = server.make_bucket("runs")
        keys = " ".join(f"{name}={value}" for name, value in server.environment.items())
        for folder in ("first", "second"):
            (tmp_path / folder).mkdir()
        first = RayCluster(tmp_path / "first", machines, 1, 1)
        first.up()
        first.await_nodes(3)
        write_experiment(tmp_path).open("a").write(SHARES)
        for host in machines[:2]:
            host.run("mkdir ~/e")
            for name in FILES:
                host.send(tmp_path / name, f"{Path.home()}/e/")
        launch = start(first, f"~/e/e.yaml --tag {tag} --trials {TRIALS} --storage {url}", keys)
        await_trials(machines[0], tag, BEFORE, launch)
        machines[0].kill()
        lost = time.time()
        launch.kill()
        with ray_up(tmp_path / "second", machines[1:]) as second:
            resumed = start(second, f"--resume --tag {tag} --slots 4 --storage {url}", keys)
            output = resumed.communicate(timeout=400)[0]
            assert resumed.returncode == 0 and "Traceback" not in output and "restored from" in output, output
            rows = check_run(second, tag, tmp_path)
        went_on = seconds(rows.finished_at)[seconds(rows.finished_at) > lost].min()
        print(f"\nhead lost: {went_on - lost:.1f} s to the next result, `ray up` included")


def test_a_host_that_leaves_and_joins_is_used_while_it_is_there(cluster: RayCluster, tmp_path: Path) -> None:
    head, worker, tag, trials = cluster.hosts[0], cluster.hosts[2], "joins", 48
    head.run("pkill -f [/]monitor.py")  # Ray's autoscaler would set the host up too, after half a minute
    with modest_trials():
        launch = start(cluster, f"~/e/e.yaml --tag {tag} --trials {trials} --budget-seconds {LONG_SECONDS}")
        await_trials(head, tag, BEFORE, launch)
        worker.run("ray stop --force")
        left = time.time()
        await_trials(head, tag, BEFORE + 8, launch)
        cluster.join(worker)
        joined = time.time()
        output = launch.communicate(timeout=600)[0]
    assert launch.returncode == 0 and "Traceback" not in output, output
    rows = check_run(cluster, tag, tmp_path, trials)
    started, finished = seconds(rows.started_at), seconds(rows.finished_at)
    after = rows[(rows.node == worker.name) & (started > joined)]
    assert len(after) > 0
    print(f"\nfirst trial {seconds(after.started_at).min() - joined:.1f} s after joining; {len(after)} trials there")
    # from when all six slots work until the last trial is handed out: two slots are away for a while
    begin, end = started.nsmallest(6).iloc[-1], started.max()
    batch = started + rows.startup_seconds
    there = 6 * (end - begin) - 2 * (joined - left)
    busy, trained = overlap(started, finished, begin, end), overlap(batch, batch + rows.training_seconds, begin, end)
    print(
        f"slots that were there ran trials for {busy / there:.1%} of {end - begin:.0f} s, trained {trained / there:.1%}"
    )


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs cc: apt-get install build-essential")
def test_a_clock_that_jumps_by_an_hour_changes_nothing(cluster: RayCluster, tmp_path: Path) -> None:
    """Of Ray on a worker and of all that it starts; candidates have no look at it, they get what is in a list."""
    worker, tag, began = cluster.hosts[1], "clock", time.time()
    library = tmp_path / "skewed_clock.so"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-O", "-o", library, Path(__file__).with_name("skewed_clock.c")], check=True
    )
    worker.send(library, "/root")
    worker.run("printf '\\0' >/root/hours_ahead")
    leave(cluster, worker)
    cluster.join(worker, before=SKEWED)
    cluster.await_nodes(3)
    launch = start(cluster, f"~/e/e.yaml --tag {tag} --trials {TRIALS}")
    await_trials(cluster.hosts[0], tag, BEFORE, launch)
    worker.run("printf '\\1' 1<>/root/hours_ahead")
    jumped = time.time()
    assert float(worker.run(f"{SKEWED}; python -c 'import time; print(time.time())'")) > jumped + 3500
    output = launch.communicate(timeout=400)[0]
    assert launch.returncode == 0 and "Traceback" not in output, output
    rows = check_run(cluster, tag, tmp_path)
    there = rows[(rows.node == worker.name) & (seconds(rows.finished_at) > jumped)]
    assert len(there) > 0 and began < seconds(rows.started_at).min() < seconds(rows.finished_at).max() < time.time()
    print(f"\na clock an hour ahead: {longest_pause(rows):.1f} s without a result, {len(there)} trials there since")
    leave(cluster, worker)
    cluster.join(worker)
    cluster.await_nodes(3)


@contextlib.contextmanager
def modest_trials() -> Iterator[None]:
    """Candidates leave the cores to everything else, as those on GPUs do: a host that joins starts Ray meanwhile."""
    ended = threading.Event()

    def yield_cores() -> None:
        while not ended.wait(0.5):
            for process in psutil.process_iter(["cmdline"]):
                if SERVER in (process.info["cmdline"] or []):
                    with contextlib.suppress(OSError):  # it has ended
                        Path(f"/proc/{process.pid}/autogroup").write_text("19")

    thread = threading.Thread(target=yield_cores, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def leave(cluster: RayCluster, worker: Host) -> None:
    """A host ends its Ray, and the cluster knows."""
    worker.run("ray stop --force")
    cluster.await_nodes(2)


def seconds(times: pd.Series) -> pd.Series:
    """Seconds since the epoch."""
    return times.map(lambda moment: moment.timestamp())


def overlap(begins: pd.Series, ends: pd.Series, first: float, last: float) -> float:
    """Seconds of these spans that lie between two moments, in all."""
    return float((ends.clip(upper=last) - begins.clip(lower=first)).clip(lower=0).sum())


def start(cluster: RayCluster, arguments: str, environment: str = "") -> subprocess.Popen[str]:
    """A launch on the head, as `ray exec` runs it."""
    return cluster.start(RAY, "exec", str(cluster.file), f"{environment} {LAUNCH} {arguments}")


def await_trials(head: Host, tag: str, count: int, launch: subprocess.Popen[str], seconds: float = 120.0) -> None:
    """Until so many trials have their files in the run's folder."""
    deadline = time.monotonic() + seconds
    while int(head.run(f"ls runs/{tag}/trials 2>/dev/null | wc -l")) < count:
        assert time.monotonic() < deadline and launch.poll() is None, "the run does not get going"
        time.sleep(0.3)


def check_run(cluster: RayCluster, tag: str, scratch: Path, trials: int = TRIALS) -> pd.DataFrame:
    """Exactly these trials, each decided once and not lost, one commit a step, as an unbroken run makes it."""
    cluster.ray("rsync-down", str(cluster.file), f"~/autoresearch/runs/{tag}/", str(scratch / tag))
    check_whole(scratch / tag, trials, scratch)
    rows = autoresearch_ray.load_trials(scratch / tag)
    failed = rows[~rows.status.isin(["ok", "invalid"])]  # a large learning rate may well make the logits nan
    assert failed.empty, failed[["trial_id", "status", "node", "error"]].to_string()
    return rows


def longest_pause(rows: pd.DataFrame) -> float:
    """Seconds between one result and the next, at most."""
    return float(rows.finished_at.sort_values().diff().dt.total_seconds().max())
