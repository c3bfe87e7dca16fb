"""What a container may use of its machine: the CPU quota and the memory limit of this process's control group.

Versions 1 and 2 of the kernel's interface. A limit of any group above counts too, as far up as can be seen from here.
Where nothing can be read there is no limit.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

import psutil

FILES = {  # controller: where version 1 and version 2 keep its limit
    "cpu": ("cpu.cfs_quota_us", "cpu.max"),
    "memory": ("memory.limit_in_bytes", "memory.max"),
    "pids": ("pids.max", "pids.max"),
}
OWN = Path("/proc/self")


def usable_cpus(own: Path = OWN) -> int:
    """CPU cores that this process may use: those that it may run on, and no more than its container's quota gives."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min(cores, limit("cpu", own))))


def usable_memory(own: Path = OWN) -> int:
    """Bytes of memory that the machine has, or as many as its container may use."""
    return int(min(psutil.virtual_memory().total, limit("memory", own)))


def limit(controller: str, own: Path = OWN) -> float:
    """CPU cores (`cpu`), bytes (`memory`), or processes and threads (`pids`); infinite without a limit."""
    return min((_read(controller, group) for group in _groups(controller, own)), default=math.inf)


def count_memory_kills(own: Path = OWN) -> int:
    """How many processes of this container the kernel has ended because memory ran out."""
    for group in _groups("memory", own):
        for name in ("memory.events", "memory.oom_control"):  # version 2, version 1
            counts = dict(line.split() for line in _text(group / name).splitlines())
            if "oom_kill" in counts:
                return int(counts["oom_kill"])
    return 0


def _groups(controller: str, own: Path) -> Iterator[Path]:
    """The folders of this process's group and of those above it, the nearest first, in both versions."""
    paths: dict[str, Path] = {}  # keyed by controller; "" for version 2, which has one group for all
    for line in _text(own / "cgroup").splitlines():
        _, names, path = line.split(":", 2)
        paths |= dict.fromkeys(names.split(","), Path(path))
    for line in _text(own / "mountinfo").splitlines():
        place, _, system = line.partition(" - ")
        root, mount = map(Path, place.split()[3:5])
        kind, _, options = system.split(" ", 2)
        name = "" if kind == "cgroup2" else controller if controller in options.split(",") else None
        if kind in ("cgroup", "cgroup2") and name in paths:
            inner = paths[name].relative_to(root) if paths[name].is_relative_to(root) else Path()
            yield from (mount / part for part in (inner, *inner.parents))


def _read(controller: str, group: Path) -> float:
    first, second = (_text(group / name).split() for name in FILES[controller])
    if controller == "cpu" and first:  # microseconds of CPU time in a period of so many
        first += _text(group / "cpu.cfs_period_us").split()
    said = second or first
    if not said or said[0] in ("max", "-1"):
        return math.inf
    return float(said[0]) / (float(said[1]) if controller == "cpu" else 1)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
