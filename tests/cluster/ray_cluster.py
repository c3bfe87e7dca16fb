"""A Ray cluster on `hosts`, brought up by `ray up` from experiments/clusters/local.yaml, as a person would.

    with hosts(tmp_path, 3) as machines, ray_up(tmp_path, machines) as cluster:
        cluster.exec("python -m autoresearch_ray.prepare e.yaml")

Of the file only addresses, keys and logical resources are changed, and `uv`, which needs the internet, is a stand-in:
the interpreter and its packages lie on every host already.
"""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml
from hosts import Host

ROOT = Path(__file__).parents[2]
RAY = str(Path(sys.executable).parent / "ray")
FILES = ("e.yaml", "train.py", "program.md", "words.txt")  # of small_run's experiment
SHARES = "gpus_per_trial: 0.5\ncpus_per_trial: 0.5\n"  # to be added to it: two trials a host
UP_SECONDS = 180.0
TUNNEL_SECONDS = 30.0
STAND_IN = "mkdir -p ~/.local/bin ~/autoresearch && printf '#!/bin/sh\\n' >~/.local/bin/uv && chmod +x ~/.local/bin/uv"


class RayCluster:
    """A cluster that is up. Commands run here, as on a laptop with a home of its own."""

    def __init__(self, folder: Path, hosts: Sequence[Host], cpus: int, gpus: int) -> None:
        self.file = folder / "cluster.yaml"
        self.hosts = hosts
        self._is_up = False
        self.home = folder / "laptop"
        self.home.mkdir()
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "TMPDIR": str(self.home / "tmp"),
            "RAY_TMPDIR": str(self.home / "tmp"),
            "RAY_AUTH_MODE": "token",
            "RAY_UP_enable_autoscaler_v2": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        (self.home / "tmp").mkdir()
        self.token = self.ray("get-auth-token", "--generate").strip().splitlines()[-1]
        self.file.write_text(yaml.safe_dump(self._config(cpus, gpus), sort_keys=False))

    def ray(self, *words: str, timeout: float = UP_SECONDS) -> str:
        """A `ray` command, as on the laptop; gives what it printed, AssertionError with it when it fails."""
        done = subprocess.run(
            [RAY, *words], env=self._environment, cwd=ROOT, capture_output=True, text=True, timeout=timeout
        )
        assert done.returncode == 0, f"ray {shlex.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def exec(self, command: str, timeout: float = UP_SECONDS) -> str:
        """`ray exec` on the head."""
        return self.ray("exec", str(self.file), command, timeout=timeout)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A command of the laptop in the background, its output in a pipe."""
        return subprocess.Popen(
            words, env=self._environment, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    @contextmanager
    def tunnel(self) -> Iterator[str]:
        """`ray dashboard`: the dashboard's address on the laptop, as long as `with` goes on."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        process = subprocess.Popen(
            [RAY, "dashboard", self.file, "--port", str(port)],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # its ssh, too, is ended below
        )
        try:
            deadline = time.monotonic() + TUNNEL_SECONDS
            while not _answers(port):
                assert process.poll() is None and time.monotonic() < deadline, "no tunnel"
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()

    def up(self) -> None:
        """`ray up`; the workers join a little later."""
        self._is_up = True
        self.ray("up", "--yes", "--no-config-cache", str(self.file))

    def await_nodes(self, count: int, seconds: float = 240.0) -> None:
        """Wait until so many hosts are in the cluster."""
        deadline = time.monotonic() + seconds
        while (alive := self.alive()) != count:
            assert time.monotonic() < deadline, f"{alive} hosts are in the cluster"

    def alive(self) -> int:
        """How many hosts are in the cluster, as the head's GCS sees it."""
        return len(json.loads(self.hosts[0].run("ray list nodes --filter state=ALIVE --format json")))

    def join(self, host: Host, before: str = "true") -> None:
        """Set a host up as the head is, and start Ray there, `before` run in its shell first."""
        ssh = "ssh -i ~/ray_bootstrap_key.pem -o StrictHostKeyChecking=no"
        files = "~/.bashrc ~/.autoresearch.env ~/.local ~/.ray ~/autoresearch"
        self.hosts[0].run(f"rsync -a --exclude runs -e '{ssh}' {files} root@{host.address}:", timeout=120)
        *_, start = yaml.safe_load(self.file.read_text())["worker_start_ray_commands"]
        host.run(f"export RAY_HEAD_IP={self.hosts[0].address}; {before}; {start}", timeout=240)

    def down(self) -> None:
        """End Ray everywhere, as local.yaml says. Safe to repeat."""
        if not self._is_up:
            return
        self._is_up = False
        done = subprocess.run(
            [ROOT / "experiments" / "clusters" / "down.sh", self.file],
            env=self._environment | {"PATH": f"{Path(RAY).parent}:{os.environ['PATH']}"},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=UP_SECONDS,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def _config(self, cpus: int, gpus: int) -> dict[str, object]:
        config: dict[str, object] = yaml.safe_load((ROOT / "experiments" / "clusters" / "local.yaml").read_text())
        head, *workers = (host.address for host in self.hosts)
        config["provider"] = {"type": "local", "head_ip": head, "worker_ips": workers}
        config["auth"] = {"ssh_user": "root", "ssh_private_key": str(self.hosts[0].key)}
        config["setup_commands"] = [
            STAND_IN,
            f"ln -sfn {Path(sys.executable).parent.parent} ~/autoresearch/.venv",
            *config["setup_commands"],  # type: ignore[misc]  # a list in the file
        ]
        for role in ("head", "worker"):
            commands = config[f"{role}_start_ray_commands"]
            resources = f"--num-cpus={cpus} --num-gpus={gpus}"
            config[f"{role}_start_ray_commands"] = [
                twice(f"{command} {resources}") if "ray start" in command else command
                for command in commands  # type: ignore[attr-defined]  # a list in the file
            ]
        return config


def twice(start: str) -> str:
    """A start of Ray that is tried again: it gives up after 30 s, in which a busy machine may not get far."""
    return f"{start} || {{ ray stop --force; {start}; }}"


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/api/version", timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


@contextmanager
def ray_up(folder: Path, hosts: Sequence[Host], cpus: int = 1, gpus: int = 1) -> Iterator[RayCluster]:
    """A cluster on these hosts, with so many logical CPUs and GPUs each; down again at the end."""
    cluster = RayCluster(folder, hosts, cpus, gpus)
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down()
