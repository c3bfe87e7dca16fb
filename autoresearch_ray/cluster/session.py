"""The Ray that a run is on: one of its own on this machine, or a cluster that it joins.

    with ray_for(request, settings, say) as cluster:
        settings = settled(settings, request, cluster, say)      # how many slots, on which kind of GPU

A joined cluster is found by --address or, like Ray's own commands, by RAY_ADDRESS. Its autoscaler is asked at once for
the room that slots lack; they start when their node joins.
"""

import contextlib
import logging
import math
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from autoresearch_ray.errors import SettingsError
from autoresearch_ray.settings import (
    AUTO,
    NodeShape,
    Request,
    RunSettings,
    counted,
    fitting_slots,
    local_cpus,
    local_slots,
    memory_for,
    packing,
    uneven,
)
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
ROOM_SECONDS = 2.0  # for which a look at the cluster's nodes holds

Say = Callable[[str], None]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cluster:
    """What was there when the run began."""

    joined: bool
    nodes: tuple[NodeShape, ...]
    dashboard: str = ""  # its URL; empty where none runs
    waiting: list[Any] = field(default_factory=list)  # Ray forgets what nobody refers to


def with_address(request: Request) -> Request:
    """The request with the cluster that RAY_ADDRESS names, if it names none itself."""
    address = request.address or os.environ.get("RAY_ADDRESS") or None
    return replace(request, address=None if address == "local" else address)


@contextlib.contextmanager
def ray_for(request: Request, settings: RunSettings) -> Iterator[Cluster]:
    """Ray, joined or started here. What was started or asked for here is given back at the end."""
    os.environ |= {name: os.environ.get(name, value) for name, value in QUIET.items()}
    import ray

    address = request.address or "local"
    _check_somebody_listens(address)
    own = {} if request.address else _own_ray(settings)
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
        yield Cluster(bool(request.address), _nodes(), dashboard)
    finally:
        ray.shutdown()


def with_a_gpu(settings: RunSettings, request: Request, cluster: Cluster, say: Say) -> Cluster:
    """The cluster once it has a GPU, if its autoscaler has to bring the first: the run is pinned to that one's kind."""
    slots = request.slots or settings.slots
    if slots and request.gpus_per_trial == AUTO and not settings.sharing:
        slots = 1  # to be measured on; how many GPUs the others need is not known
    if not _unpinned(settings, cluster) or not slots or any(node.gpus > 0 for node in cluster.nodes):
        return cluster
    import ray

    say("the cluster has no GPU yet; its autoscaler is asked, and the run uses the kind that comes first")
    asked = _ask_for_room(settings, slots)
    ray.wait(asked)
    _, waiting = ray.wait(asked, num_returns=len(asked), timeout=ROOM_SECONDS)
    for room in waiting:  # not the others: who cancels what has just ended kills this process (Ray 2.60)
        ray.cancel(room)
    return replace(cluster, nodes=_nodes())


def pinned(settings: RunSettings, cluster: Cluster, say: Say) -> RunSettings:
    """The settings with the kind of GPU that the run uses, and no other."""
    if not _unpinned(settings, cluster):
        return settings
    return settings.model_copy(update={"accelerator": _one_kind(cluster, say)})


def settled(settings: RunSettings, request: Request, cluster: Cluster, say: Say) -> RunSettings:
    """The settings with slots and GPU kind that this cluster gives. SettingsError if it holds no trial."""
    if not cluster.joined:
        return settings if settings.slots else _settled_here(settings, request, cluster)
    settings = pinned(settings, cluster, say)
    nodes = _of_its_kind(settings, cluster.nodes)
    for words in (packing(settings.gpu_share), uneven(settings.gpu_share, request.slots or settings.slots, nodes)):
        if words:
            say(words)
    now = fitting_slots(settings.experiment, nodes, settings.gpu_share)
    slots = request.slots or settings.slots or now
    if slots < 1:
        raise SettingsError(
            f"a trial takes {settings.experiment.cpus_per_trial:g} CPU and {settings.gpu_share:g} GPU, and no node of "
            "the cluster has that now; ask for less a trial, or say --slots N and its autoscaler is asked for room"
        )
    if slots > now:
        say(f"the cluster has room for {now} of {slots} slots now; its autoscaler is asked for the rest")
        cluster.waiting.extend(_ask_for_room(settings, slots - now))
    return settings.model_copy(update={"slots": slots})


