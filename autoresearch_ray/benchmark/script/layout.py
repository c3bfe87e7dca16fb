"""A process of a script or its judge, from the fork to its program: files laid out behind the walls, then exec.

Afterwards the process server reads these files through the folder that it opened before the script began. It does not
use their paths, because the script may change these as it likes.
"""

import os
import socket
import stat
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autoresearch_ray.benchmark.sandbox.root_folder import SCRATCH_MB
from autoresearch_ray.settings.script_experiment import ScriptExperiment

INJECTED = Path(__file__).with_name("injected")  # a folder for PYTHONPATH
CHUNK = 1 << 20
MOST_BYTES = SCRATCH_MB << 20  # most bytes of a file that is read back


@dataclass(frozen=True, slots=True)
class Order:
    """The program that a process shall run, and its surroundings."""

    experiment: ScriptExperiment
    command: list[str]
    seed: int
    home: str  # the user's home: data below it is linked at the same place below the script's home
    linked: tuple[str, ...]  # folders and files that it may read


def lay_out(tars: Sequence[int], order: Order) -> None:
    """The files of these tars in the current folder, each over the one before, and links to what it may read."""
    for descriptor in tars:
        os.lseek(descriptor, 0, os.SEEK_SET)  # another process may have read it
        with os.fdopen(os.dup(descriptor), "rb") as file, tarfile.open(fileobj=file, mode="r") as tar:
            tar.extractall(".", filter="data")
    for path in order.linked:
        for base in (order.experiment.folder, order.home):
            if base and Path(path).is_relative_to(base) and path != base:
                _link(path, Path(path).relative_to(base))
                break


def run_program(order: Order) -> None:
    """Become the program. OSError if it cannot be started."""
    how, name = order.experiment.seeding
    words = list(order.command)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    said = dict(order.experiment.environment)
    if how == "injected":  # first in the path; a sitecustomize of the experiment's own runs after ours
        said["PYTHONPATH"] = os.pathsep.join(filter(None, [str(INJECTED), said.get("PYTHONPATH", "")]))
        said["AUTORESEARCH_SEED_OFFSET"] = str(order.seed)
    elif how == "environment":
        environment[name] = str(order.seed)
    elif how == "argument":
        words += [name, str(order.seed)]
    environment["AUTORESEARCH_BUDGET_SECONDS"] = f"{order.experiment.budget_seconds:g}"
    os.execvpe(words[0], words, environment | said)


def tell_folder(channel: socket.socket) -> None:
    """Send the server the current folder, opened, and close the channel: the program comes next."""
    folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    socket.send_fds(channel, [b"laid out"], [folder])
    os.close(folder)
    channel.close()


def read_file(folder: int, path: str, most: int = MOST_BYTES) -> bytes | None:
    """A regular file below an opened folder; None if there is none. No link on the way is followed."""
    opened = _open_below(folder, path)
    if opened is None:
        return None
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        return None
    with os.fdopen(opened, "rb") as file:
        return file.read(most)


def write_file(path: str, content: bytes) -> None:
    """A file below the current folder, in the place of what is there."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).unlink(missing_ok=True)
    Path(path).write_bytes(content)


def _open_below(folder: int, path: str) -> int | None:
    *parents, name = Path(path).parts
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    opened = os.dup(folder)
    try:
        for parent in parents:
            below = os.open(parent, flags | os.O_DIRECTORY, dir_fd=opened)
            os.close(opened)
            opened = below
        return os.open(name, flags, dir_fd=opened)
    except OSError:
        return None
    finally:
        os.close(opened)


def _link(target: str, link: Path) -> None:
    if not os.path.lexists(link):
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
