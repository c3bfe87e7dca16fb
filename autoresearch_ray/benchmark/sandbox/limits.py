"""What one candidate's process may use, and what it is: limits, user, capabilities, descriptors.

Memory is held from outside as well, for the whole process tree, see `slot.py`.
"""

import fcntl
import os
import resource
import sys
from pathlib import Path

from autoresearch_ray.benchmark.sandbox import syscalls

FILE_BYTES = 4 << 30  # largest file
OPEN_FILES = 4096
PROCESSES = 256  # threads included; a compiler's pool of 32 workers fits
FIRST_SPARE_USER, SPARE_USERS = 61184, 4336  # the range that systemd reserves for temporary users
ALL_USERS = 1 << 32


def limit_resources(memory_mb: int, processes: bool) -> None:
    """Limits of the calling process and, each for itself, of its children; 0 MB: none on memory.

    `processes` also bounds how many there are, which the kernel counts by user: for a user of the candidate's own.
    """
    if memory_mb:
        _lower(resource.RLIMIT_DATA, memory_mb << 20)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, min(FILE_BYTES, memory_mb << 20 or FILE_BYTES))  # the model's file is memory too
    _lower(resource.RLIMIT_NOFILE, OPEN_FILES)
    if processes:
        _lower(resource.RLIMIT_NPROC, PROCESSES)


def die_first() -> None:
    """When memory runs out, the kernel shall end this process and its children before anything else."""
    if sys.platform == "linux":
        Path("/proc/self/oom_score_adj").write_text("1000")


def become(user: int) -> None:
    """Give up all of root's rights for ever, and become `user`; 0 keeps the present user."""
    syscalls.forget_capabilities_for_good()
    if user:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    syscalls.drop_capabilities()
    syscalls.forbid_new_privileges()
    syscalls.set_dumpable(True)


def spare_user(number: int) -> int:
    """A user id that no account has; 0 where this process may not become another user."""
    user = FIRST_SPARE_USER + number % SPARE_USERS
    return user if os.geteuid() == 0 and user < users_here() else 0


def users_here() -> int:
    """How many users this process can be: all, or those that its user namespace knows."""
    try:
        first, _, count = Path("/proc/self/uid_map").read_text().split()[:3]
    except (OSError, ValueError):
        return ALL_USERS
    return int(first) + int(count)


def counts_apart(user: int) -> bool:
    """Whether the kernel counts the processes of `user`, or of this one for 0, apart from everybody else's."""
    return user != 0 or users_here() == 1


def keep_only(descriptors: list[int]) -> list[int]:
    """Close every descriptor but standard ones and these, which become 3, 4 and so on."""
    kept = list(range(3, 3 + len(descriptors)))
    aside = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 3 + len(kept)) for descriptor in descriptors]  # out of their way
    for descriptor, number in zip(aside, kept, strict=True):
        os.dup2(descriptor, number, inheritable=False)
    os.closerange(3 + len(kept), 1 << 20)
    return kept


def _lower(what: int, value: int) -> None:
    _, most = resource.getrlimit(what)
    value = value if most == resource.RLIM_INFINITY else min(value, most)
    resource.setrlimit(what, (value, value))
