"""One simulated run: an experiment's candidate on a made-up landscape, on virtual slots, in a folder like a run's."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from autoresearch_ray.candidate.knobs import read_knobs
from autoresearch_ray.driver.new_run import new_run
from autoresearch_ray.errors import SettingsError
from autoresearch_ray.search.landscape import Landscape
from autoresearch_ray.search.simulation import EPOCH, Found, Simulation, World
from autoresearch_ray.settings import TUNERS, Request


def simulate_run(
    request: Request,
    holds: tuple[float, float],
    noise_sd: float,
    seed_share: float,
    failures: float,
    folder: Path,
    tell: Callable[[str], None],
) -> Found:
    """The search of this request, which names its slots, in a world of its seed. SettingsError.

    `holds`: sd of the noise that an important knob holds, least and most. `noise_sd`: of a score over seeds, in bpb;
    `seed_share`: of its variance that is common to all candidates on one seed. `failures`: share of trials that crash.
    """
    assert request.slots is not None, request
    run = new_run(request, folder.name, address="virtual")  # this machine's size and devices do not matter
    if any(spec.name not in TUNERS for spec in run.proposers):
        raise SettingsError(f"--proposer: expected {' or '.join(TUNERS)}; no language model knows this landscape")
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise SettingsError(f"{folder}: cannot be made ({error.strerror}); choose another --runs-dir") from None
    landscape = Landscape(read_knobs(run.baseline), np.random.default_rng([run.seed, 1]), holds)
    settings = run.settle(request.slots, created_at=EPOCH)
    return Simulation(settings, World(landscape, noise_sd, seed_share, failures), folder, tell).run()
