"""The shipped candidate: it learns in every number format, holds at the ends of its knobs, and stays short."""

import random
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_run import write_experiment

from autoresearch_ray.benchmark.data.dataset import Dataset, prepare
from autoresearch_ray.benchmark.score import metric, probes
from autoresearch_ray.benchmark.trial.task import Task
from autoresearch_ray.candidate.knobs import Knob, constants, read_knobs, set_constants
from autoresearch_ray.candidate.ranges import Choice
from autoresearch_ray.candidate.rules import check_candidate
from autoresearch_ray.settings.experiment_file import load_experiment

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
SOURCE = (EXPERIMENTS / "train.py").read_text()
PROGRAM = (EXPERIMENTS.parent / "program.md").read_text()
KNOBS = read_knobs(SOURCE)
CPU = torch.device("cpu")
TINY = {"DEPTH": 2, "WIDTH": 32, "HEADS": 2, "BATCH_ROWS": 4, "MICRO_ROWS": 2}  # two micro-batches a step


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("candidate")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTORESEARCH_HOME", str(folder / "home"))
        return prepare(load_experiment(write_experiment(folder)))


@pytest.fixture(autouse=True)
def matmul_precision() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)  # the candidate sets it for its process


def trained(dataset: Dataset, values: Mapping[str, Any], amp: torch.dtype | None = None, batches: int = 2) -> Any:
    """The model after so many batches, on a clock that counts batches."""
    module = types.ModuleType("candidate")
    exec(compile(set_constants(SOURCE, values), "train.py", "exec"), module.__dict__)
    task = Task(dataset, CPU, amp, 0, batches, now=lambda: float(task.steps))
    model = module.train(task)
    assert task.steps == batches
    return model


def bpb(dataset: Dataset, model: torch.nn.Module, amp: torch.dtype | None = None) -> float:
    predict = metric.predictor(model, dataset.vocab_size, CPU, amp)
    splits, rng = {"val": dataset.rows("val")}, np.random.default_rng(0)
    return probes.measure(predict, None, splits, dataset.token_bytes, 8, amp, "normal", rng)["val"].bpb


def ends(knob: Knob) -> list[Any]:
    """Every option of a choice, else both ends."""
    return list(
        knob.range.options if isinstance(knob.range, Choice) else (knob.range.from_unit(0), knob.range.from_unit(1))
    )


@pytest.mark.parametrize("amp", [None, torch.float16, torch.bfloat16], ids=["fp32", "fp16", "bf16"])
def test_it_learns_in_every_number_format(dataset: Dataset, amp: torch.dtype | None) -> None:
    start = bpb(dataset, trained(dataset, TINY, amp), amp)
    assert bpb(dataset, trained(dataset, TINY, amp, batches=60), amp) < start - 0.5


@pytest.mark.parametrize(
    ("knob", "value"), [(k, v) for k in KNOBS for v in ends(k)], ids=lambda x: getattr(x, "name", x)
)
def test_every_knob_holds_at_the_ends_of_its_range(dataset: Dataset, knob: Knob, value: Any) -> None:
    sizes = load_experiment(EXPERIMENTS / "cpu.yaml").constants | {knob.name: value}
    micro_batches = -(-int(sizes["BATCH_ROWS"]) // int(sizes["MICRO_ROWS"]))
    assert bpb(dataset, trained(dataset, sizes, batches=2 * micro_batches)) > 0


@pytest.mark.parametrize("seed", range(8))
def test_knobs_hold_in_any_combination(dataset: Dataset, seed: int) -> None:
    rng = random.Random(seed)
    values = {knob.name: knob.range.from_unit(rng.random()) for knob in KNOBS}
    small = {
        "DEPTH": rng.randint(1, 3),
        "WIDTH": rng.randint(64, 140),
        "BATCH_ROWS": rng.randint(4, 9),
        "MICRO_ROWS": 3,
    }
    assert bpb(dataset, trained(dataset, values | small, batches=6)) > 0


@pytest.mark.parametrize("name", ["cpu", "t4", "h100"])
def test_experiments_set_constants_of_the_candidate_within_their_ranges(name: str) -> None:
    values = load_experiment(EXPERIMENTS / f"{name}.yaml").constants
    assert set(values) <= set(constants(SOURCE))
    read_knobs(set_constants(SOURCE, values))  # refuses a value outside its range


def test_the_candidate_keeps_the_rules_and_leaves_room_to_grow() -> None:
    check_candidate(SOURCE, len(PROGRAM.splitlines()))
    assert len(SOURCE.splitlines()) < 320
    assert len(PROGRAM.splitlines()) < 120
    assert 12 <= len(KNOBS) <= 24
