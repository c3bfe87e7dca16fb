"""Runs of a script without a search, one after the other on one slot, as a search would run them: for `train`."""

import codecs
import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from autoresearch_ray.benchmark.sandbox.cgroup import usable_cpus
from autoresearch_ray.benchmark.script.job import ScriptJob, script_slot
from autoresearch_ray.benchmark.script.snapshot import take
from autoresearch_ray.benchmark.trial.device import choose_device
from autoresearch_ray.candidate.rules import check_script
from autoresearch_ray.cluster.capacity import local_slots, memory_for
from autoresearch_ray.common.errors import CandidateError, SettingsError
from autoresearch_ray.common.paths import OUTPUT_FILE
from autoresearch_ray.common.repeating import beside
from autoresearch_ray.driver.script_run import read_files, read_source, read_start
from autoresearch_ray.records.trials import Candidate, Isolation, Result
from autoresearch_ray.settings.script_experiment import ScriptExperiment

LOOK_SECONDS = 0.2  # between looks at what it printed

Say = Callable[[str], None]


def measure_script(
    experiment: ScriptExperiment,
    candidate: Candidate,
    seeds: range,
    isolation: Isolation,
    say: Say,
    show: Callable[[str], object],
) -> Iterator[Result]:
    """One run a seed; `show` gets its output as it comes. SettingsError where this machine holds none, DataError."""
    device: Literal["cpu", "cuda"] = "cuda" if choose_device(experiment.device).type == "cuda" else "cpu"
    local_slots(experiment, None, usable_cpus(), 1, device)
    snapshot = take(experiment, say)
    with script_slot(experiment, isolation=isolation) as slot:
        for seed in seeds:
            job = ScriptJob(experiment, candidate, snapshot, seed, device, memory_for(1), strength="full")
            with tempfile.TemporaryDirectory() as folder, _following(Path(folder, OUTPUT_FILE), show):
                for _ in slot.run(job, Path(folder)):
                    pass
            yield slot.result


def read_candidate_of(experiment: ScriptExperiment, path: Path | None, say: Say, *, unchecked: bool) -> Candidate:
    """The experiment's own files, or those of a folder such as `runs/TAG/trials/ID`, or the only one. SettingsError.

    Files that a search would refuse are refused here too, or only told of where they are to run `unchecked`.
    """
    start = read_start(experiment)
    if path is None:
        return Candidate.of(start)
    lone = experiment.editable[0] if len(experiment.editable) == 1 else ""
    if not path.is_dir() and not lone:
        raise SettingsError(f"--candidate {path}: expected a folder with {', '.join(experiment.editable)}")
    candidate = Candidate(read_files(experiment, path) if path.is_dir() else ((lone, read_source(path)),))
    try:
        check_script(candidate.text, experiment.editable, start)
    except CandidateError as error:
        if not unchecked:
            raise SettingsError(f"{path}: {error} (no search runs such files; --unchecked runs them here)") from None
        say(f"{path}: {error}; it runs all the same, for --unchecked was said")
    return candidate


@contextlib.contextmanager
def _following(path: Path, show: Callable[[str], object]) -> Iterator[None]:
    """Show what is written to a file, while it is written and to its end."""

    def follow(ended: threading.Event) -> None:
        decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        while not path.exists():
            if ended.wait(LOOK_SECONDS):
                break
        if not path.exists():
            return
        with path.open("rb") as file:
            while True:
                is_last = ended.is_set()
                show(decode(file.read()))
                if is_last:
                    return
                ended.wait(LOOK_SECONDS)

    with beside("output", follow):
        yield
