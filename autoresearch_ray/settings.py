"""What a launch asks for, and the settings of a run that follow from it: resolved once, then only passed on.

    request = Request(experiment=Path("experiments/cpu.yaml"), tag="monday")
    settings = resolve(request, machine)

`Request` is what a person typed (None: not said). `RunSettings` is what the run is made of; it is stored in the run's
store and in settings.json, and a resumed run takes it from there. Nothing here starts Ray.
"""

import math
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import psutil
from pydantic import BaseModel, ConfigDict

from autoresearch_ray.errors import SettingsError
from autoresearch_ray.experiment import Experiment
from autoresearch_ray.records import CoRun

TUNERS = ("tpe", "random")
PROVIDERS = ("anthropic", "gemini", "openai")
EARLY_STOP = ("none", "asha", "median")
ISOLATION = ("strict", "best", "none")
EXPERIMENTS = Path(__file__).parent.parent / "experiments"
CANDIDATE_LINES = 630  # of train.py and program.md together
SQLITE = "sqlite"  # for --state, the default
AUTO = "auto"  # for --gpus-per-trial
RAYS_PARTS = 10_000  # of a resource
MEMORY_SHARE = 0.7  # of the machine's memory that all slots together may use


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for; None where nothing was said."""

    experiment: Path | None = None
    tag: str | None = None
    runs_dir: Path = Path("runs")
    trials: int | None = None
    hours: float | None = None
    budget_seconds: float | None = None
    slots: int | None = None
    gpus_per_trial: float | Literal["auto"] | None = None
    cpus_per_trial: float | None = None
    proposers: tuple[str, ...] = ()
    program: Path | None = None
    seed: int | None = None
    resume: bool = False
    address: str | None = None
    early_stop: str | None = None
    state: str | None = None
    isolation: str | None = None
    push_to: str | None = None
    storage: str | None = None
    llm_base_url: str | None = None
    max_cost_usd: float | None = None
    plain: bool = False
    submit: str | None = None  # for the command line: the dashboard of the cluster to run on


class ProposerSpec(BaseModel):
    """A proposer and its share of the proposals."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["tpe", "random", "anthropic", "gemini", "openai"]
    model: str = ""  # of a provider
    weight: float = 1.0

    @property
    def label(self) -> str:
        """What trials, tables and logs call it."""
        return f"{self.name}:{self.model}" if self.model else self.name


