"""A cluster whose first GPU comes late, and `--gpus-per-trial auto` for real: side by side on a logical GPU."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster
from small_run import start_launch, write_experiment

import autoresearch_ray

pytestmark = [pytest.mark.alone, pytest.mark.timeout(600), pytest.mark.xdist_group("ray")]
T4_NODE = {"num_cpus": 2, "num_gpus": 1, "resources": {"accelerator_type:T4": 1}}


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A Ray of this test alone, without a GPU."""
    own = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        yield own
    finally:
        own.shutdown()


def test_the_first_gpu_is_waited_for_and_shared_as_it_was_measured(cluster: Cluster, tmp_path: Path) -> None:
    path = write_experiment(tmp_path)
    lines = path.read_text()
    path.write_text(lines.replace("device: cpu", "device: cuda\ngpus_per_trial: 1"))
    on = ["--tag", "late", "--address", cluster.address]
    late = start_launch(tmp_path, "e.yaml", *on, "--slots", "1", "--trials", "4")
    assert late.stdout is not None
    assert any("the cluster has no GPU yet" in line for line in late.stdout)
    cluster.add_node(**T4_NODE)
    output = late.communicate(timeout=300)[0]
    assert late.returncode == 2 and "torch sees no CUDA device" in output, output  # the GPU is a logical one
    settings = json.loads((tmp_path / "runs" / "late" / "settings.json").read_text())
    assert settings["accelerator"] == "T4"

    path.write_text(lines)
    asked = ["--tag", "x", "--address", cluster.address, "--gpus-per-trial", "auto"]
    launch = start_launch(tmp_path, "e.yaml", *asked, "--trials", "4", "--budget-seconds", "2")
    output = launch.communicate(timeout=300)[0]
    assert launch.returncode == 0, output
    run = tmp_path / "runs" / "x"
    settings = json.loads((run / "settings.json").read_text())
    table, share = settings["sharing"], settings["experiment"]["gpus_per_trial"]
    assert [row["tenants"] for row in table] == [1, 2], "the CPUs are for two"
    assert all(not row["failure"] and min(row["steps_per_second"]) > 0 for row in table), table
    assert len(table[1]["steps_per_second"]) == 2
    alone, both = (sum(row["steps_per_second"]) for row in table)
    assert share == (0.5 if 0.97 * max(alone, both) > alone else 1.0)
    assert f"2 at once, {both / 2:.4g} steps/s each, {both:.4g} steps per GPU-second" in output
    assert settings["slots"] == round(1 / share)

    resumed = start_launch(tmp_path, "--resume", *asked, "--trials", "6")
    output = resumed.communicate(timeout=300)[0]
    assert resumed.returncode == 0 and "measuring" not in output, output
    rows = autoresearch_ray.load_trials(run)
    assert len(rows) == 6 and set(rows.gpus) == {share}
