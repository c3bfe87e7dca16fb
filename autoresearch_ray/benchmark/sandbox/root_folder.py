"""The files that a candidate sees: programs, libraries and devices, read-only, and an empty folder of its own.

`enter` gives the calling process a root folder of its own that holds nothing else: no home, no runs, no data, no other
trial, whatever their permissions. `enter_scratch` gives one candidate's process an empty folder of limited size, and
such a /dev/shm. Both need a mount namespace; where there is none, Landlock allows what `visible` and `devices` name.
"""

import importlib.util
import os
import site
import stat
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autoresearch_ray.benchmark.sandbox import syscalls
from autoresearch_ray.common.paths import PACKAGE

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/sys", "/nix/store", "/gnu/store")
ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "alternatives", "nvidia", "OpenCL", "os-release")
PLAIN_DEVICES = ("null", "zero", "full", "random", "urandom")
GPU_DEVICES = ("nvidia*", "nvidia-caps/*", "dri/*", "dxg", "kfd")
LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}
READ_ONLY_PROC = ("sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi")
EMPTY_PROC = ("kcore", "keys", "key-users", "timer_list", "kallsyms", "kpageflags", "kpagecount", "latency_stats")
SCRATCH, SHARED_MEMORY, COVERS, PROC = "/scratch", "/dev/shm", "/.covers", "/proc"
SCRATCH_MB = 512  # what a candidate may write to its folder, and as much again to /dev/shm
SCRATCH_FILES = 50_000


@dataclass(frozen=True)
class Cover:
    """A file whose text is withheld: `path` looks as it did (size, time), and holds zeros."""

    path: str
    size: int
    modified_ns: int


def visible(shown: Sequence[str] = ()) -> list[str]:
    """Folders that a trainer reads, none within another: the system's programs and libraries, Python, its packages,
    CUDA, this package, and what is `shown` besides."""
    return _outermost([*_list_needed(), *shown])


def devices() -> list[str]:
    """Device files that a trainer uses."""
    plain = [f"/dev/{name}" for name in PLAIN_DEVICES]
    return plain + [str(path) for pattern in GPU_DEVICES for path in sorted(Path("/dev").glob(pattern))]


