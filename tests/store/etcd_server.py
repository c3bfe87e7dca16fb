"""Real etcd servers on loopback: free ports, a folder of their own, gone with the test process."""

import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from etcd3gw.client import Etcd3Client

START_SECONDS = 30.0
DIES_WITH_US = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []  # where Linux has it

needs_etcd = pytest.mark.skipif(shutil.which("etcd") is None, reason="needs etcd: apt-get install etcd-server")


@dataclass(frozen=True)
class Member:
    """One running etcd; `process` may be killed."""

    address: str
    process: "subprocess.Popen[bytes]"


@contextmanager
def memory_folder() -> Iterator[Path]:
    """A folder for data that no test looks for on a disk: in memory where Linux has it, for etcd keeps 64 MB ahead."""
    memory = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(prefix="etcd-tests-", dir=memory if memory.is_dir() else None))
    try:
        yield made
    finally:
        shutil.rmtree(made)


@contextmanager
def running_etcd(folder: Path, *options: str, scheme: str = "http") -> Iterator[Member]:
    """A cluster of one member, up, until the end of `with`."""
    client, peer = free_ports(2)
    with _member(folder, "only", client, peer, f"only=http://127.0.0.1:{peer}", options, scheme) as member:
        if scheme == "http":
            wait_until_healthy(member)
        yield member


@contextmanager
def running_cluster(folder: Path, size: int) -> Iterator[list[Member]]:
    """A cluster of so many members, up, until the end of `with`."""
    ports = free_ports(2 * size)
    cluster = ",".join(f"m{index}=http://127.0.0.1:{ports[2 * index + 1]}" for index in range(size))
    with ExitStack() as stack:
        members = [
            stack.enter_context(
                _member(folder, f"m{index}", ports[2 * index], ports[2 * index + 1], cluster, (), "http")
            )
            for index in range(size)
        ]
        for member in members:
            wait_until_healthy(member)
        yield members


def wait_until_healthy(member: Member) -> None:
    """Return when it takes requests."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert member.process.poll() is None, f"etcd has ended with status {member.process.returncode}"
        try:
            with urllib.request.urlopen(f"http://{member.address}/health", timeout=5) as answer:
                if b'"true"' in answer.read():
                    return
        except (urllib.error.URLError, OSError):
            assert time.monotonic() < deadline, f"etcd at {member.address} is not up after {START_SECONDS} s"
        time.sleep(0.05)


def wipe(address: str, prefix: str) -> None:
    """Delete what a test left, so that no lease of its own lapses in the middle of another and makes a revision."""
    host, _, port = address.partition(":")
    Etcd3Client(host, int(port), api_path="/v3/").delete_prefix(prefix)


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for taken in sockets:
            taken.bind(("127.0.0.1", 0))
        return [int(taken.getsockname()[1]) for taken in sockets]


@contextmanager
def _member(
    folder: Path, name: str, client: int, peer: int, cluster: str, options: Sequence[str], scheme: str
) -> Iterator[Member]:
    address = f"127.0.0.1:{client}"
    command = [*DIES_WITH_US, "etcd", "--name", name, "--data-dir", str(folder / name), "--initial-cluster", cluster]
    command += ["--listen-client-urls", f"{scheme}://{address}", "--advertise-client-urls", f"{scheme}://{address}"]
    command += ["--listen-peer-urls", f"http://127.0.0.1:{peer}"]
    command += ["--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}"]
    command += ["--logger", "zap", "--log-outputs", str(folder / f"{name}.log"), "--log-level", "warn", *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield Member(address, process)
    finally:
        process.kill()
        process.wait()
