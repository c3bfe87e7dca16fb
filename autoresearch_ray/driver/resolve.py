"""From a request to the settings of a run, everything checked before Ray starts.

A new run gets its folder and its data; a resumed one takes its settings from the run's store and refuses another
experiment or other data. What a resumed run may change: trials, hours, slots, proposers and what they may cost. Torch
is loaded only where it is asked, for a wrong request need not wait seconds for it.
"""

import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import psutil
from pydantic import ValidationError

from autoresearch_ray.archive.bucket import normal_url
from autoresearch_ray.archive.push import check_remote
from autoresearch_ray.archive.restore import check_free, check_ours, restore, storage_of
from autoresearch_ray.benchmark.data.dataset import prepare
from autoresearch_ray.benchmark.sandbox.walls import check_reached, reached
from autoresearch_ray.benchmark.trial.cpu import cpu_name
from autoresearch_ray.candidate.knobs import read_knobs, set_constants
from autoresearch_ray.candidate.rules import check_candidate
from autoresearch_ray.errors import CandidateError, SettingsError, StorageError
from autoresearch_ray.experiment import Experiment, load_experiment
from autoresearch_ray.paths import STATE_FILE, TRIALS_FOLDER
from autoresearch_ray.settings import (
    AUTO,
    SQLITE,
    Request,
    RunSettings,
    default_experiment,
    default_tag,
    local_cpus,
    local_slots,
    memory_for,
    proposer_specs,
    read_program,
    resolved_experiment,
)
from autoresearch_ray.store.connect import check_state, state_of, stored_settings
from autoresearch_ray.store.history import read_finished

PACKAGES = ("autoresearch_ray", "ray", "torch", "numpy", "optuna", "tiktoken", "rustbpe")

Say = Callable[[str], None]


def resolve(request: Request, say: Say) -> tuple[RunSettings, Path]:
    """The settings and the folder of the run that was asked for, its data aside. SettingsError if it cannot be had."""
    if request.push_to is not None:
        check_remote(request.push_to)
    url = _storage_url(request)
    if url and request.resume:
        _restore(request, url, say)
    folder, state = _run_folder(request)
    if request.resume:
        settings = _resumed(request, folder, state)
    else:
        settings = fresh_settings(request, folder.name, state)
    if url is not None:
        settings = settings.model_copy(update={"storage": url})
    if settings.storage:
        _check_storage(settings, folder, fresh=not request.resume)
    return settings, folder


def with_data(settings: RunSettings, say: Say) -> RunSettings:
    """The settings with the data's fingerprint; the data are in the cache then. SettingsError or DataError."""
    dataset = prepare(settings.experiment, say)
    if settings.dataset_fingerprint not in ("", dataset.fingerprint):
        raise SettingsError(
            f"run {settings.tag} is on data {settings.dataset_fingerprint[:12]}, here is {dataset.fingerprint[:12]}; "
            "scores do not compare across data, start a new run with another --tag"
        )
    return settings.model_copy(update={"dataset_fingerprint": dataset.fingerprint})


def _storage_url(request: Request) -> str | None:
    """Where copies are to go; "" for nowhere any more, None when nothing was said."""
    if request.storage in (None, "none"):
        return None if request.storage is None else ""
    return normal_url(request.storage)


def _restore(request: Request, url: str, say: Say) -> None:
    """Make the folder of a run that is not here from its storage, if it is there."""
    assert request.tag is not None, "checked: a resumed run has a tag"
    folder = request.runs_dir / request.tag
    if state_of(folder) is not None:
        return
    storage = storage_of(url, request.tag)
    try:
        restored = restore(storage, folder, say)
    except OSError as error:
        raise SettingsError(f"{folder}: cannot be written ({error.strerror}); choose another --runs-dir") from None
    if not restored and request.state is None:
        raise SettingsError(f"{storage.url}: holds no run, nor does {folder}; check --storage, --tag and --runs-dir")


