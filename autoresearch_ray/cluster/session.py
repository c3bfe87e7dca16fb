"""The Ray that a run is on: one of its own on this machine, a cluster that it joins, or the one that its caller is on.

    with ray_for(run) as cluster:
        settings = settle(run, fingerprint, cluster, say)      # how many slots, on which kind of GPU: `settle.py`

A joined cluster is found by --address or, like Ray's own commands, by RAY_ADDRESS. Who has called `ray.init` before
`autoresearch_ray.run` is on a Ray already: the run joins that one and leaves it running.
"""

import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from autoresearch_ray.benchmark.data.dataset import cache_home
from autoresearch_ray.cluster.capacity import NodeShape, round_share
from autoresearch_ray.cluster.own_ray import TOKEN, own_ray
from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.common.text import one_line
from autoresearch_ray.settings.request import Request
from autoresearch_ray.settings.run_settings import RequestedRun, RunTerms

NAMESPACE = "autoresearch"
CONNECT_SECONDS = 5.0
CACHE = "AUTORESEARCH_HOME"
QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # leave CUDA_VISIBLE_DEVICES alone; the other choice warns
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # under `uv run`, workers use the driver's interpreter as it is
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_memory_monitor_refresh_ms": "0",  # slots hold their memory themselves; Ray would end the store's actor too
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
    if os.environ.get(CACHE):
        os.environ[CACHE] = str(cache_home())  # seen from this folder: a trial's actor works in one of its own
    if run.address is not None:
        _check_somebody_listens(run.address)
    here = _address_here()
    if here is not None:
        if run.address != here:
            raise SettingsError(
                f"--address {run.address or 'local'}: this process is on the Ray at {here} already; "
                "leave --address out, or call ray.shutdown() first"
            )
        from ray._private.worker import get_dashboard_url

        with _quiet_log():
            yield Cluster(True, look_at_nodes(), _as_url(get_dashboard_url()))
        return
    import ray
    from ray._private import ray_constants

    ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV = False  # where Ray was imported before, it has read the variable
    context = _start(run) if run.address is None else _join(run.address)
    _quieten_errors()
    try:
        yield Cluster(run.address is not None, look_at_nodes(), _as_url(context.dashboard_url))
    finally:
        ray.shutdown()


def join_here(request: Request) -> Request:
    """The request, on the Ray that this process is on already, if it names no other."""
    here = _address_here()
    return request.replace(address=here) if here is not None and request.address in (None, "auto") else request


def dashboard_line(cluster: Cluster) -> str:
    """Where to watch: Ray's dashboard lets in who has the cluster's token."""
    if not cluster.dashboard:
        return "Ray's dashboard is not there; the run goes on without it"
    if TOKEN in os.environ:
        return f"Ray's dashboard: {cluster.dashboard} (the token that it asks for is this launch's {TOKEN})"
    return f"Ray's dashboard: {cluster.dashboard} (the token that it asks for: ray get-auth-token)"


def look_at_nodes() -> tuple[NodeShape, ...]:
    """The nodes that are there now."""
    import ray

    return tuple(node_shape(node) for node in ray.nodes() if node["Alive"])


def bundle(run: RunTerms) -> dict[str, float]:
    """What Ray sets aside for one trial."""
    wanted = {"CPU": run.experiment.cpus_per_trial, "GPU": round_share(run.gpu_share)}
    if run.accelerator:
        wanted[KIND + run.accelerator] = KIND_SHARE
    return {name: share for name, share in wanted.items() if share > 0}


def _start(run: RequestedRun) -> Any:
    """A Ray of our own. SettingsError names what it lacks."""
    options = own_ray(run)
    try:
        return _init(address="local", **options)
    except (OSError, RuntimeError, ValueError) as error:
        raise SettingsError(f"Ray cannot start here: {one_line(str(error), 300)}; mend that and try again") from None
    except Exception as error:  # Ray raises nothing narrower when its own processes start too slowly
        if type(error) is not Exception:
            raise
        raise SettingsError(
            f"Ray did not start here in its 30 s ({one_line(str(error), 160)}); is the machine very busy? Try again"
        ) from None


def _join(address: str) -> Any:
    try:
        return _init(address=address)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = one_line(str(error), 200)
        token = "" if "RAY_AUTH_MODE" in os.environ else ", or set RAY_AUTH_MODE=token if it was started with a token"
        raise SettingsError(
            f"--address {address}: no Ray cluster answers there ({reason}); start one first{token}"
        ) from None


def _init(**options: Any) -> Any:
    import ray

    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # Ray's processes outlive a terminal that closes
    try:
        return ray.init(namespace=NAMESPACE, log_to_driver=False, logging_level=logging.CRITICAL, **options)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def node_shape(node: dict[str, Any]) -> NodeShape:
    """What a node of `ray.nodes()` offers."""
    resources = node["Resources"]
    kinds = [name.removeprefix(KIND) for name in resources if name.startswith(KIND)]
    return NodeShape(resources.get("CPU", 0.0), resources.get("GPU", 0.0), kinds[0] if kinds else "")


@contextlib.contextmanager
def _quiet_log() -> Iterator[None]:
    """What Ray and Tune log of a run is said in lines of ours."""
    log = logging.getLogger("ray")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)


def _address_here() -> str | None:
    """The address of the Ray that this process is on by a `ray.init` of its own."""
    ray = sys.modules.get("ray")
    return str(ray.get_runtime_context().gcs_address) if ray is not None and ray.is_initialized() else None


def _as_url(dashboard: str | None) -> str:
    return f"http://{dashboard}" if dashboard else ""


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
