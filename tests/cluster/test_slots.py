"""How many trials a cluster runs at once: shares of a GPU pack on one GPU, and what they leave unused is said."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
from small_run import write_experiment

from autoresearch_ray.cluster.capacity import NodeShape, fitting_slots, packing, per_gpu, uneven
from autoresearch_ray.cluster.gpu_sharing import most_tenants
from autoresearch_ray.cluster.session import Cluster, bundle
from autoresearch_ray.cluster.settle import settle
from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.driver.resolve import resolve
from autoresearch_ray.records.trials import CoRun
from autoresearch_ray.settings.experiment import Experiment
from autoresearch_ray.settings.experiment_file import load_experiment
from autoresearch_ray.settings.request import Request
from autoresearch_ray.settings.run_settings import RequestedRun
from autoresearch_ray.store.sqlite.store import SqliteStore

pytestmark = pytest.mark.alone


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    """The small one."""
    return load_experiment(write_experiment(tmp_path))


@pytest.mark.parametrize(
    ("share", "trials"), [(1.0, 1), (0.5, 2), (1 / 3, 3), (0.25, 4), (0.3, 3), (0.4, 2), (0.1, 10)]
)
def test_a_gpu_holds_as_many_as_fit_and_never_one_more(share: float, trials: int) -> None:
    assert per_gpu(share) == trials


def test_slots_are_counted_gpu_by_gpu_and_by_cpus(experiment: Experiment) -> None:
    t4, t4x4 = NodeShape(4, 1), NodeShape(48, 4)
    assert fitting_slots(experiment, [t4, t4, t4x4], 0.25) == 4 + 4 + 16
    assert fitting_slots(experiment, [t4, t4, t4x4], 0.4) == 2 + 2 + 8, "0.4 of each GPU is one trial's, not 0.8 of one"
    assert fitting_slots(experiment, [t4], 0.1) == 4, "its CPUs hold no more"
    assert fitting_slots(experiment, [NodeShape(2, 0), t4], 0.0) == 6
    assert fitting_slots(experiment, [NodeShape(64, 0)], 0.5) == 0


def test_a_share_that_does_not_pack_is_explained() -> None:
    assert packing(0.25) == packing(1 / 3) == packing(1.0) == packing(0.0) == ""
    assert packing(0.4) == "0.4 GPU a trial: 2 fit on one, and 20% of it stays unused; 0.5 would use it all"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RequestedRun:
    """A run that joins a cluster with T4s, made on a machine without a GPU."""
    monkeypatch.setenv("AUTORESEARCH_HOME", str(tmp_path / "home"))
    path = write_experiment(tmp_path)
    path.write_text(path.read_text().replace("device: cpu", "device: cuda\ngpus_per_trial: 0.25"))
    request = Request(
        experiment=path, tag="x", runs_dir=tmp_path / "runs", address="10.0.0.1:6379", program=tmp_path / "program.md"
    )
    return resolve(request, print)[0]


def test_the_device_is_the_clusters_not_the_heads(run: RequestedRun) -> None:
    assert run.device == "cuda" and run.slots is None


def test_a_run_is_pinned_to_the_kind_that_most_gpus_are_of(run: RequestedRun) -> None:
    said: list[str] = []
    nodes = (NodeShape(2, 0), NodeShape(4, 1, "T4"), NodeShape(48, 4, "T4"), NodeShape(8, 1, "L4"))
    settings = settle(run, "data", Cluster(True, nodes), said.append)
    assert settings.slots == 20 and bundle(settings) == {"CPU": 1.0, "GPU": 0.25, "accelerator_type:T4": 0.001}
    assert "uses T4 alone" in said[0]


def resumed(run: RequestedRun, folder: Path, **request: Any) -> RequestedRun:
    """This run, when it is resumed."""
    (folder / "runs" / "x").mkdir(parents=True, exist_ok=True)
    with contextlib.closing(SqliteStore(folder / "runs" / "x" / "state.db")) as store:
        store.put("settings", run.settle(4).model_dump_json().encode())
    asked = dict[str, Any](tag="x", runs_dir=folder / "runs", resume=True, address="10.0.0.1:6379") | request
    return resolve(Request(**asked), print)[0]


def test_a_measured_share_is_kept_by_a_resumed_run(run: RequestedRun, tmp_path: Path) -> None:
    measured = run.replace(sharing=(CoRun(4, (10.0,) * 4), CoRun(6, failure="oom: no memory")))
    for request in ({}, {"gpus_per_trial": "auto"}, {"gpus_per_trial": "auto", "experiment": tmp_path / "e.yaml"}):
        again = resumed(measured, tmp_path, **request)
        assert again.sharing == measured.sharing and again.gpu_share == 0.25
    with pytest.raises(SettingsError, match="on another budget or share"):
        resumed(measured, tmp_path, gpus_per_trial=0.5)


def test_a_share_that_was_said_is_not_measured_later(run: RequestedRun, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"was started with 0\.25 GPU a trial"):
        resumed(run, tmp_path, gpus_per_trial="auto")


def test_a_run_goes_on_with_its_own_kind_of_gpu(run: RequestedRun, tmp_path: Path) -> None:
    on_t4 = run.replace(hardware=run.hardware | {"device": "Tesla T4"})
    with pytest.raises(SettingsError, match="is on Tesla T4, here is no GPU; scores of two kinds"):
        resumed(on_t4, tmp_path, address=None)


def test_fewer_slots_than_gpus_hold_are_explained() -> None:
    nodes = [NodeShape(4, 1, "T4"), NodeShape(4, 1, "T4")]
    assert uneven(0.25, 8, nodes) == uneven(0.25, 4, nodes) == uneven(0.25, 3, nodes[:1]) == uneven(0.0, 3, nodes) == ""
    assert uneven(0.25, 6, nodes).endswith("4 or 8 slots keep all GPUs equally occupied")
    assert uneven(0.25, 3, nodes).endswith("; 4 slots keep all GPUs equally occupied")


def test_every_gpu_can_have_as_many_tenants_as_the_one_with_the_fewest_cpus(run: RequestedRun) -> None:
    nodes = (NodeShape(2, 0), NodeShape(4, 1, "T4"), NodeShape(48, 4, "T4"), NodeShape(2, 1, "L4"))
    assert most_tenants(run.replace(accelerator="T4"), Cluster(True, nodes)) == 4
    assert most_tenants(run, Cluster(True, nodes[:1])) == 0


def test_a_cluster_without_room_asks_for_slots(run: RequestedRun) -> None:
    with pytest.raises(SettingsError, match="say --slots N"):
        settle(run, "data", Cluster(True, (NodeShape(2, 0),)), print)
