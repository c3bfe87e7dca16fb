"""A process of a candidate, forked from the process server and put behind the walls; and how such a process ends."""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from autoresearch_ray.benchmark.sandbox import limits
from autoresearch_ray.benchmark.sandbox.root_folder import Cover
from autoresearch_ray.benchmark.sandbox.walls import Walls, confine
from autoresearch_ray.benchmark.trial.job import Event, Job
from autoresearch_ray.benchmark.trial.process_server import Channel, End


class Host(Protocol):
    """The process server."""

    def tell(self, event: Event) -> None: ...
    def fork(self) -> int: ...
    def follow(self, pid: int, channel: Channel, heard: Callable[[bytes], bool]) -> End | None: ...


@dataclass(frozen=True)
class Confinement:
    """The walls around the processes of one job, and their limits."""

    walls: Walls
    folder: str  # working folder where they have no root folder of their own
    memory_mb: int  # limit for each process; 0: none
    covers: tuple[Cover, ...] = ()
    memory_files: bool = False  # they may have some
    closed: tuple[str, ...] = ()  # paths that they may not read though the walls show them


def confinement_of(job: Job, walls: Walls, folder: str, covers: tuple[Cover, ...] = ()) -> Confinement:
    """The confinement of a job of our contract."""
    cuda = job.device == "cuda"
    memory_mb = 0 if cuda else job.memory_mb  # CUDA reserves far more than it uses
    return Confinement(walls, folder, memory_mb, covers, memory_files=cuda)


def fork_confined(
    host: Host, behind: Confinement, output: int, descriptors: list[int], run: Callable[[list[int]], None]
) -> int:
    """Fork a process that has these descriptors, `output` and no other; `run` is given their new numbers there."""
    pid = host.fork()
    if pid:
        return pid
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        kept = limits.keep_only(descriptors)
        confine(behind.walls, behind.folder, behind.memory_mb, behind.covers, behind.memory_files, behind.closed)
        run(kept)
        status = 0
    except BaseException:  # noqa: BLE001  # printed to the candidate's output; its exit says the rest
        traceback.print_exc()
        status = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # no atexit hook or lingering thread of a candidate delays the end


def kill(pid: int) -> End:
    """End a child and collect it."""
    os.kill(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    return End(os.waitstatus_to_exitcode(status), usage.ru_maxrss / 1024)
