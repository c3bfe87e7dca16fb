"""A seccomp filter that refuses the system calls that no trainer needs; for x86_64 and aarch64.

Refused are: looking into other processes, mounting and new namespaces, kernel keys, modules, clocks and restarts, eBPF,
performance counters, user-space page faults, io_uring, System V IPC and message queues (they outlive a process),
binding to other CPU cores than the slot's, and every socket but AF_UNIX.

On the CPU memory files are refused too, because no limit counts them; on a GPU CUDA's driver may want them. A refused
call fails with EPERM, as it does without the right to it. clone3 fails with ENOSYS, because a filter cannot read its
flags; the C library then uses clone.

The filter is written out here because it is small. libseccomp is not on every machine, and would serve one call.
"""

import ctypes
import errno
import struct

from autoresearch_ray.benchmark.sandbox import syscalls

# name: numbers on x86_64 and aarch64 (asm-generic); None where there is no such call
REFUSED: dict[str, tuple[int | None, int | None]] = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "process_madvise": (440, 440), "process_mrelease": (448, 448),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "move_mount": (429, 429),
    "open_tree": (428, 428), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "open_tree_attr": (467, 467),
    "unshare": (272, 97), "setns": (308, 268),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266), "adjtimex": (159, 171),
    "sethostname": (170, 161), "setdomainname": (171, 162), "acct": (163, 89), "quotactl": (179, 60),
    "quotactl_fd": (443, 443), "syslog": (103, 116), "vhangup": (153, 58), "lookup_dcookie": (212, 18),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "fanotify_init": (300, 262),
    "iopl": (172, None), "ioperm": (173, None), "modify_ldt": (154, None), "uselib": (134, None),
    "nfsservctl": (180, 42), "sched_setaffinity": (203, 122),
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190), "msgget": (68, 186),
    "mq_open": (240, 180),
}  # fmt: skip
MEMORY_FILE = (319, 279)  # memfd_create: memory that belongs to no process and counts against no limit
CLONE, CLONE3, SOCKET, IOCTL = (56, 220), (435, 435), (41, 198), (16, 29)
NEW_NAMESPACES = 0x7E020000  # the CLONE_NEW* flags of clone
AF_UNIX = 1
FAKED_INPUT = (0x5412, 0x541C)  # TIOCSTI and TIOCLINUX write into a terminal as if they were typed

_SYSCALL = {"x86_64": 317, "aarch64": 277}
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SET_MODE_FILTER, _SPEC_ALLOW = 1, 4  # without SPEC_ALLOW old kernels slow the whole process down
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_X32 = 0x40000000  # x86_64's second table of calls

# One instruction: code, value, and where to go when a test holds and when not: a label, or "" for the next line
_Line = tuple[int, int, str, str]


def install(memory_files: bool = False) -> None:
    """Filter the calling process and all that it starts, for ever; needs `linux.forbid_new_privileges` before."""
    program = filter_program(syscalls.MACHINE, memory_files)
    holder = bytearray(program)
    address = (ctypes.c_char * len(holder)).from_buffer(holder)
    header = struct.pack("<HxxxxxxQ", len(program) // 8, ctypes.addressof(address))
    syscalls.syscall(_SYSCALL[syscalls.MACHINE], _SET_MODE_FILTER, _SPEC_ALLOW, header)


def filter_program(machine: str, memory_files: bool = False) -> bytes:
    """The filter as classic BPF, 8 bytes an instruction."""
    column = 0 if machine == "x86_64" else 1
    lines: list[_Line | str] = [
        (_LOAD, _ARCH, "", ""),
        (_EQUAL, _AUDIT_ARCH[machine], "", "kill"),
        (_LOAD, _NUMBER, "", ""),
        (_AT_LEAST, _X32, "refuse", ""),
    ]
    numbers = [pair[column] for pair in REFUSED.values()] + ([] if memory_files else [MEMORY_FILE[column]])
    lines += [(_EQUAL, number, "refuse", "") for number in numbers if number is not None]
    lines.append((_EQUAL, CLONE3[column], "missing", ""))
    lines += [(_EQUAL, CLONE[column], "", "no clone"), _argument(0), (_ANY_BIT, NEW_NAMESPACES, "refuse", "allow")]
    lines += ["no clone", (_EQUAL, SOCKET[column], "", "no socket"), _argument(0), (_EQUAL, AF_UNIX, "allow", "refuse")]
    lines += ["no socket", (_EQUAL, IOCTL[column], "", "allow"), _argument(1)]
    lines += [(_EQUAL, command, "refuse", "") for command in FAKED_INPUT]
    lines += ["allow", (_RETURN, _ALLOW, "", ""), "refuse", (_RETURN, _ERRNO | errno.EPERM, "", "")]
    lines += ["missing", (_RETURN, _ERRNO | errno.ENOSYS, "", ""), "kill", (_RETURN, _KILL, "", "")]
    return _assemble(lines)


def _argument(number: int) -> _Line:
    """Load the low half of an argument of the call."""
    return (_LOAD, _ARGUMENTS + 8 * number, "", "")


def _assemble(lines: list[_Line | str]) -> bytes:
    """The lines as instructions; a string is a label for the instruction after it."""
    labels: dict[str, int] = {}
    code: list[_Line] = []
    for line in lines:
        if isinstance(line, str):
            labels[line] = len(code)
        else:
            code.append(line)

    def distance(at: int, label: str) -> int:
        ahead = labels[label] - at - 1 if label else 0
        assert 0 <= ahead < 256, f"{label}: {ahead} instructions ahead"
        return ahead

    return b"".join(
        struct.pack("<HBBI", operation, distance(at, yes), distance(at, no), value)
        for at, (operation, value, yes, no) in enumerate(code)
    )
