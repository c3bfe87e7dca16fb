"""The Ray that a run is on: one of its own on this machine, or a cluster that it joins.

    with ray_for(run) as cluster:
        settings = settle(run, fingerprint, cluster, say)      # how many slots, on which kind of GPU: `settle.py`

A joined cluster is found by --address or, like Ray's own commands, by RAY_ADDRESS.
"""

import contextlib
import logging
import math
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from autoresearch_ray.benchmark.sandbox.cgroup import usable_cpus
from autoresearch_ray.cluster.capacity import NodeShape, counted
from autoresearch_ray.errors import SettingsError
from autoresearch_ray.settings import RequestedRun, RunTerms
from autoresearch_ray.text import one_line

NAMESPACE = "autoresearch"
CONNECT_SECONDS = 5.0
QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # leave CUDA_VISIBLE_DEVICES alone; the other choice warns
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # halves the driver's work; the trial table is ours
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # a line of ours says it
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # ours saves the state and prints how to resume
}
KIND = "accelerator_type:"  # Ray's resource that says which GPU a node has; a trial takes a little of it
KIND_SHARE = 0.001

Say = Callable[[str], None]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cluster:
    """What was there when the run began."""

    joined: bool
    nodes: tuple[NodeShape, ...]
    dashboard: str = ""  # its URL; empty where none runs
    waiting: list[Any] = field(default_factory=list)  # Ray forgets what nobody refers to


@contextlib.contextmanager
def ray_for(run: RequestedRun) -> Iterator[Cluster]:
    """Ray, joined or started here. What was started or asked for here is given back at the end."""
    os.environ |= {name: os.environ.get(name, value) for name, value in QUIET.items()}
    import ray

    address = run.address or "local"
    _check_somebody_listens(address)
    own = {} if run.address else _own_ray(run)
    try:
        context = ray.init(
            address=address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.CRITICAL, **own
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = one_line(str(error), 200)
        raise SettingsError(f"--address {address}: no Ray cluster answers there ({reason}); start one first") from None
    except Exception as error:  # Ray raises nothing narrower when its own processes start too slowly
        if type(error) is not Exception:
            raise
        raise SettingsError(
            f"Ray did not start here in its 30 s ({one_line(str(error), 160)}); is the machine very busy? Try again"
        ) from None
    _quieten_errors()
    try:
        dashboard = f"http://{context.dashboard_url}" if context.dashboard_url else ""
        yield Cluster(run.address is not None, look_at_nodes(), dashboard)
    finally:
        ray.shutdown()


def dashboard_line(cluster: Cluster) -> str:
    """Where to watch: Ray's dashboard lets in who has the cluster's token."""
    if not cluster.dashboard:
        return "Ray's dashboard is not there; the run goes on without it"
    return f"Ray's dashboard: {cluster.dashboard} (the token that it asks for: ray get-auth-token)"


def _own_ray(run: RequestedRun) -> dict[str, Any]:
    known = run.slots is not None and not run.measures_sharing
    cpus = max(1, math.ceil((run.slots or 0) * run.experiment.cpus_per_trial)) if known else usable_cpus()
    options: dict[str, Any] = {"num_cpus": cpus, "dashboard_host": "127.0.0.1"}
    if run.device == "cpu" and run.gpu_share > 0:
        options["num_gpus"] = run.slots  # logical ones, enough for any share
    return options


def look_at_nodes() -> tuple[NodeShape, ...]:
    """The nodes that are there now."""
    import ray

    return tuple(node_shape(node) for node in ray.nodes() if node["Alive"])


def bundle(run: RunTerms) -> dict[str, float]:
    """What Ray sets aside for one trial."""
    wanted = {"CPU": run.experiment.cpus_per_trial, "GPU": counted(run.gpu_share)}
    if run.accelerator:
        wanted[KIND + run.accelerator] = KIND_SHARE
    return {name: share for name, share in wanted.items() if share > 0}


def node_shape(node: dict[str, Any]) -> NodeShape:
    """What a node of `ray.nodes()` offers."""
    resources = node["Resources"]
    kinds = [name.removeprefix(KIND) for name in resources if name.startswith(KIND)]
    return NodeShape(resources.get("CPU", 0.0), resources.get("GPU", 0.0), kinds[0] if kinds else "")


def _quieten_errors() -> None:
    """Ray prints what a dead node last logged, hundreds of lines, whatever its settings; a line of ours says it."""
    from ray._private import worker

    worker.print_to_stdstream = lambda batch, ignore_prefix: logger.info("%s", batch["lines"])


def _check_somebody_listens(address: str) -> None:
    """Ray itself waits minutes for an address where nobody is."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit()):
        return  # local, auto
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise SettingsError(f"--address {address}: nobody answers there ({error}); start Ray there first") from None
