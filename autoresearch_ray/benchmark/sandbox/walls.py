"""Keeping a candidate apart, in layers; Linux.

    pid       a PID namespace: its processes see only themselves, and one call ends all of them (`processes.py`)
    net       a network namespace without a network
    fs        a root folder of its own: programs and libraries, read-only, and an empty folder (`root_folder.py`)
    landlock  replaces fs where mounts are not allowed: files by an allow-list, no signals to others
    seccomp   a filter of system calls, sockets included (`seccomp.py`)
    mps       an opening, not a layer: the node's NVIDIA MPS, see `mps.py`

All of them come with an environment from an allow-list, resource limits, a user without rights and closed descriptors.
A process server raises its walls once; each candidate's process goes behind them right after the fork.
`self_test.py` tries whether they hold.
"""

import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import get_args

from autoresearch_ray.benchmark.sandbox import landlock, limits, mps, processes, root_folder, seccomp, syscalls
from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.records.codec import from_json
from autoresearch_ray.records.trials import Isolation

FULL = ("pid", "net", "fs", "seccomp")
LAYERS = ("pid", "net", "fs", "landlock", "seccomp", mps.LAYER)
MODES: tuple[Isolation, ...] = get_args(Isolation)
HOW_TO_GET = (
    "run as root, or allow user namespaces (on Ubuntu: sysctl kernel.apparmor_restrict_unprivileged_userns=0; in a "
    "container: --security-opt seccomp=unconfined --security-opt systempaths=unconfined, and where there is AppArmor "
    "--security-opt apparmor=unconfined)"
)
PROBE_SECONDS = 30

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Walls:
    """The walls around the candidates of one process server."""

    layers: tuple[str, ...] = ()  # ordered as LAYERS
    missing: dict[str, str] = field(default_factory=dict)  # layer: why it could not be had
    user: int = 0  # user that candidates run as; 0: the server's own
    shown: tuple[str, ...] = ()  # paths they may read besides what every trainer needs

    @property
    def level(self) -> str:
        """The layers' names for the trial's row, for example `pid+net+fs+seccomp`."""
        return "+".join(self.layers) or "none"

    def without(self, broken: set[str]) -> "Walls":
        """The walls without these layers."""
        missing = self.missing | dict.fromkeys(broken, "a process behind it got through")
        return replace(self, layers=tuple(layer for layer in self.layers if layer not in broken), missing=missing)


def parse_layers(isolation: str) -> frozenset[str]:
    """The layers of a mode, or of a list like `pid+net`. SettingsError for an unknown one."""
    if isolation in ("strict", "best"):
        return frozenset(FULL)
    layers = frozenset({"pid"} if isolation == "none" else isolation.split("+"))
    if not layers <= set(LAYERS):
        raise SettingsError(f"isolation {isolation!r}: expected one of {', '.join(MODES)}")
    return layers


def raise_walls(
    wanted: frozenset[str], staging: str, hidden: list[str], number: int, shown: tuple[str, ...] = ()
) -> Walls:
    """Put the calling process inside those wanted layers that it can get; it may still work. Returns these walls.

    `staging` is an empty folder; `hidden` folders that no candidate may see wherever they lie; `number` tells the
    slots of one machine apart; `shown` are folders and files that candidates may read besides.
    """
    if not syscalls.SUPPORTED:
        return Walls(missing=dict.fromkeys(wanted, "only Linux on x86_64 and aarch64 has it"))
    doors = (mps.pipe_folder(), root_folder.SHARED_MEMORY) if mps.LAYER in wanted else ()
    user = limits.spare_user(mps.USER_NUMBER if doors else number)
    enter: dict[str, Callable[[], None]] = {
        "pid": _check_first_process,
        "net": lambda: syscalls.unshare(syscalls.CLONE_NEWNET),
        "fs": lambda: _enter_view(staging, hidden, user, doors, shown),
        "seccomp": lambda: None,
    }
    layers: set[str] = set()
    missing: dict[str, str] = {}
    for layer in (layer for layer in FULL if layer in wanted):
        try:
            enter[layer]()
            layers.add(layer)
        except OSError as error:
            missing[layer] = str(error)
    if ("fs" in missing or "landlock" in wanted) and landlock.version():
        layers.add("landlock")
    if doors:
        layers.add(mps.LAYER)
    syscalls.set_dumpable(False)  # candidates may not look into this process
    return Walls(tuple(layer for layer in LAYERS if layer in layers), missing, user, shown)


