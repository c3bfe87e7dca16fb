"""Candidates reach NVIDIA MPS where a node has it, and nothing of it is there where it is not used.

A listener at the daemon's socket stands for it: there is no GPU here.
"""

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from small_corpus import small_experiment

from autoresearch_ray.benchmark.data.dataset import prepare
from autoresearch_ray.benchmark.sandbox import mps
from autoresearch_ray.benchmark.sandbox.walls import FULL, try_walls
from autoresearch_ray.benchmark.trial.job import Job
from autoresearch_ray.benchmark.trial.slot import Slot

pytestmark = pytest.mark.skipif(try_walls().layers != FULL, reason="this machine gives no namespaces")
CLIENT = """
import os, socket
import torch
print(sorted(name for name in os.environ if "MPS" in name))
with socket.socket(socket.AF_UNIX) as client:
    client.connect(os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps") + "/control")
    print(client.recv(99).decode())
print(open("/dev/shm/autoresearch-of-mps").read())
"""


@dataclass
class Daemon:
    """Whoever connects is answered; `users` are who they were."""

    folder: Path
    users: list[int] = field(default_factory=list)

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                peer = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
                self.users.append(struct.unpack("3i", peer)[1])
                with contextlib.suppress(BrokenPipeError):  # who only looks whether anybody listens
                    client.sendall(b"hello from MPS")


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    """At a socket of its own, with a file in the shared memory."""
    folder = tmp_path / "mps"
    folder.mkdir()
    monkeypatch.setenv(mps.PIPES, str(folder))
    monkeypatch.setenv("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "50")
    memory = Path("/dev/shm/autoresearch-of-mps")
    memory.write_text("memory of MPS")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "control"))
        (folder / "control").chmod(0o666)
        listener.listen()
        daemon = Daemon(folder)
        thread = threading.Thread(target=daemon.serve, args=(listener,))
        thread.start()
        yield daemon
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    memory.unlink()


def tried(folder: Path, isolation: str = "best", gpu: bool = True) -> tuple[str, str]:
    """The isolation of a trial that is a client of MPS, and what it printed."""
    dataset = prepare(small_experiment(folder))
    job = Job(CLIENT, str(dataset.folder), 1, 0.3, "cpu", "none", 1, 1500, 0.0)
    with Slot(1, isolation=isolation, gpu=gpu) as slot:
        list(slot.run(job, folder / "trial"))
    return slot.result.isolation, (folder / "trial" / "output.log").read_text()


@pytest.mark.parametrize("isolation", ["best", "pid+net+landlock+seccomp"])
def test_trials_on_gpus_are_clients_and_their_rows_say_so(daemon: Daemon, tmp_path: Path, isolation: str) -> None:
    level, output = tried(tmp_path, isolation)
    assert level.endswith("+mps"), level
    names = "['CUDA_MPS_ACTIVE_THREAD_PERCENTAGE', 'CUDA_MPS_PIPE_DIRECTORY']"
    assert output.splitlines()[:3] == [names, "hello from MPS", "memory of MPS"], output
    if isolation == "best":
        tried(tmp_path)
    clients = {user for user in daemon.users if user != os.getuid()} or {os.getuid()}
    assert len(clients) == 1, "MPS serves one user at a time"


@pytest.mark.parametrize(("isolation", "gpu"), [("strict", True), ("best", False)])
def test_elsewhere_nothing_of_it_is_there(daemon: Daemon, tmp_path: Path, isolation: str, gpu: bool) -> None:
    level, output = tried(tmp_path, isolation, gpu)
    assert level == "pid+net+fs+seccomp"
    assert output.startswith("[]\n") and "FileNotFoundError" in output, output


def test_a_daemon_that_is_gone_is_not_there(daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert mps.is_running()
    monkeypatch.setenv(mps.PIPES, str(tmp_path))
    assert not mps.is_running()
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(tmp_path / "control"))  # left behind by one that was killed: nobody listens
    assert (tmp_path / "control").is_socket() and not mps.is_running()
