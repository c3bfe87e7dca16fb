"""Whether the walls hold: a process behind them tries to get through each, before any candidate runs.

    python -m autoresearch_ray.benchmark.sandbox.self_test LAYERS FOLDER    prints the walls that hold here, as JSON

`walls.reached` runs it so, and each process server tries its own walls at its start.
"""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from autoresearch_ray.benchmark.sandbox import mps, root_folder, syscalls
from autoresearch_ray.benchmark.sandbox.walls import Walls, confine, parse_layers, raise_walls
from autoresearch_ray.records.codec import to_json

SECRET = "secret"  # a file that no candidate may read, beside the folder that it gets


def raise_and_try(
    wanted: frozenset[str], scratch: Path, hidden: list[str], number: int, shown: Sequence[str] = ()
) -> Walls:
    """Raise the calling process server's walls and try them; what remains are those that hold.

    `scratch` is an existing folder that belongs to the slot; `shown` may be read besides what every trainer needs.
    """
    secret, work, staging = scratch / SECRET, scratch / "attempt", scratch / "root"
    secret.write_text("not for candidates")
    for folder in (work, staging):
        folder.mkdir(exist_ok=True)
    walls = raise_walls(wanted, str(staging), hidden, number, tuple(shown))
    broken = _find_broken(walls, str(work), str(secret))
    if "user" in broken:  # it cannot change its user, or that user may not use Python or the GPU
        walls = replace(walls, user=0)
        broken = _find_broken(walls, str(work), str(secret))
    return walls.without(broken)


def _find_broken(walls: Walls, folder: str, secret: str) -> set[str]:
    """The layers that a process behind the walls got through; `user` if it cannot work as the user that it is."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            confine(walls, folder)
            os.write(writing, " ".join(["done", *_attempts(walls, secret)]).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = set(pipe.read().decode().split())
    os.waitpid(pid, 0)
    if "done" in answer:
        return answer - {"done"}
    return {"user"} if walls.user else set(walls.layers) & {"fs", "landlock", "seccomp"}


def _attempts(walls: Walls, secret: str) -> list[str]:
    ways: dict[str, Callable[[], bool]] = {
        "net": lambda: len(Path("/proc/self/net/dev").read_text().splitlines()) > 3,  # two of header, and `lo`
        "fs": lambda: _can_open(secret, os.O_RDONLY) or _can_open("/usr/autoresearch", os.O_WRONLY | os.O_CREAT),
        "landlock": lambda: _can_open(secret, os.O_RDONLY) or _can_open("/tmp", os.O_WRONLY | os.O_TMPFILE),
        "seccomp": _can_unshare,
        mps.LAYER: lambda: not (mps.is_running() and os.access(root_folder.SHARED_MEMORY, os.W_OK)),
    }
    return [layer for layer in walls.layers if layer in ways and ways[layer]()] + ([] if _is_at_home() else ["user"])


def _can_open(path: str, flags: int) -> bool:
    try:
        os.close(os.open(path, flags))
    except OSError:
        return False
    return True


def _can_unshare() -> bool:
    try:
        syscalls.unshare(0)  # nothing, but the call is made
    except OSError:
        return False
    return True


def _is_at_home() -> bool:
    """Whether Python and the GPUs can be used."""
    gpus = [path for path in root_folder.devices() if path.startswith("/dev/nvidia") and Path(path).is_char_device()]
    gpus = [path for path in gpus if "caps" not in path]  # "caps" files are MIG's; most are for administrators
    needed = (sys.executable, os.__file__, __file__)
    return all(os.access(path, os.R_OK) for path in needed) and all(os.access(gpu, os.R_OK | os.W_OK) for gpu in gpus)


if __name__ == "__main__":
    layers = parse_layers(sys.argv[1])
    sys.stdout.write(to_json(raise_and_try(layers, Path(sys.argv[2]), [], os.getpid())))