class RunSettings(BaseModel):
    """The settings of one run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tag: str
    experiment: Experiment
    trials: int
    hours: float | None
    slots: int
    memory_mb: int  # of one trial's process tree, on the driver's machine
    device: Literal["cpu", "cuda"]
    sharing: tuple[CoRun, ...] = ()  # what --gpus-per-trial auto measured
    accelerator: str = ""  # the kind of GPU that the run is pinned to, as Ray calls it; "" for any
    proposers: tuple[ProposerSpec, ...]
    seed: int
    early_stop: Literal["none", "asha", "median"]
    llm_base_url: str  # of an OpenAI-compatible server; "" for the provider's own
    max_cost_usd: float | None  # of all model calls, over all launches
    isolation: Literal["strict", "best", "none"]
    state: str  # sqlite, or the URL of an etcd cluster
    storage: str = ""  # the URL where copies of everything go; "" for none
    max_staleness: int  # frontier versions that a queued proposal may lag behind
    baseline: str  # the starting candidate's text, constants written in
    program: str
    dataset_fingerprint: str
    versions: dict[str, str]
    hardware: dict[str, Any]
    created_at: float

    @property
    def gpu_share(self) -> float:
        """Of a GPU, that Ray sets aside for a trial; logical GPUs may be shared out for training on CPUs too."""
        wanted = self.device == "cuda" or self.experiment.device == "cpu"
        return self.experiment.gpus_per_trial if wanted else 0.0


def default_experiment(device_capability: tuple[int, int] | None) -> Path:
    """The shipped experiment that fits: None for no GPU, else its compute capability."""
    if device_capability is None:
        return EXPERIMENTS / "cpu.yaml"
    return EXPERIMENTS / ("h100.yaml" if device_capability >= (8, 0) else "t4.yaml")


def checked(request: Request) -> Request:
    """The request, if nothing in it is wrong by itself; SettingsError names the option."""
    for name, value, least in (
        ("trials", request.trials, 4),
        ("slots", request.slots, 1),
        ("seed", request.seed, 0),
    ):
        if value is not None and value < least:
            raise SettingsError(f"--{name} {value}: expected a whole number of at least {least}")
    for name, number in (
        ("hours", request.hours),
        ("budget-seconds", request.budget_seconds),
        ("cpus-per-trial", request.cpus_per_trial),
        ("max-cost-usd", request.max_cost_usd),
    ):
        if number is not None and not 0 < number < float("inf"):
            raise SettingsError(f"--{name} {number}: expected a number above 0")
    share = request.gpus_per_trial
    if share is not None and share != AUTO and not 0 <= float(share) <= 1:
        raise SettingsError(f"--gpus-per-trial {share}: expected a share of one GPU, 0 to 1, or {AUTO}")
    if request.tag is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", request.tag):
        raise SettingsError(f"--tag {request.tag!r}: expected letters, digits, '.', '_' and '-', 64 at most")
    if request.early_stop is not None and request.early_stop not in EARLY_STOP:
        raise SettingsError(f"--early-stop {request.early_stop}: expected one of {', '.join(EARLY_STOP)}")
    if request.isolation is not None and request.isolation not in ISOLATION:
        raise SettingsError(f"--isolation {request.isolation}: expected one of {', '.join(ISOLATION)}")
    if request.resume and request.tag is None:
        raise SettingsError("--resume: which run? say --tag TAG")
    proposer_specs(request.proposers)
    if shutil.which("git") is None:
        raise SettingsError("git is not installed; the lineage of wins is kept in it, install git and launch again")
    return request


def proposer_specs(texts: tuple[str, ...]) -> tuple[ProposerSpec, ...]:
    """`NAME[:MODEL][=WEIGHT]` each; the knob tuner alone when nothing is said."""
    specs = tuple(_proposer_spec(text) for text in texts or ("tpe",))
    if len({spec.label for spec in specs}) < len(specs):
        raise SettingsError(f"--proposer: {', '.join(texts)} names one twice; say each once, with its weight")
    return specs


def _proposer_spec(text: str) -> ProposerSpec:
    who, _, weight_text = text.partition("=")
    name, _, model = who.partition(":")
    if name not in (*TUNERS, *PROVIDERS):
        known = ", ".join((*TUNERS, *(f"{provider}:MODEL" for provider in PROVIDERS)))
        raise SettingsError(f"--proposer {text}: unknown proposer {name!r}; expected one of {known}")
    if name in PROVIDERS and not model:
        raise SettingsError(f"--proposer {text}: which model? expected {name}:MODEL, as its provider names it")
    if name in TUNERS and model:
        raise SettingsError(f"--proposer {text}: {name} tunes knobs and has no model; expected {name}")
    try:
        weight = float(weight_text) if weight_text else 1.0
    except ValueError:
        weight = -1.0
    if not 0 < weight < float("inf"):
        raise SettingsError(f"--proposer {text}: weight {weight_text!r} is wrong; expected a number above 0")
    return ProposerSpec(name=name, model=model, weight=weight)  # type: ignore[arg-type]  # a known name, checked above


def resolved_experiment(experiment: Experiment, request: Request) -> Experiment:
    """The experiment with what the launch overrides."""
    update: dict[str, Any] = {}
    if request.budget_seconds is not None:
        update["budget_seconds"] = request.budget_seconds
    if request.gpus_per_trial is not None:  # auto: a whole one, until it is measured
        update["gpus_per_trial"] = 1.0 if request.gpus_per_trial == AUTO else request.gpus_per_trial
    if request.cpus_per_trial is not None:
        update["cpus_per_trial"] = request.cpus_per_trial
    return experiment.model_copy(update=update)


def program_path(path: Path | None) -> Path:
    """The program.md that was named, or the one that ships."""
    return path or EXPERIMENTS.parent / "program.md"


def read_program(path: Path | None) -> str:
    """The text that a human steers the search with."""
    path = program_path(path)
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text"
        raise SettingsError(f"--program {path}: cannot be read ({reason}); expected a text file") from None


@dataclass(frozen=True, slots=True)
class NodeShape:
    """What one machine offers to trials."""

    cpus: float
    gpus: float
    accelerator: str = ""  # the kind of its GPUs, as Ray calls it


def fitting_slots(experiment: Experiment, nodes: Sequence[NodeShape], gpu_share: float) -> int:
    """How many trials run at once on these machines; a trial's share of a GPU lies on one GPU."""

    def fit(node: NodeShape) -> int:
        by_cpu = node.cpus / experiment.cpus_per_trial + 1e-9
        by_gpu = node.gpus * per_gpu(gpu_share) if gpu_share > 0 else math.inf
        return int(min(by_cpu, by_gpu))

    return sum(fit(node) for node in nodes)


