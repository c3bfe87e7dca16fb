"""A slot's seat on its machine or GPU: its number, its cores, and who works beside it.

    seat = Seat(settings)
    seat.await_neighbours(4)           # before the first trial: slots of one GPU start together
    with seat.busy():
        seat.look()                    # now and then, while a trial runs
    seat.sign(result)

Seats are held by file locks, so that they are free again whoever dies. Only slots of one device see each other: those
of one GPU, or of one machine for trials on CPUs.
"""

import contextlib
import fcntl
import itertools
import os
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import IO

from autoresearch_ray.records.trials import Result
from autoresearch_ray.settings.run_settings import RunSettings

MAX_SLOTS_PER_MACHINE = 1024
TOGETHER_SECONDS = 30.0  # that the first trial of a slot waits for its neighbours to be ready, at most
POLL_SECONDS = 0.05


class Seat:
    """A numbered seat on this machine or GPU. One thread."""

    def __init__(self, settings: RunSettings) -> None:
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "all") if settings.device == "cuda" else "cpu"
        self._folder = _seats_folder() / gpus.replace("/", "_")
        self._folder.mkdir(exist_ok=True)
        self.number, self._lock_file = self._take()
        self._ready: IO[bytes] | None = None
        self._seen: list[int] = []  # how many others ran a trial, at each look
        self._gpus = settings.gpu_share
        self.cores = self._own_cores(settings) if settings.device == "cpu" else ()

    def await_neighbours(self, count: int, seconds: float = TOGETHER_SECONDS) -> int:
        """Say that this slot is ready for its first trial and wait until `count` are, itself included; how many are.

        A trial that starts alone on its GPU has more of it than its neighbours will ever have.
        """
        if self._ready is None:
            self._ready = _open_mark(self._folder / f"ready-{self.number}")
        deadline = time.monotonic() + seconds
        while (ready := 1 + self._others("ready")) < count and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return ready

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """A trial runs here until the end of `with`."""
        self._seen = []
        with _open_mark(self._folder / f"busy-{self.number}"):
            self.look()
            yield

    def look(self) -> None:
        """Count the other trials beside the one that runs here."""
        self._seen.append(self._others("busy"))

    def sign(self, result: Result) -> Result:
        """The result with where it was measured, and with how many others beside it on average."""
        beside = self._seen[1:] or self._seen  # slots that start together do not see each other at once
        cotenants = round(fmean(beside)) if beside else 0
        return replace(result, slot=self.number, node=socket.gethostname(), gpus=self._gpus, cotenants=cotenants)

    def release(self) -> None:
        """Leave it to another slot."""
        for file in (self._ready, self._lock_file):
            if file is not None:
                file.close()

    def _others(self, mark: str) -> int:
        own = f"{mark}-{self.number}"
        return sum(path.name != own and _is_locked(path) for path in self._folder.glob(f"{mark}-*"))

    def _take(self) -> tuple[int, IO[bytes]]:
        for number in range(MAX_SLOTS_PER_MACHINE):
            file = (self._folder / f"place-{number}").open("ab")
            if _lock(file, fcntl.LOCK_EX):
                return number, file
            file.close()
        raise AssertionError(f"{MAX_SLOTS_PER_MACHINE} slots on one machine")

    def _own_cores(self, settings: RunSettings) -> tuple[int, ...]:
        """This seat's share of the cores; none are fixed where they do not suffice or are shared."""
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        count = int(settings.experiment.cpus_per_trial)
        mine = tuple(cores[self.number * count : (self.number + 1) * count])
        return mine if count >= 1 and len(mine) == count else ()


def _seats_folder() -> Path:
    """The folder of this user's seats, the same for all its slots on this machine.

    Where somebody else has a folder of that name in the shared /tmp, the next name that is free or our own.
    Folder and files are called places, as older versions call them, whose slots may work on the same GPU.
    """
    for number in itertools.count():
        folder = Path(tempfile.gettempdir()) / f"autoresearch-places-{os.getuid()}{f'-{number}' if number else ''}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
            return folder
    raise AssertionError("counting does not end")


def _open_mark(path: Path) -> IO[bytes]:
    """The file, locked until it is closed; who looks at it holds it for an instant."""
    file = path.open("ab")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def _is_locked(path: Path) -> bool:
    with path.open("ab") as file:
        return not _lock(file, fcntl.LOCK_SH)


def _lock(file: IO[bytes], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
