"""A run from a thread of a process that is on a Ray already: it joins that one, and leaves it running."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_run import write_experiment

import autoresearch_ray
from autoresearch_ray.cluster.session import join_here, ray_for
from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.driver.new_run import new_run
from autoresearch_ray.driver.run import RunOutcome
from autoresearch_ray.settings.request import Request

pytestmark = pytest.mark.alone  # a whole run


@pytest.fixture
def request_here(tmp_path: Path, ray_session: str) -> Iterator[Request]:
    yield Request(
        experiment=write_experiment(tmp_path),
        program=tmp_path / "program.md",
        runs_dir=tmp_path / "runs",
        tag="x",
        trials=4,
        plain=True,
    )


def test_a_run_joins_the_ray_that_its_caller_is_on_also_from_a_thread(request_here: Request) -> None:
    import ray

    outcomes: list[RunOutcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(autoresearch_ray.run(request_here)))
    thread.start()
    thread.join(timeout=240)
    (outcome,) = outcomes
    assert not outcome.failure and any("4 ok" in line for line in outcome.summary)
    assert ray.is_initialized() and ray.get(ray.remote(lambda: 1).remote()) == 1, "the caller's Ray goes on"


def test_another_ray_than_the_caller_s_is_refused(request_here: Request) -> None:
    import ray

    here = ray.get_runtime_context().gcs_address
    assert join_here(request_here).address == join_here(request_here.replace(address="auto")).address == here
    with socket.create_server(("127.0.0.1", 0)) as other:
        for address in (None, f"127.0.0.1:{other.getsockname()[1]}"):
            run = new_run(request_here, "x", address=address)
            with pytest.raises(SettingsError, match=f"this process is on the Ray at {here} already; leave --address"):
                ray_for(run).__enter__()