def per_gpu(share: float) -> int:
    """How many trials of this share fit on one GPU."""
    return int(RAYS_PARTS / max(1.0, counted(share) * RAYS_PARTS) + 1e-9)


def counted(share: float) -> float:
    """A share in whole parts, as Ray counts it, and never more than was said: thrice 0.3333 is one GPU."""
    return math.floor(share * RAYS_PARTS + 1e-6) / RAYS_PARTS


def packing(share: float) -> str:
    """What a share that does not divide a GPU leaves unused, in words; "" for one that does."""
    if share <= 0 or 1 - per_gpu(share) * counted(share) < per_gpu(share) / RAYS_PARTS:
        return ""
    return (
        f"{share:g} GPU a trial: {per_gpu(share)} fit on one, and {1 - per_gpu(share) * share:.0%} of it stays unused; "
        f"{1 / per_gpu(share):.3g} would use it all"
    )


def uneven(share: float, slots: int, nodes: Sequence[NodeShape]) -> str:
    """What it means that some GPU has fewer trials than the others, in words; "" where it has not."""
    if share <= 0 or sum(node.gpus for node in nodes) <= 1 or slots % per_gpu(share) == 0:
        return ""
    full, more = slots // per_gpu(share) * per_gpu(share), per_gpu(share)
    even = f"{full} or {full + more}" if full else f"{more}"
    return (
        f"{slots} slots of {share:g} GPU: {more} fit on one, so some trials have more of theirs and make more steps; "
        f"{even} slots keep all GPUs equally occupied"
    )


def local_slots(experiment: Experiment, asked: int | None, cpus: float, gpus: float, device: str) -> int:
    """How many trials run at once on this machine; SettingsError if what was asked for does not fit."""
    share = experiment.gpus_per_trial if device == "cuda" else 0.0
    fit = fitting_slots(experiment, [NodeShape(math.inf if share > 0 else cpus, gpus)], share)
    takes = f"{share:g} GPU" if share > 0 else f"{experiment.cpus_per_trial:g} CPU"
    what = f"{gpus:g} GPUs" if share > 0 else f"{cpus:g} CPUs"
    if fit < 1:
        raise SettingsError(f"a trial takes {takes}, there are {what}; ask for less a trial")
    if asked is not None and asked > fit:
        raise SettingsError(f"--slots {asked}: {what} hold {fit} trials of {takes} each; ask for {fit} or less a trial")
    return asked or fit


def memory_for(slots_on_machine: int) -> int:
    """Megabytes that one trial may use when this many share the machine."""
    return int(psutil.virtual_memory().total * MEMORY_SHARE / max(1, slots_on_machine)) >> 20


def default_tag(now: datetime | None = None) -> str:
    """A tag of the day and minute."""
    return (now or datetime.now(UTC)).strftime("%b%d-%H%M%S").lower()


def local_cpus() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
