"""What nodes without a shared file system need of the driver's: an actor beside the run's folder.

    with depot_of(run, folder):                         # the driver, when it has joined a cluster
        depot = Depot(settings, home)                   # a slot, on any node; `home` is the driver's node
        material = depot.material()                     # data or script, fetched from the driver's node if need be
        depot.keep("t00001", scratch)                   # a trial's files, into the run's folder

Slots on the driver's own node (`depot.at_home`) use its cache and the run's folder directly. Elsewhere the first slot
of a node copies the data set, under a lock, and every file is checked against its hash before it is used. Candidates
and results do not come this way: they are in the store.
"""

import contextlib
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import filelock
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from autoresearch_ray.benchmark.data.dataset import Dataset, cache_home, open_dataset, prepare
from autoresearch_ray.benchmark.script.snapshot import SCRIPTS, Snapshot, find_snapshot, open_snapshot, take
from autoresearch_ray.cluster.capacity import fitting_slots, memory_for, per_gpu
from autoresearch_ray.cluster.session import node_shape
from autoresearch_ray.common.errors import DataError
from autoresearch_ray.common.paths import KEPT_MODEL_FILES, TRIALS_FOLDER, write_whole
from autoresearch_ray.records.trials import Result
from autoresearch_ray.settings.run_settings import RunSettings, RunTerms
from autoresearch_ray.settings.script_experiment import ScriptExperiment

Material = Dataset | Snapshot
CHUNK_BYTES = 8 << 20
DATE_SECONDS = 10.0  # to ask what time it is


class DepotActor:
    """The actor. Every method may be repeated."""

    def __init__(self, run_json: str, folder: str) -> None:
        self._run, self._folder = RunTerms.model_validate_json(run_json), Path(folder)
        self._material: Material | None = None

    def listing(self) -> tuple[str, dict[str, int]]:
        """The folder's name below the cache, and the bytes of each of its files."""
        folder = self._open().folder
        sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
        return str(folder.relative_to(cache_home())), sizes

    def chunk(self, name: str, offset: int) -> bytes:
        """CHUNK_BYTES of one of these files, less at its end."""
        with (self._open().folder / name).open("rb") as file:
            file.seek(offset)
            return file.read(CHUNK_BYTES)

    def now(self) -> float:
        """The driver's time of day: UTC seconds since the epoch."""
        return time.time()

    def keep(self, trial_id: str, files: dict[str, bytes]) -> None:
        """Write a trial's files into the run's folder."""
        folder = self._folder / TRIALS_FOLDER / trial_id
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_whole(folder / name, content)

    def keep_part(self, trial_id: str, name: str, offset: int, content: bytes, is_last: bool) -> None:
        """Write a part of a large file of a trial; with the last one it gets its name."""
        folder = self._folder / TRIALS_FOLDER / trial_id
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f".{name}.part"
        if is_last and not partial.exists() and offset:
            return  # it has its name already
        with partial.open("r+b" if offset else "wb") as file:
            file.seek(offset)
            file.write(content)
        if is_last:
            partial.replace(folder / name)

    def _open(self) -> Material:
        if self._material is None:
            self._material = _find_material(self._run)
        return self._material


