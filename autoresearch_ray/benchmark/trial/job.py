"""What a slot asks of its processes, what they answer, and the limits that follow from the budget."""

import math
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, Self, get_args

from autoresearch_ray.benchmark.data.dataset import Dataset, open_dataset
from autoresearch_ray.benchmark.sandbox import root_folder
from autoresearch_ray.benchmark.score.plausible import NOTHING, Reference
from autoresearch_ray.common.paths import KEPT_MODEL_FILES
from autoresearch_ray.records.trials import CurvePoint, FailureStatus, Strength
from autoresearch_ray.settings.experiment import Experiment

OVERTIME = 0.02  # share of the budget for `train` after its last batch; two slowest steps more are allowed
LEAST_OVERTIME = 0.25  # seconds
STEPS_OVERTIME = 0.1  # share of the budget: the most that these two steps may add, measured outside
OUTSIDE_SECONDS = 0.5  # how far the outside clock may be ahead of the inside one
CLOCK_SHARE = 0.01  # share of the training time, added to OUTSIDE_SECONDS
SAVING_SECONDS, SAVING_BYTES_PER_SECOND = 1.0, 100e6  # time allowed to hand over a model
CORES_SHARE, CORES_MORE = 1.2, 0.3  # average busy cores: up to this share of the slot's, plus so many

MEMORY_WORDS = (
    *("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory"),
    *("bad_alloc", "cublas_status_alloc_failed", "memoryerror"),
)
STATUSES: tuple[FailureStatus, ...] = get_args(FailureStatus)  # statuses that a candidate's process may name
LENGTH = 2000  # characters of an error line


class AnyJob(Protocol):
    """One execution of one candidate, as far as a slot must know it."""

    @property
    def asked_at(self) -> float:
        """`time.monotonic()` of the asker; 0 before it is asked for."""

    @property
    def memory_mb(self) -> int:
        """Megabytes that its whole process tree may use; 0: any."""

    @property
    def strength(self) -> Strength:
        """How it is probed."""

    @property
    def held_out(self) -> bool:
        """Whether its second score is wanted."""

    @property
    def phases(self) -> tuple[str, str, str]:
        """The names of its phases: before it runs, its run, its scoring."""

    @property
    def startup_limit(self) -> float:
        """Seconds until it runs."""

    @property
    def training_limit(self) -> float:
        """Seconds that it may run."""

    @property
    def scoring_limit(self) -> float:
        """Seconds of its scoring."""

    @property
    def kept_files(self) -> tuple[str, ...]:
        """Files that its processes write into its folder if it has a score; we open them after those of `pack`."""

    def ask_at(self, now: float) -> Self:
        """The same job, asked for at this `time.monotonic()` unless it has a time already."""

    def pack(self, work: str) -> tuple[dict[str, Any], list[Path]]:
        """The message for its process server, and the open files that go with it; `work` is an empty folder."""


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
    memory_mb: int  # limit for the whole process tree; 0: no limit
    gpu_fraction: float  # share of the visible GPU's memory; 0 or 1: all
    asked_at: float = 0.0  # time.monotonic() of the asker; one clock for all processes of a machine
    strength: Strength = "normal"  # strength of the model's probes: full for a proof
    held_out: bool = True  # the second split is scored too: only decisions about the best read it
    reference: Reference = NOTHING  # scores to compare the result with
    metric_name: str = ""  # name of a metric function of one's own; see score/own_metric.py
    metric_source: str = ""  # the text of its file
    sign: int = 1  # factor to lower-is-better: -1 where higher is better
    dry_seconds: float = 0.0  # limit for each phase of a dry run, see dryrun.py; 0: a trial
    keep: bool = False  # its model, if it has a score

    @property
    def phases(self) -> tuple[str, str, str]:
        """See AnyJob."""
        return "start-up", "training", "scoring"

    @property
    def dry(self) -> bool:
        """Two steps of few rows, whatever the budget."""
        return self.dry_seconds > 0

    @property
    def startup_limit(self) -> float:
        """Seconds from asking to the first batch, warm-up included."""
        return self.dry_seconds or 15 + self.budget_seconds / 2

    @property
    def training_limit(self) -> float:
        """Seconds from the first batch until the model is handed over, before the process is killed."""
        return self.dry_seconds or self.budget_seconds * 1.05 + 3

    @property
    def scoring_limit(self) -> float:
        """Seconds for both splits and the probes."""
        return self.dry_seconds or (30 + self.budget_seconds / 2) * (2 if self.strength == "full" else 1)

    @property
    def kept_files(self) -> tuple[str, ...]:
        """See AnyJob."""
        return KEPT_MODEL_FILES if self.keep else ()

    def ask_at(self, now: float) -> Self:
        """See AnyJob."""
        return self if self.asked_at else replace(self, asked_at=now)

    def pack(self, work: str) -> tuple[dict[str, Any], list[Path]]:
        """See AnyJob. The data is sent as open files, because a candidate sees no folder of it."""
        dataset = open_dataset(Path(self.dataset_folder), verify=False)
        covers = [astuple(cover) for cover in root_folder.covers(dataset.list_withheld())]
        message = {"job": asdict(self), "shape": asdict(_shape(dataset)), "folder": work, "covers": covers}
        names = ("train.bin", "val.bin", "holdout.bin", "token_bytes.npy")
        return message, [dataset.folder / name for name in names]


