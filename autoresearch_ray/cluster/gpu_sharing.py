"""`--gpus-per-trial auto`: the share of a GPU that trains the most, found by real trials side by side on one.

    table, share = measure_sharing(run, cluster, say)    # after the run's depot works, before its slots are counted

The starting candidate runs 1, 2, 3, 4 ... times at once on a whole GPU of the run's kind, each behind the walls and
with the memory and CPUs that it would have, until all have trained side by side for a tenth of the budget. What is best
is decided in `decide/gpu_share.py`; the table is kept in the run's settings, so a resumed run does not measure again.
Logical GPUs are shared the same way, by candidates that train on CPUs. Memory is held, not measured: a number of trials
of which one runs out of it is out.
"""

import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from autoresearch_ray.benchmark.trial.job import job_for
from autoresearch_ray.benchmark.trial.slot import Slot
from autoresearch_ray.cluster.capacity import round_share
from autoresearch_ray.cluster.node_files import Depot
from autoresearch_ray.cluster.seat import Seat
from autoresearch_ray.cluster.session import Cluster, bundle
from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.decide.gpu_share import Span, choose, common_rates, common_seconds, next_tenants, show
from autoresearch_ray.records.codec import from_json, to_json
from autoresearch_ray.records.trials import CoRun, CurvePoint, Result
from autoresearch_ray.settings.request import AUTO
from autoresearch_ray.settings.run_settings import RequestedRun, RunSettings, RunTerms

BUDGET_SHARE = 0.1  # of the budget that all train side by side
READY_SECONDS = 120.0  # for all process servers to start

Say = Callable[[str], None]


def measure_sharing(run: RequestedRun, cluster: Cluster, say: Say) -> tuple[tuple[CoRun, ...], float]:
    """What each number of trials on one GPU makes, and the share of a GPU that makes the most.

    SettingsError if the starting candidate does not even run alone.
    """
    most = most_tenants(run, cluster)
    say(f"measuring how many trials share a GPU best, {most} at most:")
    table: list[CoRun] = []
    while (tenants := next_tenants(table, most)) is not None:
        table.append(_measure(run, tenants))
        say(show(table[-1]))
    best = choose(table)
    if best is None:
        reason = table[0].failure if table else "no node has the CPUs for one trial beside a GPU"
        raise SettingsError(f"--gpus-per-trial {AUTO}: not even one trial runs on a GPU: {reason}")
    share = round_share(1 / best.tenants)
    say(f"{share:g} GPU a trial makes the most steps; the run keeps to it")
    return tuple(table), share


def most_tenants(run: RunTerms, cluster: Cluster) -> int:
    """How many trials every GPU of the run's kind can have, by the CPUs beside it."""
    nodes = [node for node in cluster.nodes if node.gpus >= 1 and node.accelerator == run.accelerator]
    nodes = nodes or [node for node in cluster.nodes if node.gpus >= 1]
    cpus = run.experiment.cpus_per_trial
    return min((int(node.cpus / int(node.gpus) / cpus + 1e-9) for node in nodes), default=0)


def _measure(run: RequestedRun, tenants: int) -> CoRun:
    """The trials side by side, on a node that has a whole GPU for them."""
    import ray

    experiment = run.experiment.replace(gpus_per_trial=round_share(1 / tenants))
    settings = run.settle(tenants, experiment=experiment)
    wanted = bundle(settings)
    wanted |= {"GPU": 1.0, "CPU": tenants * experiment.cpus_per_trial}
    cpus, gpus = wanted.pop("CPU"), wanted.pop("GPU")
    task = ray.remote(_side_by_side).options(
        num_cpus=cpus, num_gpus=gpus, resources=wanted, name=f"{tenants} trials on one GPU"
    )
    home = ray.get_runtime_context().get_node_id()
    try:
        return from_json(CoRun, ray.get(task.remote(settings.model_dump_json(), home, tenants)))
    except ray.exceptions.RayTaskError as error:
        raise SettingsError(f"--gpus-per-trial {AUTO}: {error.cause}") from None


def _side_by_side(settings_json: str, home: str, tenants: int) -> str:
    """On the node: so many trials at once; a CoRun as JSON."""
    settings = RunSettings.model_validate_json(settings_json)
    depot = Depot(settings, home)
    dataset, memory_mb = depot.material().folder, depot.memory_mb()
    together = Together(tenants, BUDGET_SHARE * settings.experiment.budget_seconds)
    with ThreadPoolExecutor(tenants) as pool:
        run = [pool.submit(_tenant, settings, dataset, memory_mb, together, number) for number in range(tenants)]
    return to_json(together.outcome([one.result() for one in run]))


def _tenant(settings: RunSettings, dataset: Path, memory_mb: int, together: "Together", number: int) -> Result:
    """One of the trials: the starting candidate, with a seed of its own. The thread outlives its slot."""
    job = job_for(
        settings.train_experiment,
        settings.baseline,
        str(dataset),
        number,
        device=settings.device,
        memory_mb=memory_mb,
    )
    seat = Seat(settings)
    try:
        gpu = settings.device == "cuda"
        slots = Slot(job.threads, seat.cores, settings.isolation, gpu=gpu)
        with slots as slot, tempfile.TemporaryDirectory() as folder:
            slot.await_ready(READY_SECONDS)
            together.await_all()
            with contextlib.closing(slot.run(job, Path(folder))) as progress:
                together.follow(number, progress)
            return slot.result
    finally:
        seat.release()


class Together:
    """Trials side by side, and for how long. Any of their threads may call it."""

    def __init__(self, tenants: int, seconds: float) -> None:
        """They go on until all have trained side by side for `seconds`, or one has ended."""
        self._start = threading.Barrier(tenants)
        self._seconds, self._lock, self._over = seconds, threading.Lock(), False
        self._curves: list[list[CurvePoint]] = [[] for _ in range(tenants)]
        self._began = [0.0] * tenants

    def await_all(self) -> None:
        """Wait until all are ready; one that is not in time runs without the others, and is seen to."""
        with contextlib.suppress(threading.BrokenBarrierError):
            self._start.wait(READY_SECONDS)

    def follow(self, number: int, progress: Iterator[CurvePoint]) -> None:
        """Take in the progress of one of them, as long as it matters."""
        for point in progress:
            with self._lock:
                self._began[number] = self._began[number] or time.monotonic() - point.seconds
                self._curves[number].append(point)
                self._over = self._over or common_seconds(self._spans()) >= self._seconds
            if self._over:
                break
        self._over = True

    def outcome(self, results: list[Result]) -> CoRun:
        """What they made, or why they could not."""
        failed = [result for result in results if result.status not in ("ok", "stopped")]
        tenants, seconds = len(results), common_seconds(self._spans())
        if failed:
            return CoRun(tenants, failure=f"{failed[0].status}: {failed[0].error}")
        if seconds < self._seconds / 2:
            return CoRun(tenants, failure=f"they trained side by side for {seconds:.1f} s alone")
        return CoRun(tenants, common_rates(self._spans()))

    def _spans(self) -> list[Span]:
        return list(zip(self._began, self._curves, strict=True))
