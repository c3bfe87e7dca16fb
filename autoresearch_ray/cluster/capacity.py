"""How many trials a machine holds: pure arithmetic over what it offers and what a trial takes. Knows no Ray."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from autoresearch_ray.benchmark.sandbox.cgroup import usable_memory
from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.settings.experiment import Benchmark

RAYS_PARTS = 10_000  # of a resource
MEMORY_SHARE = 0.7  # of the machine's memory, or its container's, that all slots together may use


@dataclass(frozen=True, slots=True)
class NodeShape:
    """What one machine offers to trials."""

    cpus: float
    gpus: float
    accelerator: str = ""  # the kind of its GPUs, as Ray calls it


def fitting_slots(experiment: Benchmark, nodes: Sequence[NodeShape], gpu_share: float) -> int:
    """How many trials run at once on these machines; a trial's share of a GPU lies on one GPU."""

    def fit(node: NodeShape) -> int:
        by_cpu = node.cpus / experiment.cpus_per_trial + 1e-9
        by_gpu = node.gpus * per_gpu(gpu_share) if gpu_share > 0 else math.inf
        return int(min(by_cpu, by_gpu))

    return sum(fit(node) for node in nodes)


def per_gpu(share: float) -> int:
    """How many trials of this share fit on one GPU."""
    return int(RAYS_PARTS / max(1.0, round_share(share) * RAYS_PARTS) + 1e-9)


def round_share(share: float) -> float:
    """A share in whole parts, as Ray counts it, and never more than was said: thrice 0.3333 is one GPU."""
    return math.floor(share * RAYS_PARTS + 1e-6) / RAYS_PARTS


def packing(share: float) -> str:
    """What a share that does not divide a GPU leaves unused, in words; "" for one that does."""
    if share <= 0 or 1 - per_gpu(share) * round_share(share) < per_gpu(share) / RAYS_PARTS:
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


def local_slots(experiment: Benchmark, asked: int | None, cpus: float, gpus: float, device: str) -> int:
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
    return int(usable_memory() * MEMORY_SHARE / max(1, slots_on_machine)) >> 20
