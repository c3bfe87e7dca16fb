"""`ray up` for real, on three hosts of this machine that share no file system, and runs on it.

Each host has one logical CPU and one logical GPU; trials train on the CPU and take half of a GPU: there are six slots.
"""

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from hosts import Host, hosts, unavailable
from ray_cluster import RayCluster

pytestmark = [
    pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "hosts can be had"),
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("hosts"),
]
LAUNCH = "python -m autoresearch_ray.launch ~/e/e.yaml --program ~/e/program.md --plain"
TRIALS = 28


def table(head: Host, tag: str) -> pd.DataFrame:
    """The trial table of a run, read on the head."""
    script = f"import autoresearch_ray as a; print(a.load_trials('runs/{tag}').to_json(orient='records'))"
    return pd.DataFrame(json.loads(head.run(f'python -c "{script}"')))


def check_complete(head: Host, tag: str, trials: int) -> pd.DataFrame:
    """Exactly the trials asked for, each with a result and a decision, and their files in the run's folder."""
    rows = table(head, tag)
    assert list(rows.trial_id) == [f"t{number:05d}" for number in range(1, trials + 1)]
    assert rows.status.isin(["ok", "invalid"]).all() and rows.decision.notna().all()
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
    prints = set()
    for host in cluster.hosts:
        host.run("mkdir -p ~/s && cp ~/autoresearch/experiments/train.py ~/s/")
        host.run("sed s/^corpus_mb.*// ~/autoresearch/experiments/cpu.yaml >~/s/e.yaml")
        printed = host.run("python -m autoresearch_ray.prepare ~/s/e.yaml", timeout=120)
        prints.update(re.findall(r"fingerprint +([0-9a-f]{64})", printed))
    assert len(prints) == 1


def test_a_run_by_ray_exec_uses_every_host_and_is_complete(cluster: RayCluster) -> None:
    head = cluster.hosts[0]
    output = cluster.exec(f"{LAUNCH} --tag by-exec --trials {TRIALS} --slots 6 --budget-seconds 1", timeout=400)
    assert "Traceback" not in output, output
    rows = check_complete(head, "by-exec", TRIALS)
    assert set(rows.node) == {"head", "worker1", "worker2"}
    assert set(rows.gpus) == {0.5}
    assert rows.slot.max() <= 1 and rows.cotenants.max() <= 1, "two halves of a GPU are two trials, never three"


def test_nothing_of_a_run_is_left_on_the_workers(cluster: RayCluster) -> None:
    for worker in cluster.hosts[1:]:
        assert not [line for line in worker.processes() if "benchmark.server" in line or "ray::Trial" in line]
        assert worker.run("ls /tmp | grep autoresearch-trial || true") == ""


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


def test_a_submitted_run_is_left_joined_stopped_and_resumed(cluster: RayCluster, dashboard: str) -> None:
    launch = [sys.executable, "-m", "autoresearch_ray.launch", "--tag", "by-submit", "--submit", dashboard]
    asked = ["/root/e/e.yaml", "--program", "/root/e/program.md", "--trials", "1000", "--slots", "2"]
    following = cluster.start(*launch, *asked)
    read_until(following, "t00003")
    following.send_signal(signal.SIGINT)
    rest = following.communicate(timeout=30)[0]
    assert following.returncode == 130 and "the run goes on without you" in rest and "Traceback" not in rest

    joined = cluster.start(*launch)
    read_until(joined, "following it, nothing was started")
    read_until(joined, "t00008")
    cluster.ray("job", "stop", "autoresearch-by-submit-1", "--address", dashboard)
    rest = joined.communicate(timeout=60)[0]
    assert joined.returncode == 130 and "--resume --tag by-submit" in rest, rest
    assert not [line for line in cluster.hosts[0].processes() if "ray::StateActor" in line]

    done = len(table(cluster.hosts[0], "by-submit").dropna(subset="decision"))
    resumed = cluster.start(*launch, "--resume", "--trials", str(done + 6))
    assert "Traceback" not in resumed.communicate(timeout=200)[0] and resumed.returncode == 0
    check_complete(cluster.hosts[0], "by-submit", done + 6)


def test_a_wrong_submission_is_one_line(cluster: RayCluster, dashboard: str) -> None:
    nobody = cluster.start(sys.executable, "-m", "autoresearch_ray.launch", "--submit", "http://127.0.0.1:1")
    output = nobody.communicate(timeout=60)[0]
    assert nobody.returncode == 2 and len(output.splitlines()) == 1 and "no cluster's dashboard" in output, output
    missing = cluster.start(sys.executable, "-m", "autoresearch_ray.launch", "nothing.yaml", "--submit", dashboard)
    output = missing.communicate(timeout=60)[0]
    assert missing.returncode == 2 and "nothing.yaml: cannot be read" in output, output


def read_until(process: subprocess.Popen[str], words: str) -> None:
    """Read its lines up to one with these words; AssertionError with them all if it ends first."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return
    raise AssertionError("".join(lines))


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
