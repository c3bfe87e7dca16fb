"""One run from a request to its summary, as a function: `autoresearch_ray.run(...)` and the command line use it.

Everything that can be wrong with a request is found before Ray starts (`resolve.py`). The driver holds a lock on the
run's folder, starts the state and the proposer actor, and drives Ray Tune until the limits are reached or it is
interrupted; what was running then runs again under the same id when the run is resumed.
"""

import contextlib
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from types import FrameType
from typing import Any

import filelock

from autoresearch_ray.errors import SettingsError
from autoresearch_ray.progress import Progress
from autoresearch_ray.resolve import LINEAGE, STATE_FILE, resolve
from autoresearch_ray.settings import Request, RunSettings, checked, fitting_slots

QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # leave CUDA_VISIBLE_DEVICES alone; the other choice warns
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # halves the driver's work; the trial table is ours
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # ours saves the state and prints how to resume
}
NAMESPACE = "autoresearch"
CONNECT_SECONDS = 5.0
WORKER_DEATHS = 2  # times that Tune starts a trial again after its worker died

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended."""

    run_dir: Path
    interrupted: bool
    failure: str
    summary: tuple[str, ...]


def run(request: Request | None = None, **options: Any) -> RunOutcome:
    """Search until the run's limits; the same as `python -m autoresearch_ray.launch`, for notebooks and scripts.

        autoresearch_ray.run(experiment=Path("experiments/cpu.yaml"), trials=28, tag="monday")

    `options` are the fields of `settings.Request`. Raises AutoresearchError with one clear line where the command
    line ends with status 2. One run at a time in a process.
    """
    request = checked(request or _request(options))
    progress = Progress(request.plain)
    settings, folder = resolve(request, progress.say)
    with _only_driver(folder), _ray(request, settings) as resources:
        if settings.slots == 0:
            slots = fitting_slots(settings.experiment, request, *resources, settings.device)
            settings = settings.model_copy(update={"slots": slots})
        return _driven(settings, folder, progress)


def _request(options: dict[str, Any]) -> Request:
    known = {field.name for field in fields(Request)}
    unknown = sorted(set(options) - known)
    if unknown:
        raise SettingsError(f"unknown option {', '.join(unknown)}; expected some of {', '.join(sorted(known))}")
    return Request(**options)


@contextlib.contextmanager
def _only_driver(folder: Path) -> Iterator[None]:
    lock = filelock.FileLock(folder / ".driver.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise SettingsError(f"{folder} is being run by another process; stop that one, or use another --tag") from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _ray(request: Request, settings: RunSettings) -> Iterator[tuple[float, float]]:
    """Ray, joined or started here; gives the cluster's CPUs and GPUs. What was started here is stopped again."""
    os.environ |= {name: os.environ.get(name, value) for name, value in QUIET.items()}
    import ray

    address = request.address or "local"
    _check_somebody_listens(address)
    own = {} if address != "local" else {"num_cpus": _logical_cpus(settings), "dashboard_host": "127.0.0.1"}
    try:
        ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR, **own)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise SettingsError(f"--address {address}: no Ray cluster answers there ({reason}); start one first") from None
    try:
        resources = ray.cluster_resources()
        yield resources.get("CPU", 0.0), resources.get("GPU", 0.0)
    finally:
        ray.shutdown()


def _check_somebody_listens(address: str) -> None:
    """Ray itself waits minutes for an address where nobody is."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit()):
        return  # local, auto
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise SettingsError(f"--address {address}: nobody answers there ({error}); start Ray there first") from None


def _logical_cpus(settings: RunSettings) -> int:
    return max(1, int(-(-settings.slots * settings.experiment.cpus_per_trial // 1)))


def _driven(settings: RunSettings, folder: Path, progress: Progress) -> RunOutcome:
    from autoresearch_ray.proposer import start_proposer
    from autoresearch_ray.search import Search
    from autoresearch_ray.searcher import RunSearcher, SlotWatch
    from autoresearch_ray.state.actor import start_state_actor
    from autoresearch_ray.state.board import Board

    name = f"state-{settings.tag}-{settings.created_at:.0f}"
    store = start_state_actor(folder / STATE_FILE, name, NAMESPACE)
    proposer = None
    try:
        board = Board(store)
        store.put("settings", settings.model_dump_json().encode())
        (folder / "settings.json").write_text(settings.model_dump_json(indent=2) + "\n")
        search = Search(board, settings, folder / LINEAGE, listener=progress.decided)
        proposer = start_proposer(settings, name)
        searcher = RunSearcher(search, settings, folder, name)
        watch = SlotWatch(search, settings.experiment.budget_seconds)
        with progress.showing(folder, settings, search, watch), _interruptible(searcher) as interrupted:
            _fit(settings, searcher, watch)
        failure = searcher.failure
    finally:
        if proposer is not None:
            proposer.stop()
        store.stop()
    summary = progress.summary(folder, settings, interrupted=bool(interrupted))
    return RunOutcome(folder, bool(interrupted), failure, summary)


def _fit(settings: RunSettings, searcher: Any, watch: Any) -> None:
    from ray import tune

    from autoresearch_ray.searcher import RunStopper
    from autoresearch_ray.trainable import TrialActor

    scratch = tempfile.mkdtemp(prefix="autoresearch-tune-")  # a cache: the store is the truth
    tuner = tune.Tuner(
        TrialActor,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=_scheduler(settings),
            num_samples=-1,
            max_concurrent_trials=settings.slots,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=settings.tag,
            storage_path=scratch,
            stop=RunStopper(searcher),
            callbacks=[watch],
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=WORKER_DEATHS),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    try:
        tuner.fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _scheduler(settings: RunSettings) -> Any:
    from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, MedianStoppingRule

    budget = settings.experiment.budget_seconds
    common = {"time_attr": "seconds", "metric": "train_bpb", "mode": "min", "grace_period": budget / 4}
    if settings.early_stop == "asha":
        return AsyncHyperBandScheduler(max_t=budget, reduction_factor=2, **common)
    if settings.early_stop == "median":
        return MedianStoppingRule(min_samples_required=5, **common)
    return FIFOScheduler()


@contextlib.contextmanager
def _interruptible(searcher: Any) -> Iterator[list[int]]:
    """First Ctrl-C: stop cleanly. Second: at once; the store has everything up to the last result anyway."""
    seen: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        searcher.stopping = True
        if len(seen) > 1:
            os._exit(130)
        sys.stderr.write("\nstopping: running trials are given up, they run again on --resume; once more to end now\n")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
