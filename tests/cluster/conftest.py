"""A cluster for the tests of a module: three hosts with Ray on them, and a small experiment in the head's home."""

from collections.abc import Iterator

import pytest
from hosts import hosts
from ray_cluster import FILES, SHARES, RayCluster, ray_up
from small_run import write_experiment


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    """Each host has one logical CPU and one logical GPU; a trial trains on the CPU and takes half of a GPU."""
    folder = tmp_path_factory.mktemp("cluster")
    with hosts(folder, 3) as machines, ray_up(folder, machines) as cluster:
        cluster.await_nodes(3)
        machines[0].run("mkdir ~/e")
        experiment = write_experiment(folder)
        experiment.write_text(experiment.read_text() + SHARES)
        for name in FILES:
            cluster.ray("rsync-up", str(cluster.file), str(folder / name), f"~/e/{name}")
        yield cluster
