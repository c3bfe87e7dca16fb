"""Trials of one candidate without a search, one after the other on one slot, as a search would run them."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autoresearch_ray.benchmark.data.dataset import prepare
from autoresearch_ray.benchmark.sandbox.cgroup import usable_cpus
from autoresearch_ray.benchmark.trial.device import choose_device
from autoresearch_ray.benchmark.trial.job import job_for
from autoresearch_ray.benchmark.trial.slot import Slot
from autoresearch_ray.candidate.knobs import set_constants
from autoresearch_ray.candidate.rules import check_candidate
from autoresearch_ray.cluster.capacity import local_slots, memory_for
from autoresearch_ray.common.errors import CandidateError, SettingsError
from autoresearch_ray.common.paths import OUTPUT_FILE
from autoresearch_ray.records.trials import CurvePoint, Isolation, Result
from autoresearch_ray.settings.experiment import Experiment


@dataclass(frozen=True, slots=True)
class Measured:
    """What one trial printed and measured; `cold`: it waited for its process server to start."""

    output: str
    result: Result
    cold: bool


def measure(
    experiment: Experiment,
    source: str,
    seeds: range,
    isolation: Isolation,
    say: Callable[[str], None],
    show: Callable[[CurvePoint], None],
) -> Iterator[Measured]:
    """One trial a seed; `show` hears how each goes. SettingsError where this machine holds none."""
    device: Literal["cpu", "cuda"] = "cuda" if choose_device(experiment.device).type == "cuda" else "cpu"
    local_slots(experiment, None, usable_cpus(), 1, device)
    dataset = prepare(experiment, say)
    with Slot(max(1, int(experiment.cpus_per_trial)), isolation=isolation, gpu=device == "cuda") as slot:
        for seed in seeds:
            job = job_for(experiment, source, str(dataset.folder), seed, device=device, memory_mb=memory_for(1))
            with tempfile.TemporaryDirectory() as folder:
                for point in slot.run(job, Path(folder)):
                    show(point)
                output = (Path(folder) / OUTPUT_FILE).read_text(errors="replace")
            yield Measured(output, slot.result, slot.cold)


def read_candidate(path: Path | None, experiment: Experiment, say: Callable[[str], None], *, unchecked: bool) -> str:
    """The text of this train.py, or of the experiment's with its constants written in. SettingsError.

    A text that a search would refuse is refused here too, or only told of where it is to run `unchecked`.
    """
    candidate_file = path or Path(experiment.candidate)
    try:
        text = candidate_file.read_text()
        text = text if path is not None else set_constants(text, dict(experiment.constants))
    except (OSError, UnicodeDecodeError, CandidateError) as error:
        option = "--candidate " if path is not None else ""
        raise SettingsError(f"{option}{candidate_file}: cannot be read ({error}); expected a train.py") from None
    try:
        check_candidate(text)
    except CandidateError as error:
        if not unchecked:
            raise SettingsError(
                f"{candidate_file}: {error} (no search runs such a text; --unchecked runs it here)"
            ) from None
        say(f"{candidate_file}: {error}; it runs all the same, for --unchecked was said")
    return text
