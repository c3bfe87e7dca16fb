"""From a request to the settings of a run, everything checked before Ray starts.

A new run gets its folder and its data; a resumed one takes its settings from the run's store and refuses another
experiment or other data. What a resumed run may change: trials, hours, slots.
"""

import json
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import psutil
import torch
from pydantic import ValidationError

from autoresearch_ray.benchmark.cache import prepare
from autoresearch_ray.benchmark.device import choose_amp, choose_device, device_name
from autoresearch_ray.benchmark.isolate import isolation_level
from autoresearch_ray.errors import CandidateError, SettingsError
from autoresearch_ray.experiment import Experiment, load_experiment
from autoresearch_ray.propose.knobs import read_knobs, set_constants
from autoresearch_ray.propose.rules import check_candidate
from autoresearch_ray.settings import (
    Request,
    RunSettings,
    default_experiment,
    default_tag,
    fitting_slots,
    local_cpus,
    memory_for,
    proposer_specs,
    read_program,
    resolved_experiment,
)
from autoresearch_ray.state.board import Board
from autoresearch_ray.state.sqlite import SqliteStore

STATE_FILE = "state.db"
LINEAGE = "lineage"
PACKAGES = ("autoresearch_ray", "ray", "torch", "numpy", "optuna", "tiktoken", "rustbpe")

Say = Callable[[str], None]


def resolve(request: Request, say: Say) -> tuple[RunSettings, Path]:
    """The settings and the folder of the run that was asked for. SettingsError or DataError if it cannot be had."""
    folder = _run_folder(request)
    if request.resume:
        settings = _resumed(request, folder)
    else:
        settings = _fresh(request, folder)
    dataset = prepare(settings.experiment, say)
    if settings.dataset_fingerprint not in ("", dataset.fingerprint):
        raise SettingsError(
            f"run {settings.tag} is on data {settings.dataset_fingerprint[:12]}, here is {dataset.fingerprint[:12]}; "
            "scores do not compare across data, start a new run with another --tag"
        )
    return settings.model_copy(update={"dataset_fingerprint": dataset.fingerprint}), folder


def _run_folder(request: Request) -> Path:
    tag = request.tag or default_tag()
    folder = request.runs_dir / tag
    exists = (folder / STATE_FILE).exists()
    if exists and not request.resume:
        raise SettingsError(f"{folder} exists; continue it with --resume --tag {tag}, or choose another --tag")
    if request.resume and not exists:
        raise SettingsError(f"{folder} holds no run; expected {STATE_FILE} there, check --tag and --runs-dir")
    try:
        (folder / "trials").mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise SettingsError(f"{folder}: cannot be written ({error.strerror}); choose another --runs-dir") from None
    return folder.resolve()


def _fresh(request: Request, folder: Path) -> RunSettings:
    experiment = resolved_experiment(load_experiment(request.experiment or _fitting_experiment()), request)
    program = read_program(request.program)
    device = choose_device(experiment.device)
    choose_amp(experiment.amp, device)
    kind: Literal["cpu", "cuda"] = "cuda" if device.type == "cuda" else "cpu"
    slots = _slots(experiment, request, kind)
    return RunSettings(
        tag=folder.name,
        experiment=experiment,
        trials=experiment.trials if request.trials is None else request.trials,
        hours=request.hours,
        slots=slots,
        memory_mb=memory_for(min(slots, max(1, local_cpus()))),
        device=kind,
        proposers=proposer_specs(request.proposers),
        seed=request.seed or 0,
        early_stop=request.early_stop or "none",  # type: ignore[arg-type]  # checked by `checked`
        max_staleness=0,
        baseline=_baseline(experiment, program),
        program=program,
        dataset_fingerprint="",
        versions={"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        hardware={
            "cpus": local_cpus(),
            "memory_mb": psutil.virtual_memory().total >> 20,
            "device": device_name(device),
            "gpus": torch.cuda.device_count(),
            "isolation": isolation_level(),
        },
        created_at=time.time(),
    )


def _resumed(request: Request, folder: Path) -> RunSettings:
    store = SqliteStore(folder / STATE_FILE)
    try:
        stored = Board(store).settings()
    finally:
        store.close()
    try:
        settings = RunSettings.model_validate_json(stored or b"")
    except ValidationError:
        raise SettingsError(f"{folder / STATE_FILE} holds no settings of this version; start a new run") from None
    if request.experiment is not None:
        asked = resolved_experiment(load_experiment(request.experiment), request)
        _same_experiment(settings.experiment, asked, folder.name)
    elif resolved_experiment(settings.experiment, request) != settings.experiment:
        raise SettingsError(f"run {folder.name} is on another budget or share; scores do not compare, use a new --tag")
    slots = _slots(settings.experiment, request, settings.device) if request.slots else settings.slots
    return settings.model_copy(
        update={"trials": request.trials or settings.trials, "hours": request.hours, "slots": slots}
    )


def _same_experiment(stored: Experiment, asked: Experiment, tag: str) -> None:
    one, other = json.loads(stored.model_dump_json()), json.loads(asked.model_dump_json())
    changed = [key for key in one if one[key] != other[key] and key not in ("candidate", "trials")]
    if changed:
        seen = ", ".join(f"{key} {other[key]} (run: {one[key]})" for key in changed)
        raise SettingsError(f"run {tag} is on another experiment: {seen}; resume with its own, or use a new --tag")


def _fitting_experiment() -> Path:
    return default_experiment(torch.cuda.get_device_capability() if torch.cuda.is_available() else None)


def _slots(experiment: Experiment, request: Request, device: str) -> int:
    if request.address is not None:  # the cluster's resources are known when it is joined
        return request.slots or 0
    return fitting_slots(experiment, request, local_cpus(), torch.cuda.device_count(), device)


def _baseline(experiment: Experiment, program: str) -> str:
    """The starting candidate with the experiment's constants written in."""
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
