"""The filter's program, run instruction by instruction, on both processors."""

import errno
import struct

import pytest

from autoresearch_ray.benchmark.sandbox.seccomp import (
    CLONE,
    CLONE3,
    IOCTL,
    MEMORY_FILE,
    REFUSED,
    SOCKET,
    filter_program,
)

ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOW, KILL = 0x7FFF0000, 0x80000000
ORDINARY = {"read": (0, 63), "write": (1, 64), "execve": (59, 221), "exit_group": (231, 94), "futex": (202, 98)}


def verdict(machine: str, number: int, *arguments: int, arch: int | None = None, memory_files: bool = False) -> int:
    """What the kernel would answer to this call."""
    program = filter_program(machine, memory_files)
    data = struct.pack("<IIQ6Q", number, arch or ARCH[machine], 0, *arguments, *[0] * (6 - len(arguments)))
    at = value = 0
    while True:
        code, yes, no, k = struct.unpack_from("<HBBI", program, 8 * at)
        at += 1
        if code == 0x20:
            (value,) = struct.unpack_from("<I", data, k)
        elif code == 0x06:
            return int(k)
        else:
            holds = {0x15: value == k, 0x35: value >= k, 0x45: bool(value & k)}[code]
            at += yes if holds else no


def refused(machine: str, number: int, *arguments: int) -> bool:
    return verdict(machine, number, *arguments) == 0x00050000 | errno.EPERM


@pytest.mark.parametrize(("machine", "column"), [("x86_64", 0), ("aarch64", 1)])
def test_what_no_trainer_needs_is_refused_and_the_rest_allowed(machine: str, column: int) -> None:
    for name, numbers in REFUSED.items():
        number = numbers[column]
        assert number is None or refused(machine, number), name
    for name, numbers in ORDINARY.items():
        assert verdict(machine, numbers[column]) == ALLOW, name
    assert verdict(machine, CLONE3[column]) == 0x00050000 | errno.ENOSYS


@pytest.mark.parametrize(("machine", "column"), [("x86_64", 0), ("aarch64", 1)])
def test_arguments_are_looked_at(machine: str, column: int) -> None:
    threads, new_user = 0x3D0F00, 0x10000000
    assert verdict(machine, CLONE[column], threads) == ALLOW
    assert refused(machine, CLONE[column], threads | new_user)
    assert verdict(machine, SOCKET[column], 1) == ALLOW
    for family in (0, 2, 10, 16, 17, 38, 40):  # inet, inet6, netlink, packet, alg, vsock
        assert refused(machine, SOCKET[column], family)
    assert verdict(machine, IOCTL[column], 0, 0x5401) == ALLOW
    assert refused(machine, IOCTL[column], 0, 0x5412)


def test_another_table_of_calls_is_no_way_round() -> None:
    assert refused("x86_64", 0x40000000 + 1)
    assert verdict("x86_64", 1, arch=0x40000003) == KILL  # 32-bit calls
    assert verdict("aarch64", 64, arch=ARCH["x86_64"]) == KILL


def test_memory_files_are_for_cuda_alone() -> None:
    assert refused("x86_64", MEMORY_FILE[0])
    assert verdict("x86_64", MEMORY_FILE[0], memory_files=True) == ALLOW
