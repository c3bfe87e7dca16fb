"""How a process server follows its children: a program of its own, for it takes over the signals of its process."""

import subprocess
import sys

LAST_WORDS = """
import os
import socket

from autoresearch_ray.benchmark.trial.process_server import Server

control, slot = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
server = Server(control, lambda *_: None)
pid = server.fork()
if pid == 0:
    theirs.send(b"enough")
    os._exit(3)
os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
print(server.follow(pid, ours, lambda message: message == b"enough").status)
try:
    os.waitpid(pid, os.WNOHANG)
except ChildProcessError:
    print("collected")
"""


def test_a_child_that_ends_with_its_last_message_is_collected_once() -> None:
    done = subprocess.run([sys.executable, "-c", LAST_WORDS], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.split() == ["3", "collected"], done.stderr
