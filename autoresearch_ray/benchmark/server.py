"""The process server of a slot: imports torch once, then forks one candidate's process after the other.

Run as `python -m autoresearch_ray.benchmark.server CONTROL_FD` by `slot.py`, in its own PID namespace where there is
one. It runs no candidate code itself and never touches the GPU, so it stays answerable whatever a candidate does, and
a fork of it is ready in milliseconds. When a candidate's process ends, everything that it left is ended too.
"""

import json
import os
import select
import signal
import socket
import sys
from dataclasses import fields
from typing import Any

import torch
import torch._dynamo  # the optimisers import it at their first step: a second that no trial should pay

from autoresearch_ray.benchmark import isolate
from autoresearch_ray.benchmark.child import run_candidate
from autoresearch_ray.benchmark.job import Job

MAX_REQUEST = 1 << 20


def serve(control: socket.socket) -> None:
    """Answer requests until the slot closes its end: a job with two descriptors, or `kill`."""
    wake, wake_end = os.pipe()
    os.set_blocking(wake_end, False)
    signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    isolate.adopt_orphans()
    _send(control, {"ready": torch.__version__})
    while True:
        request, descriptors, _, _ = socket.recv_fds(control, MAX_REQUEST, 2)
        if not request:
            return
        message = json.loads(request)
        if "job" not in message:
            continue  # a kill that came after the end
        pid = _fork_candidate(control, message, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        status, peak_kb = _attend(control, wake, pid)
        isolate.kill_everything_else()
        _send(control, {"ended": os.waitstatus_to_exitcode(status), "peak_mb": peak_kb / 1024})


def _attend(control: socket.socket, wake: int, pid: int) -> tuple[int, int]:
    """Wait for the candidate's process; its exit status and peak memory (kB). A request meanwhile means `kill`."""
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            return status, usage.ru_maxrss
        readable, _, _ = select.select([control.fileno(), wake], [], [])
        if wake in readable:
            os.read(wake, 4096)
        if control.fileno() in readable:
            if not control.recv(MAX_REQUEST):
                sys.exit(0)  # the slot is gone; PID namespace or parent-death signal ends the candidate
            os.kill(pid, signal.SIGKILL)


def _fork_candidate(control: socket.socket, message: dict[str, Any], descriptors: list[int]) -> int:
    output, events = descriptors
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        isolate.die_with_parent()
        control.close()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(message["folder"])
        wanted = Job(**{field.name: message["job"][field.name] for field in fields(Job)})
        isolate.limit_candidate(wanted.memory_mb)
        run_candidate(wanted, events)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)  # no atexit hook or lingering thread of a candidate delays the end


def _send(control: socket.socket, message: dict[str, Any]) -> None:
    control.send(json.dumps(message).encode())


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as own_end:
        serve(own_end)
