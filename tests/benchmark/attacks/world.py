"""What lies outside of a candidate's walls in these tests: folders, services and a process that it might reach."""

import hashlib
import os
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from small_corpus import small_experiment

from autoresearch_ray.benchmark.data.dataset import Dataset, prepare
from autoresearch_ray.benchmark.sandbox import limits, walls
from autoresearch_ray.records.trials import Result

KEY = "sk-attack-me-4711"
MARKER = "a-neighbour-of-the-attacker"
FILES = ("home/.netrc", "home/.profile", "run/state.db", "run/results.tsv", "run/trials/t00001/train.py")

FULL = "+".join(walls.FULL)
Attack = Callable[..., tuple[Result, str]]


class World:
    """Laid out open to everybody, so that only walls keep a candidate from it."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="autoresearch-world-"))
        for name in (*FILES, "run/trials/t00001/output.log", "slot/work/train.py"):
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{KEY} in {name}")
        os.environ["AUTORESEARCH_HOME"] = str(self.root / "cache")
        self.dataset: Dataset = prepare(small_experiment(self.root))
        for path in [self.root, *self.root.rglob("*")]:
            path.chmod(0o777 if path.is_dir() else path.stat().st_mode | 0o666)
        self._services = [socket.socket(socket.AF_UNIX) for _ in range(2)]
        self._services[0].bind(str(self.root / "service"))
        (self.root / "service").chmod(0o777)
        self.abstract = f"autoresearch-{os.getpid()}"
        self._services[1].bind("\0" + self.abstract)
        tcp, udp = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        tcp.bind(("127.0.0.1", 0))
        self.port = tcp.getsockname()[1]
        udp.bind(("127.0.0.1", self.port))
        self._services += [tcp, udp]
        self._stop, self._told = os.pipe()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        sleeper = [sys.executable, "-c", "import time; time.sleep(1000)", MARKER]
        self.process = subprocess.Popen(
            sleeper,
            env=os.environ | {"ANTHROPIC_API_KEY": KEY},
            preexec_fn=lambda: limits.become(0),  # as an ordinary user's, no better protected than the candidate
        )

    def for_candidates(self, scratch: str = "") -> dict[str, object]:
        """What an attacker is told, to make it as easy as can be."""
        return {
            "home": str(self.root / "home"), "run": str(self.root / "run"), "data": str(self.dataset.folder),
            "cache": str(self.root / "cache"), "slot": str(self.root / "slot"), "service": str(self.root / "service"),
            "abstract": self.abstract, "port": self.port, "process": self.process.pid, "marker": MARKER, "key": KEY,
            "scratch": scratch,
        }  # fmt: skip

    def fingerprint(self) -> str:
        """Of every file and its content."""
        files = sorted(path for path in self.root.rglob("*") if path.is_file())
        return hashlib.sha256(b"".join(str(path).encode() + path.read_bytes() for path in files)).hexdigest()

    def close(self) -> None:
        os.write(self._told, b"x")
        self._thread.join()
        for service in self._services:
            service.close()
        os.close(self._told)
        os.close(self._stop)
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.root)

    def _serve(self) -> None:
        with selectors.DefaultSelector() as ready:
            ready.register(self._stop, selectors.EVENT_READ)
            for service in self._services:
                if service.type == socket.SOCK_STREAM:
                    service.listen()
                ready.register(service, selectors.EVENT_READ)
            while True:
                for key, _ in ready.select():
                    if key.fileobj == self._stop:
                        return
                    self._answer(key.fileobj)  # type: ignore[arg-type]  # a socket

    def _answer(self, service: socket.socket) -> None:
        if service.type == socket.SOCK_DGRAM:
            service.sendto(b"answer", service.recvfrom(100)[1])
            return
        connection, _ = service.accept()
        with connection:
            connection.sendall(b"!")