class Depot:
    """The depot of a run, from one of its slots."""

    def __init__(self, settings: RunSettings, home: str) -> None:
        """`home` is Ray's id of the driver's node, where the run's folder is."""
        self._settings, self._here = settings, ray.get_runtime_context().get_node_id()
        self.at_home = self._here == home
        self._actor: Any = None if self.at_home else ray.get_actor(_name(settings))
        # now, not later: on a node that is cut off Ray would wait for ever
        (node,) = (node for node in ray.nodes() if node["NodeID"] == self._here)
        self._fit = fitting_slots(settings.experiment, [node_shape(node)], settings.gpu_share)

    def material(self) -> Material:
        """The run's data set, or its script's files, on this node. DataError when they cannot be had, or are others."""
        material = _find_material(self._settings) if self.at_home else self._copy()
        if material.fingerprint != self._settings.dataset_fingerprint:
            raise DataError(
                f"{socket.gethostname()}: data {material.fingerprint[:12]}, the run is on "
                f"{self._settings.dataset_fingerprint[:12]}; prepare the same data on every machine"
            )
        return material

    def _copy(self) -> Material:
        name, sizes = ray.get(self._actor.listing.remote())
        folder = cache_home() / name
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(folder.with_name(f"{folder.name}.lock")):
                return _whole(folder) or self._fetch(folder, sizes)
        except OSError as error:
            raise DataError(
                f"{folder}: cannot be written ({error.strerror or error}); set AUTORESEARCH_HOME to a folder with room"
            ) from None

    def keep(self, trial_id: str, folder: Path) -> None:
        """Send a trial's files to the run's folder; they are there when this returns."""
        large = [path for name in KEPT_MODEL_FILES if (path := folder / name).exists()]
        files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path not in large}
        ray.get(self._actor.keep.remote(trial_id, files))
        for path in large:
            self._send(trial_id, path)

    def _send(self, trial_id: str, path: Path) -> None:
        """A file of any size, in parts that no memory minds."""
        size, offset = path.stat().st_size, 0
        with path.open("rb") as file:
            while content := file.read(CHUNK_BYTES):
                is_last = offset + len(content) == size
                ray.get(self._actor.keep_part.remote(trial_id, path.name, offset, content, is_last))
                offset += len(content)

    def correct_times(self, result: Result) -> Result:
        """A result of just now with its times on the driver's clock, whatever this node's says.

        As it is where the driver's node is out of reach.
        """
        if self.at_home:
            return result
        asked = time.time()
        try:
            theirs = ray.get(self._actor.now.remote(), timeout=DATE_SECONDS)
        except ray.exceptions.RayError:
            return result
        ahead = (asked + time.time()) / 2 - theirs
        return replace(result, started_at=result.started_at - ahead, finished_at=result.finished_at - ahead)

    def memory_mb(self) -> int:
        """Megabytes that a trial may use on this node, when as many run as Ray places here."""
        return memory_for(self._fit)

    def neighbours(self) -> int:
        """How many slots share this one's GPU, or this machine for trials on CPUs, when all are there; itself too."""
        here = min(self._settings.slots, self._fit)
        return min(here, per_gpu(self._settings.gpu_share)) if self._settings.device == "cuda" else here

    def _fetch(self, folder: Path, sizes: dict[str, int]) -> Material:
        partial = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)  # of a copy that was cut off
        partial.mkdir()
        try:
            for name, size in sizes.items():
                with (partial / name).open("wb") as file:
                    for offset in range(0, size, CHUNK_BYTES):
                        file.write(ray.get(self._actor.chunk.remote(name, offset)))
                (partial / name).chmod(0o444)
            _open_material(partial)
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return _open_material(folder, verify=False)


@contextlib.contextmanager
def depot_of(run: RunTerms, folder: Path) -> Iterator[None]:
    """The run's depot works on this node, until the end of `with`."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = ray.remote(DepotActor).options(
        name=_name(run), num_cpus=0, max_restarts=-1, max_task_retries=3, scheduling_strategy=here
    )
    actor = options.remote(RunTerms.model_validate(run.terms()).model_dump_json(), str(folder))
    try:
        yield
    finally:
        ray.kill(actor)


def _name(run: RunTerms) -> str:
    return f"depot-{run.tag}-{run.created_at:.0f}"


def _find_material(run: RunTerms) -> Material:
    """What a run's trials need beside their candidates, on the driver's node."""
    if isinstance(run.experiment, ScriptExperiment):
        known = run.dataset_fingerprint
        return find_snapshot(run.experiment, known) if known else take(run.experiment)
    return prepare(run.experiment)


def _open_material(folder: Path, verify: bool = True) -> Material:
    return open_snapshot(folder, verify) if folder.parent.name == SCRIPTS else open_dataset(folder, verify)


def _whole(folder: Path) -> Material | None:
    try:
        return _open_material(folder) if folder.exists() else None
    except DataError:
        return None
