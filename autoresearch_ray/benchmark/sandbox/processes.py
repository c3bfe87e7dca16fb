"""A slot's processes: the environment that they start in, how many and how large they are, and the end of all of them.

Where the kernel allows it (as root, or with user namespaces) the process server is the first process of its own PID
namespace: when it dies the kernel kills everything inside, and one call ends everything but itself, whatever was
forked, detached or is deaf to signals. Elsewhere orphans are inherited (child subreaper) and hunted through /proc.
"""

import contextlib
import math
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import psutil

from autoresearch_ray.common.paths import PACKAGE

ALLOWED_ENVIRONMENT = (
    "PATH", "LANG", "LC_ALL", "TZ", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "LD_LIBRARY_PATH",
    "CUDA_HOME", "VIRTUAL_ENV",
)  # fmt: skip
KEEP_MEMORY = {  # else glibc returns freed tensors to the kernel: 4,000 page faults, 10 % of a small CPU step
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
}


@dataclass(frozen=True)
class Tree:
    """All descendants of a process, seen from outside."""

    memory_mb: float = 0.0  # memory without programs and data files; a shared page counts for each process
    threads: int = 0  # threads of all processes


def clean_environment(threads: int, scratch: Path) -> dict[str, str]:
    """The environment of candidates: an allow-list, so that no key or token can be inherited."""
    environment = {name: os.environ[name] for name in ALLOWED_ENVIRONMENT if name in os.environ}
    environment |= {f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "MKL", "OPENBLAS")}
    packages = [str(PACKAGE.parent), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    environment |= {"PYTHONUNBUFFERED": "1", "PYTHONPATH": os.pathsep.join(dict.fromkeys(packages))}
    return environment | KEEP_MEMORY | own_folders(str(scratch))


def own_folders(scratch: str) -> dict[str, str]:
    """The variables that say where a process may write."""
    return {"HOME": scratch, "TMPDIR": scratch, "TORCHINDUCTOR_CACHE_DIR": f"{scratch}/inductor"}


@lru_cache
def namespace_prefix() -> tuple[str, ...]:
    """The command prefix that puts a process into its own PID namespace; empty where that is not allowed."""
    base = ("unshare", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc")
    for prefix in (base, (*base, "--user", "--map-root-user")):
        try:
            probe = subprocess.run([*prefix, "true"], capture_output=True, timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if probe.returncode == 0:
            return prefix
    return ()


def kill_everything_else(patience_seconds: float = 30.0) -> None:
    """End every process below this one and collect it. For the process server alone."""
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        _kill_once()
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)


def is_first_process() -> bool:
    """Whether this process is the first of a PID namespace of its own."""
    return os.getpid() == 1 and os.getppid() == 0


def tree(pid: int) -> Tree:
    """The resources that the descendants of a process use; zeros when it is gone."""
    memory = threads = 0
    for child in _descendants(pid):
        numbers = _facts(f"/proc/{child.pid}/status", ("RssAnon:", "RssShmem:", "Threads:"))
        memory += numbers[0] + numbers[1]
        threads += numbers[2]
    return Tree(memory / 1024, threads)


def memory_mb(pid: int) -> float:
    """What the descendants of a process have in memory but programs and data files, shared pages counted once.

    Takes milliseconds a process. Where the kernel does not tell, shared pages count for each.
    """
    total = 0
    for child in _descendants(pid):
        numbers = _facts(f"/proc/{child.pid}/smaps_rollup", ("Pss_Anon:", "Pss_Shmem:"))
        total += sum(numbers) or sum(_facts(f"/proc/{child.pid}/status", ("RssAnon:", "RssShmem:")))
    return total / 1024


def cpu_seconds() -> float:
    """CPU time that everything below this process has used, with what has ended and was waited for."""
    own = os.getpid()
    if is_first_process():
        pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    else:
        pids = [child.pid for child in _descendants(own)]
    ticks = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        ticks += sum(map(int, fields[11:15])) if pid != own else 0
    return ticks / os.sysconf("SC_CLK_TCK")


def folder_mb(folder: Path, most_files: int = 50_000) -> float:
    """The size of a folder that another process writes to; infinite where it has too many files."""
    size = count = 0
    for inner, _, names in os.walk(folder):
        count += 1 + len(names)
        if count > most_files:
            return math.inf
        for name in names:
            with contextlib.suppress(OSError):
                size += os.lstat(os.path.join(inner, name)).st_blocks * 512  # noqa: PTH118  # a string all along
    return size / (1 << 20)


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _facts(path: str, names: tuple[str, ...]) -> list[int]:
    """Numbers behind these names in one of the kernel's tables; 0 for what is not there."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:  # it has ended, or may not be inspected
        return [0] * len(names)
    numbers = {line.split()[0]: int(line.split()[1]) for line in lines if line.startswith(names)}
    return [numbers.get(name, 0) for name in names]


def _kill_once() -> None:
    if is_first_process():  # -1 is everything inside it
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            return
        return
    for child in psutil.Process().children(recursive=True):
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue
