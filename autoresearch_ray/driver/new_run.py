"""A run that has not begun: its experiment, starting candidate and device, everything checked before Ray starts.

Torch is loaded only where it is asked, for a wrong request need not wait seconds for it.
"""

import os
import platform
import shlex
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from autoresearch_ray import __version__
from autoresearch_ray.benchmark.sandbox.cgroup import usable_cpus, usable_memory
from autoresearch_ray.benchmark.sandbox.walls import check_reached, try_walls
from autoresearch_ray.benchmark.trial.cpu import cpu_name
from autoresearch_ray.candidate.knobs import read_knobs, set_constants
from autoresearch_ray.candidate.rules import check_candidate
from autoresearch_ray.cluster.capacity import local_slots
from autoresearch_ray.common.errors import CandidateError, SettingsError
from autoresearch_ray.common.paths import EXPERIMENTS, PROGRAM
from autoresearch_ray.driver.script_run import read_script, script_program
from autoresearch_ray.propose.llm.providers.surroundings import check_address
from autoresearch_ray.settings.decision_rules import Rules
from autoresearch_ray.settings.experiment import B, Benchmark, Experiment
from autoresearch_ray.settings.experiment_file import load_any
from autoresearch_ray.settings.proposer_spec import MODELS, NONE, ProposerSpec
from autoresearch_ray.settings.request import AUTO, Request
from autoresearch_ray.settings.run_settings import SQLITE, EarlyStop, RequestedRun
from autoresearch_ray.settings.script_experiment import AnyExperiment, ScriptExperiment

PACKAGES = ("ray", "torch", "numpy", "optuna", "tiktoken", "rustbpe")


def new_run(
    request: Request, tag: str, *, location: str = SQLITE, storage: str = "", address: str | None = None
) -> RequestedRun:
    """A run that has not begun, its data not looked at. SettingsError.

    With an `address` it will join a cluster: this machine's devices and size do not matter.
    """
    experiment = override_experiment(load_any(request.experiment or find_experiment()), request)
    check_keeping(request, experiment)
    program = read_program(path) if (path := program_path(request.program, experiment)) else ""
    device, name = _device(experiment, joined=address is not None)
    _check_sharing(request, device, address)
    proposers = request.proposers or (ProposerSpec(name="tpe"),)
    isolation = request.isolation or "best"
    walls = try_walls(isolation)
    check_reached(isolation, walls)
    return RequestedRun(
        tag=tag,
        experiment=experiment,
        trials=request.trials or experiment.trials,
        hours=request.hours,
        device=device,
        proposers=proposers,
        director=choose_director(request, None, request.proposers),
        seed=request.seed or 0,
        early_stop=choose_early_stop(request, experiment, default="none"),
        keep_weights=request.keep_weights or "none",
        llm_base_url=choose_base_url(request, default=""),
        context_tokens=request.context_tokens,
        max_cost_usd=request.max_cost_usd,
        prices=request.prices,
        max_calls=request.max_calls,
        isolation=isolation,
        state=location,
        storage=storage,
        max_staleness=choose_staleness(request, default=None),
        rules=choose_rules(request, experiment),
        baseline=_read_baseline(experiment, proposers, program),
        program=program,
        dataset_fingerprint="",
        versions={"python": platform.python_version(), "autoresearch_ray": __version__}
        | {package: version(package) for package in PACKAGES},
        hardware=_describe_machine(name, walls.level),
        created_at=time.time(),
        address=address,
        slots=count_slots(experiment, request, device, address),
        follows=address is not None and request.slots is None,
        measures_sharing=request.gpus_per_trial == AUTO,
    )


def check_keeping(request: Request, experiment: AnyExperiment) -> None:
    """SettingsError where the weights of a script are to be kept: only it knows its model."""
    if request.keep_weights == "best" and not isinstance(experiment, Experiment):
        raise SettingsError("--keep-weights best: a script (contract: script) keeps its own model; leave it out")


def ray_address(request: Request) -> str | None:
    """The Ray cluster to join: --address or, like Ray's own commands, RAY_ADDRESS; None for none."""
    address = request.address or os.environ.get("RAY_ADDRESS") or None
    return None if address == "local" else address


def override_experiment(experiment: B, request: Request) -> B:
    """The experiment with what the launch says instead."""
    share = 1.0 if request.gpus_per_trial == AUTO else request.gpus_per_trial  # a whole one, until it is measured
    return experiment.override(
        budget_seconds=request.budget_seconds, gpus_per_trial=share, cpus_per_trial=request.cpus_per_trial
    )


def choose_staleness(request: Request, default: int | None) -> int | None:
    """Frontier versions; None: any number."""
    if request.max_staleness is None:
        return default
    return None if request.max_staleness == NONE else request.max_staleness


def choose_early_stop(request: Request, experiment: AnyExperiment, default: EarlyStop) -> EarlyStop:
    """Whether losing screens end early. SettingsError where learning curves say nothing of the score."""
    if request.early_stop == "paired" and not (isinstance(experiment, Experiment) and experiment.scoring.is_ours):
        raise SettingsError(
            f"--early-stop paired: learning curves are in bits per byte, and this run's score is "
            f"{experiment.scoring.name}; leave it out"
        )
    return request.early_stop or default


