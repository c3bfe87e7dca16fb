"""From a run that can be had to its settings, by the machines that Ray has: the last step before the search.

    settings = settle(run, fingerprint, cluster, say)

It decides the kind of GPU that the run is pinned to, the share of one that a trial takes, if that is to be measured,
and how many slots there are. A cluster's autoscaler is asked at once for the room that slots lack; they start when
their node joins.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from autoresearch_ray.benchmark.sandbox.cgroup import usable_cpus
from autoresearch_ray.cluster.capacity import (
    NodeShape,
    fitting_slots,
    local_slots,
    packing,
    uneven,
)
from autoresearch_ray.cluster.session import Cluster, bundle, look_at_nodes
from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.settings.run_settings import RequestedRun, RunSettings, RunTerms

LOOK_SECONDS = 2.0  # for which a look at the cluster's nodes holds

Say = Callable[[str], None]


def settle(run: RequestedRun, fingerprint: str, cluster: Cluster, say: Say) -> RunSettings:
    """The settings of the run on this cluster and these data. SettingsError if it holds no trial.

    On a joined cluster the run's files must be served already (`node_files.py`): a share is measured on its nodes.
    """
    run = run.replace(dataset_fingerprint=fingerprint)
    if cluster.joined:
        cluster = _await_gpu(run, cluster, say)
        run = run.replace(accelerator=_choose_kind(run, cluster, say))
    if run.measures_sharing:
        from autoresearch_ray.cluster.gpu_sharing import measure_sharing

        table, share = measure_sharing(run, cluster, say)
        run = run.replace(sharing=table, experiment=run.experiment.replace(gpus_per_trial=share))
    if cluster.joined:
        return run.settle(_count_slots(run, cluster, say))
    if run.slots is not None and not run.measures_sharing:
        return run.settle(run.slots)
    gpus = sum(node.gpus for node in cluster.nodes)
    return run.settle(local_slots(run.experiment, run.slots, usable_cpus(), gpus, run.device))


class Capacity:
    """How many slots of a run the cluster has room for now, busy ones included. Called often, it looks now and then."""

    def __init__(self, settings: RunSettings, now: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._now = settings, now
        self._seen, self._looked_at = 0, -math.inf

    def __call__(self) -> int:
        if self._now() - self._looked_at > LOOK_SECONDS:
            nodes = of_its_kind(self._settings.accelerator, look_at_nodes())
            self._seen = fitting_slots(self._settings.experiment, nodes, self._settings.gpu_share)
            self._looked_at = self._now()
        return self._seen


def of_its_kind(accelerator: str, nodes: Sequence[NodeShape]) -> list[NodeShape]:
    """The nodes with this kind of GPU; "": all of them."""
    return [node for node in nodes if not accelerator or node.accelerator == accelerator]


def _await_gpu(run: RequestedRun, cluster: Cluster, say: Say) -> Cluster:
    """The cluster once it has a GPU, if its autoscaler has to bring the first: the run is pinned to that one's kind."""
    slots = 1 if run.slots and run.measures_sharing else run.slots  # how many GPUs the others need is not known yet
    if not _lacks_kind(run) or not slots or any(node.gpus > 0 for node in cluster.nodes):
        return cluster
    import ray

    say("the cluster has no GPU yet; its autoscaler is asked, and the run uses the kind that comes first")
    asked = _ask_for_nodes(run, slots)
    ray.wait(asked)
    _, waiting = ray.wait(asked, num_returns=len(asked), timeout=LOOK_SECONDS)
    for task in waiting:  # not the others: who cancels what has just ended kills this process (Ray 2.60)
        ray.cancel(task)
    return replace(cluster, nodes=look_at_nodes())


def _choose_kind(run: RequestedRun, cluster: Cluster, say: Say) -> str:
    """The kind of GPU that the run uses and no other, for scores of two kinds do not compare; "" for any."""
    if not _lacks_kind(run):
        return run.accelerator
    kinds = Counter[str]()
    for node in cluster.nodes:
        if node.gpus > 0:
            kinds[node.accelerator] += int(node.gpus)
    if len(kinds) > 1:
        chosen = kinds.most_common(1)[0][0]
        say(f"the cluster has {dict(kinds)} GPUs; scores of two kinds do not compare, so this run uses {chosen} alone")
    return kinds.most_common(1)[0][0] if kinds else ""


def _count_slots(run: RequestedRun, cluster: Cluster, say: Say) -> int:
    nodes = of_its_kind(run.accelerator, cluster.nodes)
    for words in (packing(run.gpu_share), uneven(run.gpu_share, run.slots or 0, nodes)):
        if words:
            say(words)
    now = fitting_slots(run.experiment, nodes, run.gpu_share)
    slots = run.slots or now
    if slots < 1:
        raise SettingsError(
            f"a trial takes {run.experiment.cpus_per_trial:g} CPU and {run.gpu_share:g} GPU, and no node of the "
            "cluster has that now; ask for less a trial, or say --slots N and its autoscaler is asked for room"
        )
    if slots > now:
        say(f"the cluster has room for {now} of {slots} slots now; its autoscaler is asked for the rest")
        cluster.waiting.extend(_ask_for_nodes(run, slots - now))
    return slots


def _lacks_kind(run: RequestedRun) -> bool:
    """Whether the run will use a cluster's GPUs, of a kind that is not known yet."""
    return run.device == "cuda" and run.gpu_share > 0 and not run.accelerator


def _ask_for_nodes(run: RunTerms, slots: int) -> list[Any]:
    """Tasks that do nothing and wait for room: the autoscaler starts nodes for them, and forgets them with this driver.

    (`request_resources` would outlive a killed driver, and its nodes would be paid for until somebody noticed.)
    """
    import ray

    wanted = bundle(run)
    cpus, gpus = wanted.pop("CPU", 0.0), wanted.pop("GPU", 0.0)
    nothing = ray.remote(lambda: None)
    task = nothing.options(num_cpus=cpus, num_gpus=gpus, resources=wanted, name="room for a slot")
    return [task.remote() for _ in range(slots)]
