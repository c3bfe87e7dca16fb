"""NVIDIA MPS: a daemon through which several processes run kernels on one GPU at the same time, where a node has it.

Its clients find it by a socket in its pipe folder and share /dev/shm with it, and all must be one user: it serves one
user at a time, and lets another wait until the first has ended (nvidia-cuda-mps-control(1)). So behind the walls
candidates get these three, which keeps them less apart: with isolation `strict` MPS is not used. A trial's row says
`mps` in its isolation. Without the daemon, or without its socket in sight, CUDA shares the GPU by turns.

Not tried with a real daemon, for no GPU was at hand; that candidates reach its socket and its memory is.
"""

import errno
import os
import socket
from pathlib import Path

LAYER = "mps"
USER_NUMBER = 0  # number of the spare user that a node's candidates share
DEFAULT_PIPES = "/tmp/nvidia-mps"
PIPES = "CUDA_MPS_PIPE_DIRECTORY"
ENVIRONMENT = (PIPES, "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT")  # the clients' variables


def pipe_folder() -> str:
    """Where the daemon's socket would be."""
    return os.environ.get(PIPES) or DEFAULT_PIPES


def is_running() -> bool:
    """Whether a daemon listens at the socket."""
    control = Path(pipe_folder(), "control")
    try:
        if not control.is_socket():
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(str(control))
    except OSError as error:
        return error.errno == errno.EPROTOTYPE  # it listens, for another type of socket
    return True


def environment() -> dict[str, str]:
    """The variables of its clients."""
    return {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
