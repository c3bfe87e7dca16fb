"""How fast is the state store, beside a real etcd? Durable transactions a second and latency, in turns on one disk.

    python experiments/benchmarks/store.py [--folder .] [--clients 1 8 32] [--rounds 5] [--seconds 3]

Needs `etcd` (apt-get install etcd-server). Both servers are started on this machine with their files in one new folder
under --folder, which should be on a real disk. One process holds all clients, so ours travel together. Each swaps a
value of 200 bytes under its own key, compared with the revision of its last write, and asks again as soon as it has
the answer. Stores take turns, in changing order; printed are medians over the rounds, with the lowest and highest rate.

    ours, threads     the store actor through ActorStore.txn, as the parts of a run use it
    etcd, EtcdStore   one etcd member through the project's client, which adds the mark that makes retries safe
    etcd, sockets     the same etcd with as little client as can be: one socket a thread, a request written by hand, an
                      answer of which only the revision is read. What a client costs is left out on etcd's side alone
"""

import argparse
import base64
import itertools
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import ray

from autoresearch_ray.store.actor.client import start_store_actor
from autoresearch_ray.store.contract import Compare, Put, Store
from autoresearch_ray.store.etcd.store import EtcdStore

VALUE = os.urandom(200)
WARM_UP_SECONDS = 0.5
START_SECONDS = 30.0


@dataclass(frozen=True)
class Round:
    """What one store did in one turn."""

    per_second: float
    p50_ms: float
    p99_ms: float


Turn = Callable[[int, float], list[float]]  # clients and seconds -> the seconds that each transaction took


def in_threads(swap: Callable[[str, int], int]) -> Turn:
    """Clients as threads. `swap` compares a key's mod revision, writes and returns the new one."""

    def turn(clients: int, seconds: float) -> list[float]:
        taken: list[float] = []
        start = threading.Barrier(clients)

        def client(number: int) -> None:
            key, revision = f"k/{os.urandom(8).hex()}", 0
            start.wait()
            end = time.perf_counter() + seconds
            while (begin := time.perf_counter()) < end:
                revision = swap(key, revision)
                taken.append(time.perf_counter() - begin)

        threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return taken

    return turn


def through_store(store: Store) -> Callable[[str, int], int]:
    """A swap by the project's contract."""

    def swap(key: str, revision: int) -> int:
        answer = store.txn([Compare(key, "mod", "==", revision)], [Put(key, VALUE)])
        assert answer.succeeded, key
        return answer.revision

    return swap


def through_sockets(port: int) -> Callable[[str, int], int]:
    """The same swap as a bare etcd transaction, over one kept connection a thread."""
    value, here = base64.b64encode(VALUE).decode(), threading.local()

    def swap(key: str, revision: int) -> int:
        if not hasattr(here, "socket"):
            here.socket = socket.create_connection(("127.0.0.1", port))
            here.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        name = base64.b64encode(key.encode()).decode()
        body = (
            f'{{"compare":[{{"key":"{name}","target":"MOD","result":"EQUAL","mod_revision":{revision}}}],'
            f'"success":[{{"request_put":{{"key":"{name}","value":"{value}"}}}}]}}'
        )
        head = f"POST /v3/kv/txn HTTP/1.1\r\nHost: etcd\r\nContent-Length: {len(body)}\r\n\r\n"
        here.socket.sendall((head + body).encode())
        answer = received(here.socket)
        assert b'"succeeded":true' in answer, answer
        return int(answer.split(b'"revision":"', 1)[1].split(b'"', 1)[0])

    return swap


def received(connection: socket.socket) -> bytes:
    """The body of one answer, which says its length."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += receive_some(connection)
    head, _, body = answer.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    while len(body) < length:
        body += receive_some(connection)
    return body


def receive_some(connection: socket.socket) -> bytes:
    """At least a byte."""
    part = connection.recv(65_536)
    assert part, "etcd has closed the connection"
    return part


@contextmanager
def running_etcd(folder: Path) -> Iterator[int]:
    """One member with its data in the folder; its client port."""
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    here, peer = (f"http://127.0.0.1:{port}" for port in ports)
    command = ["etcd", "--data-dir", str(folder), "--listen-client-urls", here, "--advertise-client-urls", here]
    command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--log-level", "error"]
    command += ["--initial-cluster", f"default={peer}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until_healthy(here, process)
        yield ports[0]
    finally:
        process.kill()
        process.wait()


def wait_until_healthy(url: str, process: "subprocess.Popen[bytes]") -> None:
    """Return when it takes requests."""
    for _ in range(int(START_SECONDS / 0.1)):
        assert process.poll() is None, f"etcd has ended with status {process.returncode}"
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise TimeoutError(f"etcd at {url} is not up after {START_SECONDS} s")


def measured(turn: Turn, clients: int, seconds: float) -> Round:
    """One turn, after a short one to warm up."""
    turn(clients, WARM_UP_SECONDS)
    begin = time.perf_counter()
    taken = sorted(turn(clients, seconds))
    rate = len(taken) / (time.perf_counter() - begin)
    return Round(rate, 1e3 * taken[len(taken) // 2], 1e3 * taken[len(taken) * 99 // 100])


def sync_ms(folder: Path, times: int = 100) -> float:
    """What one small write costs until it is on this disk: the floor under one client's latency."""
    taken = []
    with (folder / "probe").open("wb", buffering=0) as file:
        for _ in range(times):
            begin = time.perf_counter()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - begin)
    return 1e3 * statistics.median(taken)


def compare(turns: dict[str, Turn], options: argparse.Namespace) -> None:
    """Print a line for each number of clients and each store."""
    rounds: dict[tuple[int, str], list[Round]] = {}
    for number, clients in itertools.product(range(options.rounds), options.clients):
        for name in list(turns)[:: -1 if number % 2 else 1]:
            rounds.setdefault((clients, name), []).append(measured(turns[name], clients, options.seconds))
    print(f"{'clients':>7}  {'store':16} {'txn/s':>7} {'(low-high)':>15} {'p50 ms':>8} {'p99 ms':>8}")
    for (clients, name), seen in sorted(rounds.items(), key=lambda item: (item[0][0], list(turns).index(item[0][1]))):
        rates = sorted(one.per_second for one in seen)
        p50, p99 = (statistics.median(getattr(one, field) for one in seen) for field in ("p50_ms", "p99_ms"))
        span = f"({rates[0]:.0f}-{rates[-1]:.0f})"
        print(f"{clients:>7}  {name:16} {statistics.median(rates):>7.0f} {span:>15} {p50:>8.2f} {p99:>8.2f}")


def main() -> None:
    """Start both servers and compare them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--folder", type=Path, default=Path())
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    if not shutil.which("etcd"):
        parser.error("etcd is not installed; expected it on the path: apt-get install etcd-server")
    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level="warning")
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="store-benchmark-") as name:
        folder = Path(name)
        load = os.getloadavg()[0]
        print(f"{os.cpu_count()} cores, load {load:.1f}; a write with fdatasync takes {sync_ms(folder):.2f} ms")
        with running_etcd(folder / "etcd") as port:
            ours = start_store_actor(folder / "state.db", "store-benchmark", "benchmark")
            turns = {
                "ours, threads": in_threads(through_store(ours)),
                "etcd, EtcdStore": in_threads(through_store(EtcdStore(f"etcd://127.0.0.1:{port}", "bench/"))),
                "etcd, sockets": in_threads(through_sockets(port)),
            }
            compare(turns, options)
            ours.stop()
    ray.shutdown()


if __name__ == "__main__":
    main()