def choose_rules(request: Request, experiment: AnyExperiment) -> Rules:
    """The numbers of the decision, with what the launch and the experiment say."""
    rules = Rules(removal_margin=experiment.removal_margin)
    if isinstance(experiment, ScriptExperiment):
        rules = replace(rules, needs_holdout=bool(experiment.holdout))
    if not experiment.scoring.is_ours or experiment.complexity_price is not None:
        rules = replace(rules, complexity_price=experiment.complexity_price or 0.0)
    return rules if request.complexity_price is None else replace(rules, complexity_price=request.complexity_price)


def choose_director(
    request: Request, default: ProposerSpec | None, proposers: Sequence[ProposerSpec]
) -> ProposerSpec | None:
    """The model that directs; None for none. SettingsError where there is no model to direct."""
    chosen = default if request.director is None else None if request.director == NONE else request.director
    if request.director is not None and chosen is not None and not any(spec.name in MODELS for spec in proposers):
        raise SettingsError(
            f"--director {chosen.label}: no language model proposes, so nobody would read what it writes; add "
            f"--proposer {chosen.label}"
        )
    return chosen


def choose_base_url(request: Request, default: str) -> str:
    """Where openai:MODEL is asked for; "" for the provider's own address. SettingsError for what is no URL."""
    url = request.llm_base_url
    if url in (None, NONE):
        return default if url is None else ""
    try:
        return check_address(url)
    except ValueError as error:
        raise SettingsError(f"--llm-base-url {shlex.quote(url)}: {error}") from None


def count_slots(experiment: Benchmark, request: Request, device: str, address: str | None) -> int | None:
    """How many trials at once; None, if nothing was said, where only Ray can tell: on a cluster, or with a share that
    is to be measured."""
    if address is not None or request.gpus_per_trial == AUTO:
        return request.slots
    if device == "cpu":
        return local_slots(experiment, request.slots, usable_cpus(), 0, device)
    import torch

    return local_slots(experiment, request.slots, usable_cpus(), torch.cuda.device_count(), device)


def choose_experiment(device_capability: tuple[int, int] | None) -> Path:
    """The experiment that fits, that of this folder before the one that ships.

    `device_capability` is a GPU's compute capability; None for no GPU.
    """
    name = "cpu.yaml" if device_capability is None else "h100.yaml" if device_capability >= (8, 0) else "t4.yaml"
    here = Path(EXPERIMENTS.name) / name
    return here if here.exists() else EXPERIMENTS / name


def program_path(path: Path | None, experiment: AnyExperiment | None = None) -> Path | None:
    """The program.md that was named, or that of this folder, or the one that ships.

    Of a script it is that of its own folder, None if it has none.
    """
    if path is not None:
        return path
    if isinstance(experiment, ScriptExperiment):
        return script_program(experiment)
    here = Path(PROGRAM.name)
    return here if here.exists() else PROGRAM


def read_program(path: Path) -> str:
    """The text that a human steers the search with."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text"
        raise SettingsError(f"--program {path}: cannot be read ({reason}); expected a text file") from None


def find_experiment() -> Path:
    """The experiment that fits this machine."""
    import torch

    return choose_experiment(torch.cuda.get_device_capability() if torch.cuda.is_available() else None)


def _device(experiment: AnyExperiment, joined: bool) -> tuple[Literal["cpu", "cuda"], str]:
    """What trials run on, and its name. A cluster's GPUs are not here to be looked at: its slots check their own."""
    if joined:
        wants_gpu = experiment.device == "cuda" or (experiment.device == "auto" and experiment.gpus_per_trial > 0)
        return ("cuda", "the cluster's GPUs") if wants_gpu else ("cpu", "the cluster's CPUs")
    if experiment.device == "cpu":
        return "cpu", cpu_name()
    from autoresearch_ray.benchmark.trial.device import choose_amp, choose_device, device_name

    device = choose_device(experiment.device)
    if isinstance(experiment, Experiment):
        choose_amp(experiment.amp, device)
    return "cuda" if device.type == "cuda" else "cpu", device_name(device)


def _check_sharing(request: Request, device: str, address: str | None) -> None:
    if request.gpus_per_trial == AUTO and address is None and device == "cpu":
        raise SettingsError(
            f"--gpus-per-trial {AUTO}: there is no GPU here to share; leave it out, or join a Ray that has one with "
            "--address (a logical one will do: ray start --head --num-gpus=1)"
        )


def _describe_machine(device_name: str, isolation: str) -> dict[str, object]:
    memory_mb = usable_memory() >> 20
    return {"cpus": usable_cpus(), "memory_mb": memory_mb, "device": device_name, "isolation": isolation}


def _read_baseline(experiment: AnyExperiment, proposers: tuple[ProposerSpec, ...], program: str) -> str:
    """The starting candidate with the experiment's constants written in; a script as it is."""
    if isinstance(experiment, ScriptExperiment):
        return read_script(experiment, proposers)
    path = Path(experiment.candidate)
    try:
        source = set_constants(path.read_text(), dict(experiment.constants))
        check_candidate(source, len(program.splitlines()))
        knobs = read_knobs(source)
    except (CandidateError, UnicodeDecodeError) as error:
        raise SettingsError(f"{os.path.relpath(path)}: {error}") from None
    if not knobs:
        raise SettingsError(f"{os.path.relpath(path)}: has no knobs; expected constants with `# ...; search log(a, b)`")
    return source
