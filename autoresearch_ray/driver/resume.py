"""A run that goes on: its settings as they are stored, with what a resumed run may change, and no more.

It may change its limits, who proposes and at what cost, and how stale a proposal may be. It may also change whether
losing screens end early, whether the best's weights are kept, the walls, and where copies go. Whatever scores depend on
stays: a request that says otherwise is refused.
"""

import json

from autoresearch_ray.benchmark.sandbox.walls import check_reached, try_walls
from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.driver.new_run import (
    check_keeping,
    choose_base_url,
    choose_director,
    choose_early_stop,
    choose_staleness,
    count_slots,
    override_experiment,
    ray_address,
)
from autoresearch_ray.settings.experiment_file import load_any
from autoresearch_ray.settings.request import AUTO, Request, option_name
from autoresearch_ray.settings.run_settings import RequestedRun, RunSettings

MAY_NOT_CHANGE = ("seed", "from_run")


def resume_run(request: Request, stored: RunSettings, storage: str | None) -> RequestedRun:
    """The run as it was, with what may change. SettingsError for what may not."""
    _check_sharing(request, stored)
    _check_kind(request, stored)
    _check_experiment(request, stored)
    check_keeping(request, stored.experiment)
    for name in MAY_NOT_CHANGE:
        said, was = getattr(request, name), getattr(stored, name)
        if said not in (None, was):
            before = "none" if was == "" else was
            raise SettingsError(
                f"{option_name(name)} {said}: run {stored.tag} has {before}; leave it out, or use a new --tag"
            )
    price = stored.rules.complexity_price
    if request.complexity_price not in (None, price):
        raise SettingsError(
            f"--complexity-price {request.complexity_price:g}: run {stored.tag} has {price:g}, and its decisions stand "
            "on that; leave it out, or use a new --tag"
        )
    if request.isolation is not None:
        check_reached(request.isolation, try_walls(request.isolation))
    address = ray_address(request)
    changes = {
        "trials": request.trials or stored.trials,
        "hours": request.hours,  # limit of this launch
        "proposers": request.proposers or stored.proposers,
        "director": choose_director(request, stored.director, request.proposers or stored.proposers),
        "isolation": request.isolation or stored.isolation,
        "llm_base_url": choose_base_url(request, stored.llm_base_url),
        "context_tokens": request.context_tokens or stored.context_tokens,
        "max_cost_usd": request.max_cost_usd or stored.max_cost_usd,
        "prices": request.prices or stored.prices,
        "max_calls": request.max_calls or stored.max_calls,
        "early_stop": choose_early_stop(request, stored.experiment, stored.early_stop),
        "keep_weights": request.keep_weights or stored.keep_weights,
        "max_staleness": choose_staleness(request, stored.max_staleness),
        "storage": stored.storage if storage is None else storage,
    }
    unshared = request.replace(gpus_per_trial=None)  # the share is that of the run
    fit = count_slots(stored.experiment, unshared, stored.device, address) if request.slots else stored.slots
    machines = {"address": address, "slots": fit, "measures_sharing": False}
    follows = address is not None and request.slots is None
    return RequestedRun.model_validate(stored.terms() | changes | machines | {"follows": follows})


def _check_sharing(request: Request, stored: RunSettings) -> None:
    if request.gpus_per_trial == AUTO and not stored.sharing:
        raise SettingsError(
            f"--gpus-per-trial {AUTO}: run {stored.tag} was started with {stored.gpu_share:g} GPU a trial, and "
            "scores of two shares do not compare; leave it out, or use a new --tag"
        )


def _check_kind(request: Request, stored: RunSettings) -> None:
    """SettingsError where a run on this machine's GPUs would go on with another kind; a cluster's kind is pinned."""
    if stored.device != "cuda" or ray_address(request) is not None:
        return
    import torch

    from autoresearch_ray.benchmark.trial.device import device_name

    here = device_name(torch.device("cuda")) if torch.cuda.is_available() else "no GPU"
    if here != stored.hardware["device"]:
        raise SettingsError(
            f"run {stored.tag} is on {stored.hardware['device']}, here is {here}; scores of two kinds do not "
            "compare, resume it on its own or use a new --tag"
        )


def _check_experiment(request: Request, stored: RunSettings) -> None:
    """SettingsError where the request names another experiment, budget or share. A share that was measured is kept."""
    if stored.sharing and request.gpus_per_trial in (None, AUTO):
        request = request.replace(gpus_per_trial=stored.experiment.gpus_per_trial)
    if request.experiment is None:
        if override_experiment(stored.experiment, request) != stored.experiment:
            raise SettingsError(
                f"run {stored.tag} is on another budget or share; scores do not compare, use a new --tag"
            )
        return
    asked = override_experiment(load_any(request.experiment), request)
    one, other = json.loads(stored.experiment.model_dump_json()), json.loads(asked.model_dump_json())
    changed = [key for key in one if one[key] != other[key] and key not in ("candidate", "trials", "overtime_trials")]
    if changed:
        seen = ", ".join(f"{key} {other[key]} (run: {one[key]})" for key in changed)
        raise SettingsError(
            f"run {stored.tag} is on another experiment: {seen}; resume with its own, or use a new --tag"
        )
