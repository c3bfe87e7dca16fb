"""What a slot asks of a candidate's process, and the limits that follow from the budget."""

from dataclasses import dataclass
from typing import Literal

from autoresearch_ray.experiment import Experiment
from autoresearch_ray.records import CurvePoint


@dataclass(frozen=True, slots=True)
class Job:
    """One execution of one candidate: all that its process is told."""

    source: str
    dataset_folder: str
    seed: int
    budget_seconds: float
    device: Literal["cpu", "cuda"]
    amp: Literal["auto", "none", "fp16", "bf16"]
    threads: int
    memory_mb: int  # of the whole process tree; 0: no limit
    gpu_fraction: float  # of the visible GPU's memory; 0 or 1: all
    asked_at: float = 0.0  # time.monotonic() of the asker; one clock for all processes of a machine

    @property
    def startup_limit(self) -> float:
        """Seconds from asking to the first batch, warm-up included."""
        return 15 + self.budget_seconds / 2

    @property
    def training_limit(self) -> float:
        """Seconds from the first batch until `train` has returned, before it is killed."""
        return self.budget_seconds * 1.05 + 3

    @property
    def scoring_limit(self) -> float:
        """Seconds for both splits and the probe."""
        return 10 + self.budget_seconds / 2


@dataclass(frozen=True, slots=True)
class Event:
    """One line on the private pipe, from a candidate's process to its slot."""

    kind: str  # training, progress, scoring, result, failure
    at: float  # time.monotonic()
    point: CurvePoint | None = None
    status: str = ""
    error: str = ""
    val_bpb: float = float("nan")
    holdout_bpb: float = float("nan")
    training_seconds: float = 0.0
    eval_seconds: float = 0.0
    steps: int = 0
    tokens: int = 0
    parameters: int = 0
    peak_memory_mb: float = 0.0
    device_name: str = ""


def job_for(
    experiment: Experiment,
    source: str,
    dataset_folder: str,
    seed: int,
    *,
    device: Literal["cpu", "cuda"],
    memory_mb: int,
) -> Job:
    """The job that an experiment's trial is, on a slot with these resources."""
    return Job(
        source=source,
        dataset_folder=dataset_folder,
        seed=seed,
        budget_seconds=experiment.budget_seconds,
        device=device,
        amp=experiment.amp,
        threads=max(1, int(experiment.cpus_per_trial)),
        memory_mb=memory_mb,
        gpu_fraction=experiment.gpus_per_trial if device == "cuda" else 0.0,
    )