def _check_storage(settings: RunSettings, folder: Path, fresh: bool) -> None:
    storage = storage_of(settings.storage, settings.tag)
    if fresh:
        check_free(storage)
        return
    has_file = settings.state == SQLITE
    try:
        check_ours(storage, settings, folder, read_finished(folder / STATE_FILE)[0] if has_file else 0)
    except StorageError as error:
        raise SettingsError(f"{error}; --storage none goes on without it") from None


def _run_folder(request: Request) -> tuple[Path, str]:
    """The run's folder, made if need be, and where its state is."""
    tag = request.tag or default_tag()
    folder = request.runs_dir / tag
    here = state_of(folder)
    state = request.state or here or SQLITE
    check_state(state)
    if here is not None and not request.resume:
        raise SettingsError(f"{folder} exists; continue it with --resume --tag {tag}, or choose another --tag")
    if here is not None and state != here:
        raise SettingsError(
            f"--state {state}: {folder} keeps its state in {here}; leave --state out or use a new --tag"
        )
    if here is None and state != SQLITE and not request.resume and stored_settings(folder, state) is not None:
        raise SettingsError(f"{state} holds run {tag}; continue it with --resume --tag {tag}, or choose another --tag")
    if request.resume and here is None and state == SQLITE:
        raise SettingsError(f"{folder} holds no run; expected {STATE_FILE} there, check --tag and --runs-dir")
    try:
        (folder / TRIALS_FOLDER).mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise SettingsError(f"{folder}: cannot be written ({error.strerror}); choose another --runs-dir") from None
    return folder.resolve(), state


def fresh_settings(request: Request, tag: str, state: str) -> RunSettings:
    """The settings of a new run, its data not looked at yet. SettingsError."""
    experiment = resolved_experiment(load_experiment(request.experiment or _fitting_experiment()), request)
    program = read_program(request.program)
    kind, name = _device(experiment, joined=request.address is not None)
    if request.gpus_per_trial == AUTO and request.address is None and kind == "cpu":
        raise SettingsError(
            f"--gpus-per-trial {AUTO}: there is no GPU here to share; leave it out, or join a Ray that has one with "
            "--address (a logical one will do: ray start --head --num-gpus=1)"
        )
    slots = _slots(experiment, request, kind)
    isolation: Literal["strict", "best", "none"] = request.isolation or "best"  # type: ignore[assignment]  # checked by `checked`
    walls = reached(isolation)
    check_reached(isolation, walls)
    return RunSettings(
        tag=tag,
        experiment=experiment,
        trials=experiment.trials if request.trials is None else request.trials,
        hours=request.hours,
        slots=slots,
        memory_mb=memory_for(min(slots, max(1, local_cpus()))),
        device=kind,
        proposers=proposer_specs(request.proposers),
        seed=request.seed or 0,
        early_stop=request.early_stop or "none",  # type: ignore[arg-type]  # checked by `checked`
        llm_base_url=request.llm_base_url or "",
        max_cost_usd=request.max_cost_usd,
        isolation=isolation,
        state=state,
        max_staleness=0,
        baseline=_baseline(experiment, program),
        program=program,
        dataset_fingerprint="",
        versions={"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        hardware={
            "cpus": local_cpus(),
            "memory_mb": psutil.virtual_memory().total >> 20,
            "device": name,
            "isolation": walls.level,
        },
        created_at=time.time(),
    )


