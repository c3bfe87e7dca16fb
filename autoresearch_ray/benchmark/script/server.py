"""The process server of a slot for scripts; `python -m autoresearch_ray.benchmark.script.server CONTROL_FD`."""

import socket
import sys

from autoresearch_ray.benchmark.script.stages import ScriptStages
from autoresearch_ray.benchmark.trial.process_server import Server

if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as own_end:
        Server(own_end, ScriptStages).serve()
