"""The process server of a slot for our contract: imports torch once, so that a fork of it is ready in milliseconds.

`slot.py` runs it as `python -m autoresearch_ray.benchmark.trial.server CONTROL_FD`, in its own PID namespace where
there is one.
"""

import gc
import socket
import sys

if __name__ == "__main__":
    gc.disable()  # imported objects stay, and collections over them took a fifth of the start


from typing import Any

from autoresearch_ray.benchmark.sandbox.walls import Walls
from autoresearch_ray.benchmark.trial.process_server import JobStages, Server
from autoresearch_ray.benchmark.trial.serving import Serving
from autoresearch_ray.benchmark.trial.stages import Stages


def stages_of(message: dict[str, Any], descriptors: list[int], walls: Walls, server: Server) -> JobStages:
    """The stages of a job: a trial's, or a kept model's, whose request contains a layout."""
    return (Serving if "layout" in message else Stages)(message, descriptors, walls, server)


if __name__ == "__main__":
    gc.freeze()  # a candidate's garbage collection then neither scans the imports nor copies their pages into the fork
    gc.enable()
    with socket.socket(fileno=int(sys.argv[1])) as own_end:
        Server(own_end, stages_of).serve()
