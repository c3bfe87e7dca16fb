"""What a script's job goes through, as its process server sees it.

    its run     the command, in a copy of the folder behind walls; what it prints is read and passed on
    its end     all processes that it left are killed; the files that it must not change are compared with their hashes
    judging     with a `judge`: a second process behind walls gets the artefacts, and says the score
    the score   read from what was printed or from a JSON file, or measured here

The slot enforces deadlines and memory. The clock is this process's.
"""

import hashlib
import math
import os
import socket
import time
from pathlib import Path
from typing import Any

from autoresearch_ray.benchmark.sandbox import processes
from autoresearch_ray.benchmark.sandbox.walls import Walls
from autoresearch_ray.benchmark.script import layout
from autoresearch_ray.benchmark.script.layout import Order
from autoresearch_ray.benchmark.script.reading import (
    KNOWN_FACTS,
    Printed,
    ReadingError,
    check_limits,
    names_of,
    patterns_for,
    read_json,
)
from autoresearch_ray.benchmark.trial.confined import Confinement, Host, fork_confined
from autoresearch_ray.benchmark.trial.cpu import cpu_name
from autoresearch_ray.benchmark.trial.job import Event
from autoresearch_ray.benchmark.trial.process_server import End
from autoresearch_ray.common.text import one_line
from autoresearch_ray.settings.script_experiment import MEASURED, ScriptExperiment

ERROR_CHARACTERS = 2000
MOST_JSON = 1 << 20
PIPE_BYTES = 1 << 16
NVIDIA = Path("/proc/driver/nvidia/gpus")


class Pipe:
    """The reading end of a pipe, as the server follows it."""

    def __init__(self) -> None:
        self._reading, self.writing = os.pipe()

    def fileno(self) -> int:
        return self._reading

    def recv(self, most: int) -> bytes:
        return os.read(self._reading, min(most, PIPE_BYTES))

    def close(self) -> None:
        os.close(self._reading)