def covers(paths: list[Path]) -> tuple[Cover, ...]:
    """Covers for those of the files that a candidate would see."""
    shown = visible()
    found = [path for path in paths if path.is_file() and any(path.is_relative_to(allowed) for allowed in shown)]
    return tuple(Cover(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in found)


def enter(
    staging: str, hidden: list[str], user: int, writable: tuple[str, ...] = (), shown: Sequence[str] = ()
) -> None:
    """Give this process a root folder of its own, built on the empty folder `staging`, with a name for `user`.

    What of `hidden` lies in a visible folder is covered by an empty one, but for what is `shown` in it; the folders
    `writable` are this machine's own. Needs a private mount namespace.
    """
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("tmpfs", staging, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "size=4m,mode=755")
    for path in visible(shown):
        _show(path, staging)
    for name in ETC:
        _show(f"/etc/{name}", staging)
    for path in devices():
        _show(path, staging)
    _fill_etc(Path(staging, "etc"), user)
    for name, target in LINKS.items():
        Path(staging, "dev", name).symlink_to(target)
    for folder in (SCRATCH, SHARED_MEMORY, COVERS, PROC):
        Path(staging + folder).mkdir(mode=0o755)
    if not Path(staging, "tmp").exists():  # it does where Python itself lies in /tmp
        Path(staging, "tmp").symlink_to(SCRATCH)
    for path in hidden:
        _hide(path, staging, shown)
    for path in writable:
        Path(staging + path).mkdir(parents=True, exist_ok=True)
    syscalls.make_tree_read_only(staging)
    for path in writable:
        syscalls.mount(path, staging + path, flags=syscalls.MS_BIND | syscalls.MS_REC)
    _show_processes(staging)
    syscalls.enter_root(staging)


def enter_scratch(
    owner: int,
    covers: tuple[Cover, ...],
    folders: tuple[str, ...] = (SCRATCH, SHARED_MEMORY),
    closed: Sequence[str] = (),
) -> None:
    """Empty `folders` of `owner` for this process, the files of `covers` blank, and what is `closed` empty.

    In a mount namespace of its own, below `enter`.
    """
    own = f",uid={owner},gid={owner}" if owner else ""
    limits = f"size={SCRATCH_MB}m,nr_inodes={SCRATCH_FILES},mode=700{own}"
    for folder in folders:
        syscalls.mount("tmpfs", folder, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, limits)
    if covers:
        syscalls.mount("tmpfs", COVERS, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "size=1m,mode=755")
    for number, cover in enumerate(covers):
        blank = Path(COVERS, str(number))
        blank.touch()
        os.truncate(blank, cover.size)
        os.utime(blank, ns=(cover.modified_ns, cover.modified_ns))
        syscalls.mount(str(blank), cover.path, flags=syscalls.MS_BIND)
    for path in closed:
        if Path(path).is_dir():
            syscalls.mount("tmpfs", path, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "size=4k,mode=555")
        else:
            syscalls.mount("/dev/null", path, flags=syscalls.MS_BIND)
    os.chdir(SCRATCH)


def _list_needed() -> list[str]:
    python = [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, sysconfig.get_path("stdlib")]
    packages = [path for path in sys.path if path.endswith(("-packages", "lib-dynload", ".zip"))]
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    cuda = os.environ.get("CUDA_HOME", "")
    spec = importlib.util.find_spec("torch")  # its neighbours too, wherever they lie
    torch = str(Path(spec.origin).parents[1]) if spec and spec.origin else ""
    wanted = [*SYSTEM, *python, *packages, torch, site.getusersitepackages(), *libraries, cuda, str(PACKAGE)]
    wanted += [str(Path(path).resolve()) for path in [*python, *packages, sys.executable] if path]
    return [path for path in wanted if path.startswith("/") and path != "/" and Path(path).exists()]


def _outermost(paths: list[str]) -> list[str]:
    """The paths without those that lie in another, folders before what is in them."""
    kept: list[str] = []
    for path in sorted({os.path.normpath(path) for path in paths}, key=lambda path: (len(path), path)):
        real = Path(path)
        if real.is_symlink() or not any(parent in kept for parent in map(str, real.parents)):
            kept.append(path)
    return kept


def _show(path: str, staging: str) -> None:
    """`path` at the same place below `staging`: symbolic links are made again, all else is bound."""
    target = Path(staging + path)
    if not os.path.lexists(path) or os.path.lexists(target):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        target.symlink_to(Path(path).readlink())
        return
    if stat.S_ISDIR(mode):
        target.mkdir()
    else:
        target.touch()
    syscalls.mount(path, str(target), flags=syscalls.MS_BIND | syscalls.MS_REC)


def _hide(path: str, staging: str, shown: Sequence[str]) -> None:
    """Cover the folder `path` where it lies in a visible one, but for what is needed or shown in it."""
    if not any(Path(path).is_relative_to(allowed) for allowed in visible(shown)) or not Path(staging + path).is_dir():
        return
    syscalls.mount("tmpfs", staging + path, "tmpfs", options="size=1m,mode=755")
    for needed in (*_list_needed(), *shown):
        if needed != path and Path(needed).is_relative_to(path):
            _show(needed, staging)


def _fill_etc(etc: Path, user: int) -> None:
    """Names of users and hosts, without this machine's."""
    etc.mkdir(exist_ok=True)
    users = {"root": 0} | ({"candidate": user} if user else {})
    (etc / "passwd").write_text("".join(f"{name}:x:{n}:{n}::{SCRATCH}:/bin/sh\n" for name, n in users.items()))
    (etc / "group").write_text("".join(f"{name}:x:{n}:\n" for name, n in users.items()))
    (etc / "hosts").write_text("127.0.0.1 localhost\n")
    (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n")


def _show_processes(staging: str) -> None:
    """This PID namespace's /proc, without the kernel's settings and secrets."""
    proc = staging + PROC
    syscalls.mount(PROC, proc, flags=syscalls.MS_BIND | syscalls.MS_REC)
    for name in READ_ONLY_PROC:
        if Path(proc, name).exists():
            syscalls.mount(f"{proc}/{name}", f"{proc}/{name}", flags=syscalls.MS_BIND | syscalls.MS_REC)
            syscalls.make_tree_read_only(f"{proc}/{name}")
    for name in EMPTY_PROC:
        if Path(proc, name).is_file():
            syscalls.mount("/dev/null", f"{proc}/{name}", flags=syscalls.MS_BIND)
