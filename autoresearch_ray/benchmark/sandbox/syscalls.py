"""The Linux system calls that Python has no name for: namespaces, mounts, capabilities, process attributes.

Each raises OSError with the kernel's reason. Numbers are those of x86_64 and aarch64; `SUPPORTED` is False elsewhere,
and then nothing else here may be called.
"""

import contextlib
import ctypes
import os
import platform
import struct
import sys

MACHINE = platform.machine()
SUPPORTED = sys.platform == "linux" and MACHINE in ("x86_64", "aarch64")

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWNET = 0x20000, 0x8000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 16384, 1 << 18
MNT_DETACH = 2

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_SECUREBITS = 1, 4, 24, 28
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 36, 38, 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_NO_ROOT_LOCKED = 0b11  # SECBIT_NOROOT and its lock: uid 0 gets no capability by execve
_CAPABILITY_VERSION_3 = 0x20080522
_LAST_CAPABILITY = 63
_PIVOT_ROOT, _CAPSET = {"x86_64": (155, 126), "aarch64": (41, 91)}.get(MACHINE, (-1, -1))
_MOUNT_SETATTR = 442
_AT_RECURSIVE = 0x8000

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def syscall(number: int, *arguments: int | bytes | None) -> int:
    """Any system call; integers are passed as longs, bytes as pointers to a copy of them."""
    assert _libc is not None
    converted = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return _check(_libc.syscall(ctypes.c_long(number), *converted), f"system call {number}")


def unshare(flags: int) -> None:
    """Put this process into new namespaces."""
    assert _libc is not None
    _check(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str = "none", flags: int = 0, options: str = "") -> None:
    """Mount `source` on `target`."""
    assert _libc is not None
    arguments = (source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode() or None)
    _check(_libc.mount(*arguments), f"mount {target}")


def make_tree_read_only(path: str) -> None:
    """`path` and every mount below it: read-only, without set-user-id programs (Linux 5.12)."""
    attributes = struct.pack("<QQQQ", MS_RDONLY | MS_NOSUID, 0, 0, 0)
    syscall(_MOUNT_SETATTR, -1, path.encode(), _AT_RECURSIVE, attributes, len(attributes))


def enter_root(path: str) -> None:
    """Make `path`, a mount point, the root folder of this mount namespace, and forget the old one."""
    assert _libc is not None
    os.chdir(path)
    syscall(_PIVOT_ROOT, b".", b".")  # the old root is now mounted over the new one
    _check(_libc.umount2(b".", MNT_DETACH), "umount the old root")
    os.chdir("/")


def forget_capabilities_for_good() -> None:
    """No program that this process starts gets a capability back; while it still has the right to say so."""
    for capability in range(_LAST_CAPABILITY + 1):
        try:
            prctl(_PR_CAPBSET_DROP, capability)
        except OSError:  # an ordinary user may drop none; or a number past the kernel's last
            break
    with contextlib.suppress(PermissionError):  # not root: nothing to forget
        prctl(_PR_SET_SECUREBITS, _NO_ROOT_LOCKED)


def drop_capabilities() -> None:
    """Give up every capability that this process has."""
    prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    syscall(_CAPSET, struct.pack("<Ii", _CAPABILITY_VERSION_3, 0), bytes(24))


def forbid_new_privileges() -> None:
    """No program that this process starts gains rights, for ever."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def set_dumpable(dumpable: bool) -> None:
    """Whether processes of the same user may look into this one (ptrace, /proc/PID/mem, its descriptors)."""
    prctl(_PR_SET_DUMPABLE, int(dumpable))


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends."""
    prctl(_PR_SET_PDEATHSIG, 9)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)


def prctl(option: int, value: int) -> None:
    assert _libc is not None
    zero = ctypes.c_ulong(0)
    _check(_libc.prctl(option, ctypes.c_ulong(value), zero, zero, zero), f"prctl {option}")


def _check(answer: int, what: str) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return answer
