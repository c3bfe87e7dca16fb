"""A GPU for these tests, or the one reason why they are skipped; with AUTORESEARCH_PRETEND_GPU the CPU stands in."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from small_run import write_experiment

from autoresearch_ray.benchmark.data.dataset import Dataset, prepare
from autoresearch_ray.benchmark.trial.job import Job
from autoresearch_ray.benchmark.trial.slot import Slot
from autoresearch_ray.records.trials import Result
from autoresearch_ray.settings.experiment_file import load_experiment

PRETEND = bool(os.environ.get("AUTORESEARCH_PRETEND_GPU"))
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == HERE:
            item.add_marker("gpu")
            if not (torch.cuda.is_available() or PRETEND):
                item.add_marker(pytest.mark.skip(reason="no CUDA device here"))


@pytest.fixture(scope="session")
def device() -> str:
    return "cpu" if PRETEND else "cuda"


@pytest.fixture(scope="package")
def dataset() -> Iterator[Dataset]:
    """Random words; 32 tokens a row."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setenv("AUTORESEARCH_HOME", str(Path(folder, "home")))
        yield prepare(load_experiment(write_experiment(Path(folder))))


@pytest.fixture(scope="package")
def job(dataset: Dataset, device: str) -> Callable[..., Job]:
    """A trial of a text on a quarter of the GPU."""

    def make(source: str, **changes: object) -> Job:
        values = {"seed": 1, "budget_seconds": 1.0, "device": device, "amp": "auto", "threads": 1, "memory_mb": 4000}
        values |= {"dataset_folder": str(dataset.folder), "gpu_fraction": 0.25}
        return Job(source, **(values | changes))  # type: ignore[arg-type]  # named settings

    return make


@pytest.fixture(scope="package")
def slot(device: str) -> Iterator[Slot]:
    """One warm slot for all."""
    with Slot(1, gpu=device == "cuda") as warm:
        yield warm


@pytest.fixture
def trial(slot: Slot, job: Callable[..., Job], tmp_path: Path) -> Callable[..., tuple[Result, str]]:
    """Run a text; its result and what it printed."""

    def run(source: str, **changes: object) -> tuple[Result, str]:
        for _ in slot.run(job(source, **changes), tmp_path):
            pass
        return slot.result, (tmp_path / "output.log").read_text(errors="replace")

    return run
