"""Honest candidates on a GPU train in every format, score at full strength, and compile off the clock."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from gpu_candidates import COMPILED, DEVICES, HOG, HONEST

from autoresearch_ray.benchmark.sandbox import root_folder
from autoresearch_ray.benchmark.sandbox.walls import FULL
from autoresearch_ray.benchmark.trial.job import Job
from autoresearch_ray.benchmark.trial.slot import Slot
from autoresearch_ray.records.trials import Result

Trial = Callable[..., tuple[Result, str]]
STARTUP_SECONDS = 120.0


class PatientJob(Job):
    """A trial that may compile in a short budget."""

    @property
    def startup_limit(self) -> float:
        return STARTUP_SECONDS


@pytest.mark.parametrize("amp", ["none", "fp16", "bf16", "auto"])
def test_an_honest_candidate_scores_at_full_strength(trial: Trial, device: str, amp: str) -> None:
    result, output = trial(HONEST, amp=amp, strength="full")
    assert result.status == "ok", (result.error, output[-2000:])
    assert result.steps > 10 and 0.5 < result.val_bpb < 6 and result.peak_memory_mb > 0 and result.device_name
    assert {"second-process", "sampled-logits" if device == "cuda" else "logits"} <= set(result.checks)


def test_compilation_is_not_on_the_clock(slot: Slot, job: Callable[..., Job], tmp_path: Path) -> None:
    plain = job(COMPILED)
    list(slot.run(PatientJob(**{name: getattr(plain, name) for name in Job.__slots__}), tmp_path))
    result, output = slot.result, (tmp_path / "output.log").read_text()
    assert result.status == "ok", (result.error, output[-3000:])
    took = float(output.split("warm-up took")[1].split()[0])
    assert result.startup_seconds > took and result.training_seconds < 1.5 * plain.budget_seconds


def test_the_cap_on_memory_holds_and_a_neighbour_lives_on(device: str, job: Callable[..., Job], tmp_path: Path) -> None:
    jobs = [job(HOG, memory_mb=1500, budget_seconds=4.0), job(HONEST, budget_seconds=4.0)]

    def run(number: int) -> tuple[Result, str]:
        with Slot(1, gpu=device == "cuda") as own:
            for _ in own.run(jobs[number], tmp_path / str(number)):
                pass
            return own.result, (tmp_path / str(number) / "output.log").read_text()

    with ThreadPoolExecutor(2) as pool:
        (greedy, output), (neighbour, words) = pool.map(run, range(2))
    assert greedy.status == "oom", (greedy.error, output[-500:])
    assert neighbour.status == "ok", (neighbour.error, words[-2000:])


def test_every_layer_holds_around_cuda_and_only_its_device_files_are_seen(
    device: str, job: Callable[..., Job], tmp_path: Path
) -> None:
    with Slot(1, isolation="strict", gpu=device == "cuda") as strict:
        list(strict.run(job(DEVICES), tmp_path))
    output = (tmp_path / "output.log").read_text()
    assert strict.result.status == "ok", (strict.result.error, output[-2000:])
    assert strict.result.isolation == "+".join(FULL)
    seen = output.split("devices: ")[1].splitlines()[0].split()
    print("device files seen:", *seen)
    allowed = {path.removeprefix("/dev/") for path in root_folder.devices()} | set(root_folder.LINKS)
    assert set(seen) <= allowed | {"fd", "stdin", "stdout", "stderr"}, seen
