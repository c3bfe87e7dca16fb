"""Hosts on one machine, for a real `ray up`: each with its own network, processes, mounts, name and sshd.

    with hosts(tmp_path, 3) as (head, *workers):
        head.run("hostname")                    # by ssh, as a person would
        workers[0].cut(); workers[0].heal()     # its network cable
        workers[1].kill()                       # its power

They share no file system: what one writes nobody else sees, and it is gone at the end. Needs root, iproute2,
openssh-server, rsync and overlayfs; `unavailable()` says what is missing. Everything is taken down whatever happens.
"""

import itertools
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCRIPT = Path(__file__).with_name("host.sh")
DISK = "3g"
NUMBERS = itertools.count()  # of the bridges of this process
SSH_SECONDS = 20.0
SSH_OPTIONS = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "ConnectTimeout=5"]
NEEDED = {"ip": "iproute2", "/usr/sbin/sshd": "openssh-server", "ssh": "openssh-client", "rsync": "rsync"}


def unavailable() -> str:
    """Why there can be no hosts here; "" if there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    missing = [package for program, package in NEEDED.items() if shutil.which(program) is None]
    if missing:
        return f"needs programs: apt-get install {' '.join(missing)}"
    hidden = [place for place in (Path("/tmp"), Path.home()) if Path(__file__).is_relative_to(place)]
    if hidden:
        return f"every host has a {hidden[0]} of its own, and this checkout lies there"
    if "overlay" not in Path("/proc/filesystems").read_text():
        return "the kernel has no overlayfs"
    trial = subprocess.run(["unshare", "--mount", "--net", "--pid", "--fork", "true"], capture_output=True, text=True)
    return f"namespaces are refused here: {trial.stderr.strip()}" if trial.returncode else ""


class Host:
    """One host. `address` is its IP, reached from here and from the others."""

    def __init__(self, name: str, wire: str, address: str, gateway: str, folder: Path, disk: str) -> None:
        self.name, self.address = name, address
        self.gateway = gateway  # where the hosts reach this machine
        self._wire, self._folder, self._disk = wire, folder, disk
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def key(self) -> Path:
        """The private key that opens it."""
        return self._folder.parent / "key"

    def start(self, bridge: str) -> None:
        """Plug it in and wait for its sshd."""
        self._bridge = bridge
        address = f"{self.address}/24"
        _ip("netns", "add", self._wire)
        _ip("link", "add", self._wire, "type", "veth", "peer", "name", "eth0", "netns", self._wire)
        _ip("link", "set", self._wire, "master", bridge, "up")
        for words in (
            ["addr", "add", address, "dev", "eth0"],
            ["link", "set", "eth0", "up"],
            ["link", "set", "lo", "up"],
        ):
            _ip("-n", self._wire, *words)
        _ip("-n", self._wire, "route", "add", "default", "via", self.gateway)  # Ray asks it for its own address
        self._folder.mkdir()
        home = Path.home()
        kept = sys.base_prefix if Path(sys.base_prefix).is_relative_to(home) else ""
        keys = [f"{self.key}.pub", str(self._folder.parent / "host_key")]
        namespaces = ["unshare", "--pid", "--fork", "--kill-child=SIGKILL", "--mount", "--uts"]
        with (self._folder.parent / f"{self.name}.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    "ip",
                    "netns",
                    "exec",
                    self._wire,
                    *namespaces,
                    SCRIPT,
                    self.name,
                    self._folder,
                    self._disk,
                    *keys,
                    kept,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._await_ssh()

    def run(self, command: str, timeout: float = 60.0) -> str:
        """Run a command there, through a login shell as Ray does, and give what it printed; AssertionError with it."""
        ssh = ["ssh", "-i", str(self.key), *(word for option in SSH_OPTIONS for word in ("-o", option))]
        shell = f"bash --login -c {shlex.quote(f'source ~/.bashrc; {command}')}"
        done = subprocess.run([*ssh, f"root@{self.address}", shell], capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, f"{self.name}: {command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def send(self, file: Path, place: str) -> None:
        """Copy a file there."""
        words = ["scp", "-q", "-i", str(self.key), *(word for option in SSH_OPTIONS for word in ("-o", option))]
        subprocess.run([*words, str(file), f"root@{self.address}:{place}"], check=True, timeout=60)

    def cut(self) -> None:
        """Pull the network cable."""
        _ip("link", "set", self._wire, "down")

    def heal(self) -> None:
        """Put the cable back."""
        _ip("link", "set", self._wire, "up")

    def start_again(self) -> None:
        """Power on after `kill`, as a new machine at the same address: nothing of before is on its disk."""
        assert self._process is None
        self.stop()
        shutil.rmtree(self._folder)
        self.start(self._bridge)

    def kill(self) -> None:
        """End every process of the host at once, as a power cut does. Safe to repeat."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        """Kill it and take its network away. Safe to repeat, also when it never came up."""
        self.kill()
        subprocess.run(["ip", "link", "del", self._wire], capture_output=True)
        subprocess.run(["ip", "netns", "del", self._wire], capture_output=True)

    def processes(self) -> list[str]:
        """The command lines of everything that runs there but sshd and what looks."""
        lines = self.run("ps -eo args --no-headers").splitlines()
        return [line for line in lines if not any(word in line for word in ("sshd", "ps -eo", "bash --login"))]

    def _await_ssh(self) -> None:
        deadline = time.monotonic() + SSH_SECONDS
        while True:
            try:
                self.run("true")
                return
            except AssertionError as error:
                if time.monotonic() > deadline or self._process is None or self._process.poll() is not None:
                    log = (self._folder.parent / f"{self.name}.log").read_text()
                    raise RuntimeError(f"{self.name} did not come up: {error}\n{log}") from None
                time.sleep(0.1)


@contextmanager
def hosts(folder: Path, count: int, disk: str = DISK) -> Iterator[list[Host]]:
    """So many hosts on a bridge of their own, the first meant as the head; their disks hold `disk` each."""
    number = next(NUMBERS)
    bridge, net = f"ar{os.getpid()}n{number}", f"10.77.{(os.getpid() + number) % 200 + 20}"
    for name in ("key", "host_key"):
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(make, check=True)
    names = ["head", *(f"worker{index}" for index in range(1, count))]
    known = ["127.0.0.1 localhost", *(f"{net}.{index + 2} {name}" for index, name in enumerate(names))]
    (folder / "etc_hosts").write_text("\n".join(known) + "\n")
    made: list[Host] = []
    try:
        _ip("link", "add", bridge, "type", "bridge")
        _ip("addr", "add", f"{net}.1/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for index, name in enumerate(names):
            host = Host(name, f"{bridge}h{index}", f"{net}.{index + 2}", f"{net}.1", folder / name, disk)
            made.append(host)
            host.start(bridge)
        yield made
    finally:
        for host in made:
            host.stop()
        subprocess.run(["ip", "link", "del", bridge], capture_output=True)


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")
