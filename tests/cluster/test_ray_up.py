"""`ray up` for real, on three hosts of this machine that share no file system, and runs on it.

Each host has one logical CPU and one logical GPU; trials train on the CPU and take half of a GPU: there are six slots.
"""

import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
from hosts import Host, hosts, unavailable
from ray_cluster import RayCluster
from small_run import SERVER, read_until

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "hosts can be had"),
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("hosts"),
]
HOSTS = {"head", "worker1", "worker2"}
TRIALS = 24


def table(head: Host, tag: str) -> pd.DataFrame:
    """The trial table of a run, read on the head."""
    return printed_table(head, f"from autoresearch_ray import load_trials as read; folder = 'runs/{tag}'")


def finished(head: Host, tag: str) -> pd.DataFrame:
    """Its rows that have a result, beside the living run."""
    from_store = (
        "from autoresearch_ray.observe.tables.trials import trial_table; from autoresearch_ray.store import connect"
    )
    read = "read = lambda folder: trial_table(connect.read_run(folder))"
    rows = printed_table(head, f"import pathlib; {from_store}; {read}; folder = pathlib.Path('runs/{tag}')")
    return rows[rows.status != "running"]


def printed_table(head: Host, script: str) -> pd.DataFrame:
    return pd.DataFrame(json.loads(head.run(f"python -c \"{script}; print(read(folder).to_json(orient='records'))\"")))


def check_complete(head: Host, tag: str, trials: int) -> pd.DataFrame:
    """Exactly the trials asked for, each with a result and a decision, and their files in the run's folder."""
    rows = table(head, tag)
    assert list(rows.trial_id) == [f"t{number:05d}" for number in range(1, trials + 1)]
    odd = rows[~rows.status.isin(["ok", "invalid"]) | rows.decision.isna()]
    assert odd.empty, odd[["trial_id", "kind", "node", "status", "error"]].to_dict("records")
    files = head.run(f"cd runs/{tag}/trials && ls */curve.csv */train.py */output.log").split()
    assert len(files) == 3 * trials
    steps = head.run(f"git -C runs/{tag}/lineage log --oneline --all").splitlines()
    assert len(steps) >= 1
    return rows


def test_hosts_share_nothing(cluster: RayCluster) -> None:
    head, *workers = cluster.hosts
    head.run("touch ~/mine /tmp/mine /var/tmp/mine ~/autoresearch/mine")
    for worker in workers:
        seen = worker.run("ls ~ /tmp /var/tmp ~/autoresearch; hostname").split()
        assert "mine" not in seen and worker.name in seen


def test_every_host_prepares_its_own_data(cluster: RayCluster) -> None:
    def prepare(host: Host) -> str:
        return host.run("python -m autoresearch_ray.prepare ~/autoresearch/experiments/cpu.yaml", timeout=240)

    with ThreadPoolExecutor() as pool:
        printed = "".join(pool.map(prepare, cluster.hosts))
    prints = re.findall(r"fingerprint +([0-9a-f]{64})", printed)
    assert len(prints) == 3 and len(set(prints)) == 1, printed


@pytest.fixture
def dashboard(cluster: RayCluster) -> Iterator[str]:
    """The dashboard's address on the laptop."""
    with cluster.tunnel() as address:
        yield address


