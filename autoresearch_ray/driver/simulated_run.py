"""Simulated runs: an experiment's candidate in a made-up world, on virtual slots. The search itself, and its peers."""

from collections.abc import Callable
from pathlib import Path

from autoresearch_ray.candidate.knobs import read_knobs
from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.common.paths import SETTINGS_FILE, write_whole
from autoresearch_ray.driver.new_run import new_run
from autoresearch_ray.observe.comparison import Course
from autoresearch_ray.search.peers.clock import run_peer
from autoresearch_ray.search.simulation import EPOCH, Found, Simulation
from autoresearch_ray.search.worlds.world import Conditions, World
from autoresearch_ray.settings.proposer_spec import OWN_TUNER, TUNERS
from autoresearch_ray.settings.request import Request
from autoresearch_ray.settings.run_settings import RequestedRun


def simulate_run(request: Request, conditions: Conditions, folder: Path, tell: Callable[[str], None]) -> Found:
    """The search of this request, which names its slots, in the world of its seed. SettingsError.

    It leaves a folder like a run's.
    """
    run = _request(request, folder.name)
    assert request.slots is not None, request
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise SettingsError(f"{folder}: cannot be made ({error.strerror}); choose another --runs-dir") from None
    settings = run.settle(request.slots, created_at=EPOCH)
    write_whole(folder / SETTINGS_FILE, (settings.model_dump_json(indent=2) + "\n").encode())
    return Simulation(settings, _world(run, conditions), folder, tell).run()


def simulate_peer(name: str, request: Request, conditions: Conditions) -> Course:
    """The peer of this name in the same world, for the same GPU time. SettingsError."""
    run = _request(request, "peer")
    assert request.slots is not None, request
    return run_peer(name, _world(run, conditions), run.seed, request.slots, run.trials)


def _request(request: Request, tag: str) -> RequestedRun:
    run = new_run(request, tag, address="virtual")  # this machine's size and devices do not matter
    if not all(spec.is_tuner for spec in run.proposers):
        names = ", ".join(TUNERS)
        raise SettingsError(
            f"--proposer: expected {names} or {OWN_TUNER}:MODULE:CLASS; no language model knows this landscape"
        )
    return run.replace(experiment=run.experiment.replace(overtime_trials=0))  # peers have none


def _world(run: RequestedRun, conditions: Conditions) -> World:
    return World(conditions, run.seed, read_knobs(run.baseline), run.experiment.budget_seconds)