def _resumed(request: Request, folder: Path, state: str) -> RunSettings:
    try:
        settings = RunSettings.model_validate_json(stored_settings(folder, state) or b"")
    except ValidationError:
        place = folder / STATE_FILE if state == SQLITE else f"{state}, run {folder.name}"
        raise SettingsError(f"{place}: holds no settings of this version; start a new run") from None
    request = _as_measured(request, settings)
    _check_kind(request, settings)
    if request.experiment is not None:
        asked = resolved_experiment(load_experiment(request.experiment), request)
        _same_experiment(settings.experiment, asked, folder.name)
    elif resolved_experiment(settings.experiment, request) != settings.experiment:
        raise SettingsError(f"run {folder.name} is on another budget or share; scores do not compare, use a new --tag")
    update: dict[str, Any] = {"trials": request.trials or settings.trials, "hours": request.hours}
    if request.slots:
        update["slots"] = _slots(settings.experiment, request, settings.device)
    if request.proposers:
        update["proposers"] = proposer_specs(request.proposers)
    if request.isolation is not None:
        check_reached(request.isolation, reached(request.isolation))
        update["isolation"] = request.isolation
    if request.llm_base_url is not None:
        update["llm_base_url"] = request.llm_base_url
    if request.max_cost_usd is not None:
        update["max_cost_usd"] = request.max_cost_usd
    return settings.model_copy(update=update)


def _as_measured(request: Request, settings: RunSettings) -> Request:
    """The request with the share that the run has measured, unless it names another."""
    if request.gpus_per_trial == AUTO and not settings.sharing:
        raise SettingsError(
            f"--gpus-per-trial {AUTO}: run {settings.tag} was started with {settings.gpu_share:g} GPU a trial, and "
            "scores of two shares do not compare; leave it out, or use a new --tag"
        )
    if settings.sharing and request.gpus_per_trial in (None, AUTO):
        return replace(request, gpus_per_trial=settings.experiment.gpus_per_trial)
    return request


def _check_kind(request: Request, settings: RunSettings) -> None:
    """SettingsError where a run on this machine's GPUs would go on with another kind; a cluster's kind is pinned."""
    if settings.device != "cuda" or request.address is not None:
        return
    import torch

    from autoresearch_ray.benchmark.trial.device import device_name

    here = device_name(torch.device("cuda")) if torch.cuda.is_available() else "no GPU"
    if here != settings.hardware["device"]:
        raise SettingsError(
            f"run {settings.tag} is on {settings.hardware['device']}, here is {here}; scores of two kinds do not "
            "compare, resume it on its own or use a new --tag"
        )


def _same_experiment(stored: Experiment, asked: Experiment, tag: str) -> None:
    one, other = json.loads(stored.model_dump_json()), json.loads(asked.model_dump_json())
    changed = [key for key in one if one[key] != other[key] and key not in ("candidate", "trials")]
    if changed:
        seen = ", ".join(f"{key} {other[key]} (run: {one[key]})" for key in changed)
        raise SettingsError(f"run {tag} is on another experiment: {seen}; resume with its own, or use a new --tag")


def _fitting_experiment() -> Path:
    import torch

    return default_experiment(torch.cuda.get_device_capability() if torch.cuda.is_available() else None)


def _device(experiment: Experiment, joined: bool) -> tuple[Literal["cpu", "cuda"], str]:
    """What trials run on, and its name. A cluster's GPUs are not here to be looked at: its slots check their own."""
    if joined:
        wants_gpu = experiment.device == "cuda" or (experiment.device == "auto" and experiment.gpus_per_trial > 0)
        return ("cuda", "the cluster's GPUs") if wants_gpu else ("cpu", "the cluster's CPUs")
    if experiment.device == "cpu":
        return "cpu", cpu_name()
    from autoresearch_ray.benchmark.trial.device import choose_amp, choose_device, device_name

    device = choose_device(experiment.device)
    choose_amp(experiment.amp, device)
    return "cuda" if device.type == "cuda" else "cpu", device_name(device)


def _slots(experiment: Experiment, request: Request, device: str) -> int:
    if request.address is not None:  # the cluster's resources are known when it is joined
        return request.slots or 0
    if request.gpus_per_trial == AUTO:  # known when the share is measured
        return 0
    if device == "cpu":
        return local_slots(experiment, request.slots, local_cpus(), 0, device)
    import torch

    return local_slots(experiment, request.slots, local_cpus(), torch.cuda.device_count(), device)


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
