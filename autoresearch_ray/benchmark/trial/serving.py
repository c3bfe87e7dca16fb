"""A kept model that answers questions, as its process server sees it: one process behind walls while its client stays.

Who asks is at the other end of the channel, outside (`benchmark/loaded_model.py`): the server carries nothing.
"""

import os
import socket
from typing import Any

from autoresearch_ray.benchmark.sandbox.walls import Walls
from autoresearch_ray.benchmark.score.plausible import Reference
from autoresearch_ray.benchmark.trial import shared_logits
from autoresearch_ray.benchmark.trial.confined import Host, confinement_of, fork_confined, kill
from autoresearch_ray.benchmark.trial.job import Job
from autoresearch_ray.benchmark.trial.process_server import End
from autoresearch_ray.benchmark.trial.shared_logits import Exchange, Layout
from autoresearch_ray.benchmark.trial.split_model import run_joined


class Serving:
    """One model."""

    def __init__(self, message: dict[str, Any], descriptors: list[int], walls: Walls, host: Host) -> None:
        """`descriptors`: the skeleton, the weights, a channel and the memory that its logits go to."""
        self._job = Job(**message["job"] | {"reference": Reference(**message["job"]["reference"])})
        self._layout = Layout(**message["layout"])
        self._behind, self._host = confinement_of(self._job, walls, message["folder"]), host
        self._opened = [*descriptors, os.open(os.devnull, os.O_WRONLY)]

    def run(self) -> End:
        """Start its process, and wait for its end."""
        ours, theirs = shared_logits.channel()
        with ours:
            pid = fork_confined(self._host, self._behind, self._opened[-1], self._opened[:4], self._answer)
            theirs.close()
            self.close()  # the client then sees at once when the process ends
            return self._host.follow(pid, ours, lambda message: False) or kill(pid)

    def close(self) -> None:
        """Close what it had open."""
        while self._opened:
            os.close(self._opened.pop())

    def _answer(self, kept: list[int]) -> None:
        skeleton, weights, channel, memory = kept
        run_joined(self._job, skeleton, weights, socket.socket(fileno=channel), Exchange(memory, self._layout))
