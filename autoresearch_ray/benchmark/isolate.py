"""Keeping a candidate's processes apart and ending all of them, on Linux.

Where the kernel allows it (as root, or with user namespaces) a slot's process server is the first process of its own
PID namespace: when it dies the kernel kills everything inside, and one call ends everything but itself, whatever was
forked, detached or is deaf to signals. Elsewhere orphans are inherited (child subreaper) and hunted through /proc.
File system, network and system calls are not restricted here.
"""

import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from functools import lru_cache
from pathlib import Path

import psutil

ALLOWED_ENVIRONMENT = (
    "PATH", "LANG", "LC_ALL", "TZ", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "LD_LIBRARY_PATH",
    "CUDA_MPS_PIPE_DIRECTORY", "CUDA_HOME", "VIRTUAL_ENV",
)  # fmt: skip
KEEP_MEMORY = {  # glibc gives freed tensors back to the kernel else: 4,000 page faults and 10 % of a small CPU step
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
}
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    if _libc is not None:
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1)


def clean_environment(threads: int, scratch: Path) -> dict[str, str]:
    """The environment of candidates: an allow-list, so that no key or token can be inherited."""
    environment = {name: os.environ[name] for name in ALLOWED_ENVIRONMENT if name in os.environ}
    environment |= {f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "MKL", "OPENBLAS")}
    environment |= {"HOME": str(scratch), "TMPDIR": str(scratch), "PYTHONUNBUFFERED": "1"}
    environment["TORCHINDUCTOR_CACHE_DIR"] = str(scratch / "inductor")
    return environment | KEEP_MEMORY | {"PYTHONPATH": str(Path(__file__).parents[2])}


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


def isolation_level() -> str:
    """What this machine gives: `pid-namespace` or `process-group`."""
    return "pid-namespace" if namespace_prefix() else "process-group"


def limit_candidate(memory_mb: int) -> None:
    """Resource limits of the calling process and its children; a low priority for survival when memory is short."""
    if memory_mb:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_mb << 20, memory_mb << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 30, 4 << 30))
    if sys.platform == "linux":
        Path("/proc/self/oom_score_adj").write_text("1000")


def kill_everything_else(patience_seconds: float = 5.0) -> None:
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


def _kill_once() -> None:
    if os.getpid() == 1 and os.getppid() == 0:  # first process of its own namespace: -1 is everything inside it
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


def tree_memory_mb(pid: int) -> float:
    """Resident memory of all descendants of a process, seen from outside; 0 when it is gone."""
    total = 0
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return 0.0
    for child in children:
        try:
            memory = child.memory_info()
            total += memory.rss - memory.shared
        except psutil.NoSuchProcess:
            continue
    return total / (1 << 20)