@pytest.mark.parametrize("path", ["/api/jobs/", "/api/version", "/nodes?view=summary", "/api/v0/actors"])
def test_who_has_no_token_is_refused(cluster: RayCluster, dashboard: str, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(dashboard + path, timeout=10)
    request = urllib.request.Request(dashboard + path, headers={"Authorization": f"Bearer {cluster.token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def test_a_job_without_a_token_is_refused(dashboard: str) -> None:
    body = json.dumps({"entrypoint": "touch /tmp/owned"}).encode()
    request = urllib.request.Request(f"{dashboard}/api/jobs/", data=body, headers={"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(request, timeout=10)


def test_a_candidate_cannot_read_the_token(cluster: RayCluster) -> None:
    head = cluster.hosts[0]
    assert head.run("cat ~/.ray/auth_token").strip() == cluster.token
    head.send(Path(__file__).with_name("look_for_the_token.py"), f"{Path.home()}/look.py")
    printed = head.run("RAY_AUTH_TOKEN=$(cat ~/.ray/auth_token) python ~/look.py ~/e/e.yaml", timeout=120)
    assert "looked everywhere" in printed and "No such file or directory: '/root/.ray/auth_token'" in printed, printed
    assert cluster.token not in printed


def test_a_submitted_run_is_left_joined_and_stopped_and_uses_every_host(cluster: RayCluster, dashboard: str) -> None:
    head = cluster.hosts[0]
    launch = [sys.executable, "-m", "autoresearch_ray.launch", "--tag", "night", "--submit", dashboard]
    asked = ["/root/e/e.yaml", "--program", "/root/e/program.md", "--trials", "1000", "--slots", "6"]
    following = cluster.start(*launch, *asked)
    read_until(following, "t00003")
    following.send_signal(signal.SIGINT)
    rest = following.communicate(timeout=30)[0]
    assert following.returncode == 130 and "the run goes on without you" in rest and "Traceback" not in rest
    deadline = time.monotonic() + 200
    while len(rows := finished(head, "night")) < TRIALS or set(rows.node) != HOSTS:
        assert time.monotonic() < deadline, rows.node.value_counts()
        time.sleep(2)

    joined = cluster.start(*launch)
    read_until(joined, "following it, nothing was started")
    read_until(joined, f"t{TRIALS:05d}")
    cluster.ray("job", "stop", "autoresearch-night-1", "--address", dashboard)
    rest = joined.communicate(timeout=60)[0]
    assert joined.returncode == 130 and "--resume --tag night" in rest, rest
    assert not [line for line in head.processes() if "ray::StoreActor" in line]


def test_the_run_goes_on_by_ray_exec_and_is_complete(cluster: RayCluster) -> None:
    head = cluster.hosts[0]
    trials = TRIALS + len(finished(head, "night"))
    launch = "python -m autoresearch_ray.launch --plain --resume --tag night"
    output = cluster.exec(f"{launch} --trials {trials}", timeout=400)
    assert "Traceback" not in output, output
    rows = check_complete(head, "night", trials)
    assert set(rows.node) == HOSTS and set(rows.gpus) == {0.5}
    assert rows.slot.max() <= 1 and rows.cotenants.max() <= 1, "two halves of a GPU are two trials, never three"


def test_nothing_of_a_run_is_left_on_the_workers(cluster: RayCluster) -> None:
    for worker in cluster.hosts[1:]:
        assert not [line for line in worker.processes() if SERVER in line or "ray::Trial" in line]
        assert worker.run("ls /tmp | grep autoresearch-trial || true") == ""


def test_a_wrong_submission_is_one_line(cluster: RayCluster, dashboard: str) -> None:
    nobody = cluster.start(sys.executable, "-m", "autoresearch_ray.launch", "--submit", "http://127.0.0.1:1")
    output = nobody.communicate(timeout=60)[0]
    assert nobody.returncode == 2 and len(output.splitlines()) == 1 and "no cluster's dashboard" in output, output
    missing = cluster.start(sys.executable, "-m", "autoresearch_ray.launch", "nothing.yaml", "--submit", dashboard)
    output = missing.communicate(timeout=60)[0]
    assert missing.returncode == 2 and "nothing.yaml: cannot be read" in output, output


def test_taking_the_cluster_down_leaves_nothing(cluster: RayCluster) -> None:
    cluster.down()
    assert [line for host in cluster.hosts for line in host.processes()] == []


def test_hosts_leave_nothing(tmp_path: Path) -> None:
    before = interfaces()
    with pytest.raises(ZeroDivisionError), hosts(tmp_path, 1) as (host,):
        assert host.name == host.run("hostname").strip()
        raise ZeroDivisionError
    assert interfaces() == before


def interfaces() -> str:
    """The machine's network interfaces and namespaces."""
    links = subprocess.run(["ip", "-brief", "link"], capture_output=True, text=True, check=True).stdout
    return links + subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