@dataclass(frozen=True, slots=True)
class DataShape:
    """What a candidate's process may know of the data set before it gets any of it."""

    vocab_size: int
    seq_len: int
    train_rows: int
    train_bytes_per_token: float
    val_rows: int
    holdout_rows: int


@dataclass(frozen=True, slots=True)
class Event:
    """One message from a job's processes; a candidate's process says training, progress, trained, saved or failure."""

    kind: str  # training, progress, trained, saved, unsaved, scoring, result, kept, failure
    at: float  # time.monotonic()
    point: CurvePoint | None = None
    status: str = ""
    error: str = ""
    held: bool = False  # see Result
    val_bpb: float = math.nan
    holdout_bpb: float = math.nan
    training_seconds: float = 0.0
    slowest_step: float = 0.0
    eval_seconds: float = 0.0
    steps: int = 0
    tokens: int = 0
    parameters: int = 0
    peak_memory_mb: float = 0.0
    profile: tuple[tuple[int, float], ...] = ()  # see Result
    learned: tuple[tuple[str, tuple[float, ...]], ...] = ()  # see Result
    device_name: str = ""
    checks: str = ""  # names of the checks that passed


def job_for(
    experiment: Experiment,
    source: str,
    dataset_folder: str,
    seed: int,
    *,
    device: Literal["cpu", "cuda"],
    memory_mb: int,
    strength: Strength = "normal",
    held_out: bool = True,
    reference: Reference = NOTHING,
    keep: bool = False,
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
        strength=strength,
        held_out=held_out,
        reference=reference,
        metric_name=experiment.scoring.name if experiment.metric_source else "",
        metric_source=experiment.metric_source,
        sign=experiment.scoring.sign,
        keep=keep,
    )


def longest_seconds(experiment: Experiment) -> float:
    """Seconds from asking a slot that has started to a result, at most: the slot itself ends what takes longer."""
    job = job_for(experiment, "", "", 0, device="cpu", memory_mb=0, strength="full")
    return job.startup_limit + job.training_limit + job.scoring_limit


def _shape(dataset: Dataset) -> DataShape:
    return DataShape(
        dataset.vocab_size,
        dataset.seq_len,
        dataset.train.rows,
        dataset.train_bytes_per_token,
        dataset.val.rows,
        dataset.holdout.rows,
    )


def overtime(job: Job, inside: float, outside: float, slowest_step: float) -> tuple[str, str]:
    """Status and reason if training took longer than the budget allows, else two empty strings.

    `inside` and `outside` are the seconds from the first batch to the end of `train` on the candidate's clock and on
    the process server's, which gives the data out; `slowest_step` is the candidate's word.
    """
    allowed = job.budget_seconds + max(OVERTIME * job.budget_seconds, LEAST_OVERTIME)
    late = allowed + 2 * slowest_step
    latest = allowed + min(2 * slowest_step, STEPS_OVERTIME * job.budget_seconds)
    if inside > late:
        return "timeout", f"train returned after {inside:.1f} s, allowed were {late:.1f} s"
    if outside > inside * (1 + CLOCK_SHARE) + OUTSIDE_SECONDS:
        return "invalid", f"its clock stood at {inside:.2f} s when {outside:.2f} s had passed"
    if outside > latest + OUTSIDE_SECONDS:
        return "timeout", f"train returned after {outside:.1f} s, allowed were {latest:.1f} s"
    return "", ""


def late_saving(seconds: float, size: int) -> str:
    """Why handing over a model of `size` bytes took too long; empty if it did not."""
    allowed = SAVING_SECONDS + size / SAVING_BYTES_PER_SECOND
    return f"handing over the model took {seconds:.1f} s, allowed were {allowed:.1f} s" if seconds > allowed else ""


def too_many_cores(job: Job, cpu_seconds: float, seconds: float) -> str:
    """Why training used more than the slot's share of the CPU; empty if it did not. On CUDA it is not counted."""
    allowed = job.threads * CORES_SHARE + CORES_MORE
    if job.device != "cpu" or seconds <= 0 or cpu_seconds / seconds <= allowed:
        return ""
    busy = f"kept {cpu_seconds / seconds:.1f} cores busy, its slot has {job.threads}"
    return f"{busy}; leave the number of threads as it is, and start no processes"
