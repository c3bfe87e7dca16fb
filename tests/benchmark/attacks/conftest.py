"""One world, one warm slot for each set of layers, and a way to run a candidate there."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from world import FULL, Attack, World

from autoresearch_ray.benchmark.sandbox import walls
from autoresearch_ray.benchmark.trial.job import Job
from autoresearch_ray.benchmark.trial.slot import Slot
from autoresearch_ray.records.trials import Result


@pytest.fixture(scope="package")
def world() -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTORESEARCH_HOME", "")  # restored after the world has set it
        world = World()
        yield world
        world.close()


@pytest.fixture(scope="package")
def slot_behind() -> Iterator[Callable[[str], Slot]]:
    """The slot with exactly these layers; the test is skipped where the machine does not give them."""
    slots: dict[str, Slot] = {}

    def behind(layers: str) -> Slot:
        if not set(layers.split("+")) <= set(walls.try_walls(layers).layers):
            pytest.skip(f"this machine does not give {layers}")
        if layers not in slots:
            slots[layers] = Slot(threads=1, isolation=layers)
            slots[layers].start()
        return slots[layers]

    yield behind
    for slot in slots.values():
        slot.__exit__(None, None, None)


@pytest.fixture
def attack(world: World, slot_behind: Callable[[str], Slot], tmp_path: Path) -> Attack:
    """Run a candidate behind these layers; its result and its output."""

    def run(source: str, layers: str = FULL, **more: object) -> tuple[Result, str]:
        settings = {"seed": 1, "budget_seconds": 0.3, "device": "cpu", "amp": "none", "threads": 1, "memory_mb": 1500}
        slot = slot_behind(layers)
        job = Job(source=source, dataset_folder=str(world.dataset.folder), gpu_fraction=0.0, **(settings | more))  # type: ignore[arg-type]  # named settings
        list(slot.run(job, tmp_path))
        return slot.result, (tmp_path / "output.log").read_text(errors="replace")

    return run