def confine(
    walls: Walls,
    folder: str,
    memory_mb: int = 0,
    covers: tuple[root_folder.Cover, ...] = (),
    memory_files: bool = False,
    closed: Sequence[str] = (),
) -> None:
    """Put the calling process, fresh from the fork, behind the walls for ever.

    It then is in a folder of its own: an empty one that goes with it, or `folder` without the fs layer. It may have
    `memory_mb` (0: any), does not see the text of `covers`, has memory files only if said so, and may not read
    what is `closed` of what the walls show.
    """
    doors = [mps.pipe_folder(), root_folder.SHARED_MEMORY] if mps.LAYER in walls.layers else []
    if "fs" in walls.layers:
        syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWIPC)
        own = (root_folder.SCRATCH,) if doors else (root_folder.SCRATCH, root_folder.SHARED_MEMORY)
        root_folder.enter_scratch(walls.user, covers, own, closed)
        folder = root_folder.SCRATCH
    elif walls.user:
        os.chown(folder, walls.user, walls.user)
    os.chdir(folder)
    os.environ |= processes.own_folders(folder)
    tempfile.tempdir = folder  # Python has looked it up before the fork
    if syscalls.SUPPORTED:
        syscalls.set_dumpable(True)  # as the server is not; else it could not read its own /proc
    limits.die_first()
    limits.limit_resources(memory_mb, limits.counts_apart(walls.user) and not doors)
    if not syscalls.SUPPORTED:
        return
    limits.become(walls.user)
    syscalls.die_with_parent()
    if "landlock" in walls.layers:
        open_to_it = [path for path in walls.shown if path not in closed]
        readable = [*root_folder.visible(open_to_it), *(f"/etc/{name}" for name in root_folder.ETC), "/proc"]
        landlock.confine(readable, [folder, *doors], root_folder.devices())
    elif "fs" in walls.layers:
        landlock.keep_signals_in()  # an ordinary user's judge has the candidate's user
    if "seccomp" in walls.layers:
        seccomp.install(memory_files)


def check_reached(isolation: str, walls: Walls) -> None:
    """Raises SettingsError where `strict` is not met; a weaker `best`, and `none`, are said once in a process."""
    absent = [layer for layer in FULL if layer not in walls.layers]
    if isolation == "strict" and absent:
        reasons = "; ".join(f"no {layer} ({walls.missing.get(layer, 'refused')})" for layer in absent)
        raise SettingsError(f"isolation strict: this machine gives {walls.level}, {reasons}; {HOW_TO_GET}")
    if isolation == "none":
        _say_once("isolation none: candidates can read your files, use the network and fill the disk")
    elif isolation == "best" and absent:
        _say_once(f"isolation {walls.level}: candidates run without {', '.join(absent)}; {HOW_TO_GET}")


@lru_cache
def try_walls(isolation: str = "best") -> Walls:
    """What a slot with this isolation gets on this machine, tried in a process of its own; 0.3 s, once."""
    wanted = parse_layers(isolation)
    with tempfile.TemporaryDirectory(prefix="autoresearch-walls-") as folder:
        command = [
            sys.executable,
            "-m",
            "autoresearch_ray.benchmark.sandbox.self_test",
            "+".join(sorted(wanted)),
            folder,
        ]
        answer = subprocess.run(
            [*processes.namespace_prefix(), *command],
            env=processes.clean_environment(1, Path(folder)),
            capture_output=True,
            text=True,
            timeout=PROBE_SECONDS,
            check=False,
        )
    if answer.returncode:
        return Walls(missing=dict.fromkeys(wanted, " ".join(answer.stderr.split())[-200:]))
    return from_json(Walls, answer.stdout)


def isolation_level() -> str:
    """What this machine gives a slot, for example `pid+net+fs+seccomp`."""
    return try_walls().level


def _check_first_process() -> None:
    if not processes.is_first_process():
        raise PermissionError(1, "unshare --pid: not permitted")


def _enter_view(staging: str, hidden: list[str], user: int, doors: tuple[str, ...], shown: tuple[str, ...]) -> None:
    syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWIPC)
    root_folder.enter(staging, hidden, user, doors, shown)


@lru_cache
def _say_once(line: str) -> None:
    logger.warning("%s", line)