class ScriptStages:
    """One job."""

    def __init__(self, message: dict[str, Any], descriptors: list[int], walls: Walls, host: Host) -> None:
        job = message["job"]
        self._experiment = ScriptExperiment.model_validate_json(job["experiment"])
        self._job, self._walls, self._host = job, walls, host
        self._output, *self._tars = descriptors
        self._opened = list(descriptors)

    def run(self) -> End:
        """Run the script, and its judge; the end of the process that decided."""
        experiment = self._experiment
        printed = Printed(patterns_for(experiment))
        begin = time.monotonic()
        end, folder = self._run(self._job["command"], "run", printed, experiment.judge_data, "training")
        seconds = time.monotonic() - begin
        if folder is None or end.status != 0:
            return end
        changed = self._find_changed(folder)
        if changed:
            return self._fail(end, f"changed {', '.join(changed[:3])}, which it may only read")
        judging = 0.0
        if experiment.judge:
            self._host.tell(Event("scoring", time.monotonic(), training_seconds=seconds))
            printed, begin = Printed(patterns_for(experiment)), time.monotonic()
            try:
                artefacts = {path: layout.read_file(folder, path) for path in experiment.artefacts}
            except OSError as error:
                return self._fail(end, f"left artefacts that cannot be read ({error.strerror})")
            if missing := [path for path, content in artefacts.items() if content is None]:
                return self._fail(end, f"left no {', '.join(missing)} for the judge")
            peak_mb = end.peak_mb
            left = {path: content for path, content in artefacts.items() if content is not None}
            end, folder = self._run(self._job["judge"], "judge", printed, (), "", left)
            judging = time.monotonic() - begin
            if folder is None or end.status != 0:
                return end
            end = End(end.status, max(end.peak_mb, peak_mb))
        return self._score(end, folder, printed, seconds, judging)

    def close(self) -> None:
        """Close what this job had open."""
        for descriptor in self._opened:
            os.close(descriptor)

    def _run(
        self,
        command: list[str],
        name: str,
        printed: Printed,
        closed: tuple[str, ...],
        event: str,
        judged: dict[str, bytes] | None = None,
    ) -> tuple[End, int | None]:
        """One process to its end and everything that it left; its folder, None if it never began.

        A judge gets the artefacts `judged`, and the files as they were before the search changed any.
        """
        experiment = self._experiment
        linked = tuple(path for path in (*experiment.data, *experiment.judge_data) if path not in closed)
        order = Order(experiment, command, self._job["seed"], self._job["home"], linked)
        behind = Confinement(
            self._walls,
            f"{self._job['folder']}/{name}",
            self._job["memory_mb"],
            memory_files=self._job["cuda"],
            closed=closed,
        )
        pipe = Pipe()
        pid, folder = self._start(order, behind, pipe, judged)
        if folder is not None and event:
            self._host.tell(Event(event, time.monotonic()))
        return self._follow(pid, pipe, printed), folder

    def _start(
        self, order: Order, behind: Confinement, pipe: Pipe, judged: dict[str, bytes] | None
    ) -> tuple[int, int | None]:
        """Fork the process, which lays out its folder and becomes the program; its id, and its folder as of `_run`."""

        def become(kept: list[int]) -> None:
            ours, tar, last = kept
            layout.lay_out([tar] if judged is not None else [tar, last], order)
            for path, content in (judged or {}).items():
                layout.write_file(path, content)
            layout.tell_folder(socket.socket(fileno=ours))
            layout.run_program(order)

        channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with channel:
            pid = fork_confined(self._host, behind, pipe.writing, [theirs.fileno(), *self._tars], become)
            theirs.close()
            os.close(pipe.writing)
            _, descriptors, _, _ = socket.recv_fds(channel, PIPE_BYTES, 1)
        self._opened += descriptors
        return pid, descriptors[0] if descriptors else None

    def _follow(self, pid: int, pipe: Pipe, printed: Printed) -> End:
        """Read what the process prints until it ends, then kill everything that it left."""

        def hear(piece: bytes) -> bool:
            printed.take(piece)
            self._pass_on(piece)
            return False

        end = self._host.follow(pid, pipe, hear)
        assert end is not None, "every piece of output is welcome"
        processes.kill_everything_else()
        pipe.close()
        printed.end()
        return end

    def _pass_on(self, piece: bytes) -> None:
        try:
            while piece:
                piece = piece[os.write(self._output, piece) :]
        except BrokenPipeError:
            return  # the slot is gone

    def _find_changed(self, folder: int) -> list[str]:
        """The files that the script may only read and that are not as they were."""
        experiment = self._experiment
        watched = self._job["hashes"]
        if experiment.read_only is not None:
            watched = [(path, sha) for path, sha in watched if path in experiment.read_only]
        return [
            path
            for path, sha in watched
            if path not in self._job["editable"]
            and hashlib.sha256(layout.read_file(folder, path) or b"").hexdigest() != sha
        ]

    def _score(self, end: End, folder: int, printed: Printed, seconds: float, judging: float) -> End:
        experiment = self._experiment
        measured = dict(zip(MEASURED, (seconds, end.peak_mb), strict=True))
        wanted = names_of(experiment) - measured.keys()
        if not self._job["held_out"]:
            wanted -= {experiment.holdout} - {experiment.metric, *experiment.limits}
        try:
            in_order = sorted(wanted, key=lambda name: (name != experiment.metric, name))  # fixed order, equal errors
            values = measured | self._read(folder, printed, in_order)
            check_limits(experiment, values)
        except ReadingError as error:
            return self._fail(end, str(error))
        facts = _read_facts(printed)
        sign = experiment.scoring.sign
        self._host.tell(
            Event(
                "result",
                time.monotonic(),
                val_bpb=sign * values[experiment.metric],
                holdout_bpb=sign * values.get(experiment.holdout, math.nan),
                training_seconds=facts.get("training_seconds", seconds),
                eval_seconds=judging,
                steps=int(facts.get("steps", 0)),
                tokens=int(facts.get("tokens", 0)),
                parameters=int(facts.get("parameters", 0)),
                peak_memory_mb=facts.get("peak_memory_mb", end.peak_mb),
                device_name=_gpu_name() if self._job["cuda"] else cpu_name(),
                checks="files judge" if experiment.judge else "files",
            )
        )
        return end

    def _read(self, folder: int, printed: Printed, names: list[str]) -> dict[str, float]:
        file = self._experiment.result_file
        if not file:
            return {name: printed.number(name, self._experiment.take) for name in names}
        content = layout.read_file(folder, file, MOST_JSON)
        if content is None:
            raise ReadingError(f"wrote no {file}")
        return read_json(content, names, file)

    def _fail(self, end: End, error: str) -> End:
        self._host.tell(Event("failure", time.monotonic(), status="invalid", error=one_line(error, ERROR_CHARACTERS)))
        return end


def _read_facts(printed: Printed) -> dict[str, float]:
    """The facts that upstream's script prints, as far as this script prints them too."""
    facts = {}
    for name, (fact, unit) in KNOWN_FACTS.items():
        try:
            facts[fact] = max(0.0, printed.number(name, "last") * unit)
        except ReadingError:
            continue
    return facts


def _gpu_name() -> str:
    """The first GPU's name, as the driver calls it."""
    for path in sorted(NVIDIA.glob("*/information")):
        for line in path.read_text(errors="replace").splitlines():
            if line.startswith("Model:"):
                return line.partition(":")[2].strip()
    return "cuda"
