"""Landlock: a process gives up files, TCP and signals outside what it names; needs no right at all (Linux 5.13).

Used where namespaces are not to be had, as in most containers. It hides the content of files, not their names, and
cannot take back a folder inside one that is allowed.
"""

import os
import struct

from autoresearch_ray.benchmark.sandbox import syscalls

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION_QUESTION = 1
_RULE_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_ALL_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_TRUNCATE, _DEVICE_CALLS = 1 << 14, 1 << 15
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _DEVICE_CALLS
_TCP = 0b11  # bind and connect, from version 4
_SIGNALS, _SCOPED = 0b10, 0b11  # signals; abstract sockets too; from version 6


def version() -> int:
    """The kernel's Landlock version; 0 where there is none."""
    if not syscalls.SUPPORTED:
        return 0
    try:
        return syscalls.syscall(_CREATE, None, 0, _VERSION_QUESTION)
    except OSError:
        return 0


def confine(readable: list[str], writable: list[str], devices: list[str]) -> None:
    """Leave this process and all that it starts nothing but these paths, for ever; paths that are not there are
    skipped. Needs `linux.forbid_new_privileges` before."""
    abi = version()
    rights = _ALL_RIGHTS[min(abi, 5)]
    header = struct.pack("<QQQ", rights, _TCP if abi >= 4 else 0, _SCOPED if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    rules = syscalls.syscall(_CREATE, header, size, 0)
    try:
        for paths, allowed in (
            (readable, _EXECUTE | _READ_FILE | _READ_DIR),
            (writable, rights),
            (devices, _READ_FILE | _WRITE_FILE | _DEVICE_CALLS),
        ):
            for path in paths:
                _allow(rules, path, allowed & rights)
        syscalls.syscall(_RESTRICT, rules, 0)
    finally:
        os.close(rules)


def keep_signals_in() -> None:
    """From now on this process and all that it starts can signal only each other.

    Without effect before Linux 6.12. Call `syscalls.forbid_new_privileges` first.
    """
    if version() < 6:
        return
    rules = syscalls.syscall(_CREATE, struct.pack("<QQQ", 0, 0, _SIGNALS), 24, 0)
    try:
        syscalls.syscall(_RESTRICT, rules, 0)
    finally:
        os.close(rules)


def _allow(rules: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        mine = rights if os.path.isdir(path) else rights & _OF_FILES  # noqa: PTH112  # a string all along
        syscalls.syscall(_ADD, rules, _RULE_BENEATH, struct.pack("<Qi", mine, descriptor), 0)
    finally:
        os.close(descriptor)