class Room:
    """How many slots of a run the cluster has room for now, busy ones included. Called often, it looks now and then."""

    def __init__(self, settings: RunSettings, now: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._now = settings, now
        self._seen, self._looked_at = 0, -math.inf

    def __call__(self) -> int:
        if self._now() - self._looked_at > ROOM_SECONDS:
            self._seen = fitting_slots(
                self._settings.experiment, _of_its_kind(self._settings, _nodes()), self._settings.gpu_share
            )
            self._looked_at = self._now()
        return self._seen


def dashboard_line(cluster: Cluster) -> str:
    """Where to watch: Ray's dashboard lets in who has the cluster's token."""
    if not cluster.dashboard:
        return "Ray's dashboard is not there; the run goes on without it"
    return f"Ray's dashboard: {cluster.dashboard} (the token that it asks for: ray get-auth-token)"


def _settled_here(settings: RunSettings, request: Request, cluster: Cluster) -> RunSettings:
    """Slots on this machine, of the share that was measured just now."""
    gpus = sum(node.gpus for node in cluster.nodes)
    slots = local_slots(settings.experiment, request.slots, local_cpus(), gpus, settings.device)
    return settings.model_copy(update={"slots": slots, "memory_mb": memory_for(slots)})


def _of_its_kind(settings: RunSettings, nodes: Sequence[NodeShape]) -> list[NodeShape]:
    return [node for node in nodes if node.accelerator == settings.accelerator or not settings.accelerator]


def _unpinned(settings: RunSettings, cluster: Cluster) -> bool:
    """Whether the run will use a cluster's GPUs, of a kind that is not known yet."""
    return cluster.joined and settings.device == "cuda" and settings.gpu_share > 0 and not settings.accelerator


def bundle(settings: RunSettings) -> dict[str, float]:
    """What Ray sets aside for one trial."""
    wanted = {"CPU": settings.experiment.cpus_per_trial, "GPU": counted(settings.gpu_share)}
    if settings.accelerator:
        wanted[KIND + settings.accelerator] = KIND_SHARE
    return {name: share for name, share in wanted.items() if share > 0}


def _one_kind(cluster: Cluster, say: Say) -> str:
    """The kind of GPU that most GPUs are of; scores of two kinds do not compare. "" where there is none yet."""
    kinds = Counter[str]()
    for node in cluster.nodes:
        if node.gpus > 0:
            kinds[node.accelerator] += int(node.gpus)
    if len(kinds) > 1:
        chosen = kinds.most_common(1)[0][0]
        say(f"the cluster has {dict(kinds)} GPUs; scores of two kinds do not compare, so this run uses {chosen} alone")
    return kinds.most_common(1)[0][0] if kinds else ""


def _own_ray(settings: RunSettings) -> dict[str, Any]:
    cpus = max(1, int(-(-settings.slots * settings.experiment.cpus_per_trial // 1))) if settings.slots else local_cpus()
    options: dict[str, Any] = {"num_cpus": cpus, "dashboard_host": "127.0.0.1"}
    if settings.device == "cpu" and settings.gpu_share > 0:
        options["num_gpus"] = settings.slots  # logical ones, enough for any share
    return options


def _ask_for_room(settings: RunSettings, slots: int) -> list[Any]:
    """Tasks that do nothing and wait for room: the autoscaler starts nodes for them, and forgets them with this driver.

    (`request_resources` would outlive a killed driver, and its nodes would be paid for until somebody noticed.)
    """
    import ray

    wanted = bundle(settings)
    cpus, gpus = wanted.pop("CPU", 0.0), wanted.pop("GPU", 0.0)
    room = ray.remote(_nothing).options(num_cpus=cpus, num_gpus=gpus, resources=wanted, name="room for a slot")
    return [room.remote() for _ in range(slots)]


def _nothing() -> None:
    return


def _nodes() -> tuple[NodeShape, ...]:
    import ray

    return tuple(node_shape(node) for node in ray.nodes() if node["Alive"])


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
