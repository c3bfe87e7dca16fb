"""The task: clock, batches, warm-up and reports, on a clock that the test moves."""

import math
from itertools import islice

import pytest
import torch

from autoresearch_ray.benchmark.data.dataset import Dataset
from autoresearch_ray.benchmark.trial.task import Clock, Task
from autoresearch_ray.records.trials import CurvePoint

CPU = torch.device("cpu")


class Now:
    """A clock that only moves when told."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def _task(dataset: Dataset, seed: int = 0, budget: float = 100.0, **options: object) -> tuple[Task, Now]:
    now = Now()
    return Task(dataset, CPU, None, seed, budget, now=now, **options), now  # type: ignore[arg-type]  # passed on


def test_a_clock_runs_from_its_start_to_its_budget() -> None:
    now = Now()
    clock = Clock(10.0, now)
    now.seconds += 5
    assert (clock.started, clock.elapsed, clock.progress, clock.seconds_left) == (False, 0.0, 0.0, 10.0)
    clock.start()
    now.seconds += 4
    clock.start()
    assert (clock.started, clock.elapsed, clock.progress, clock.seconds_left) == (True, 4.0, 0.4, 6.0)
    now.seconds += 20
    assert (clock.progress, clock.seconds_left) == (1.0, 0.0)


def test_a_batch_is_tokens_and_the_tokens_after_them(dataset: Dataset) -> None:
    task, _ = _task(dataset)
    x, y = next(iter(task.batches(4)))
    assert x.shape == y.shape == (4, dataset.seq_len)
    assert x.dtype == y.dtype == torch.int64
    assert x.is_contiguous() and y.is_contiguous()
    assert torch.equal(x[:, 1:], y[:, :-1])
    assert (x[:, 0] == dataset.bos).all()


def test_the_same_seed_serves_the_same_batches(dataset: Dataset) -> None:
    def served(seed: int) -> torch.Tensor:
        return torch.cat([x for x, _ in islice(_task(dataset, seed)[0].batches(4), 20)])

    assert torch.equal(served(3), served(3))
    assert not torch.equal(served(3), served(4))


def test_every_epoch_serves_every_row_once_in_a_new_order(dataset: Dataset) -> None:
    task, _ = _task(dataset)
    rows = dataset.train.rows
    served = torch.cat([x for x, _ in islice(task.batches(rows), 2)])
    one, two = served[:rows], served[rows:]
    assert not torch.equal(one, two)
    assert sorted(one.tolist()) == sorted(two.tolist()) == sorted(dataset.rows("train")[:, :-1].tolist())


def test_another_batch_size_goes_on_in_the_same_stream(dataset: Dataset) -> None:
    straight = torch.cat([x for x, _ in islice(_task(dataset)[0].batches(1), 21)])
    task, now = _task(dataset)
    first = task.batches(4)
    parts = [next(first)[0]]
    now.seconds += 7
    second = task.batches(3)
    parts += [next(second)[0], next(first)[0], next(second)[0], next(task.batches(7))[0]]
    assert torch.equal(torch.cat(parts), straight)
    assert task.clock.elapsed == 7
    assert (task.steps, task.tokens) == (5, 21 * dataset.seq_len)


@pytest.mark.parametrize("step", [0.7, 1.0, 7.0])
def test_training_stops_within_half_a_step_of_the_budget(dataset: Dataset, step: float) -> None:
    task, now = _task(dataset, budget=50.0)
    for _ in task.batches(2):
        now.seconds += step
    assert abs(task.training_seconds - 50.0) <= step / 2 + 1e-9
    now.seconds += 100
    assert list(task.batches(2)) == []
    assert task.training_seconds < 60


def test_the_clock_starts_with_the_first_pull(dataset: Dataset) -> None:
    started: list[float] = []
    now = Now()
    task = Task(dataset, CPU, None, 0, 10.0, on_training=lambda: started.append(now()), now=now)
    for _ in task.warmup_batches(2):
        now.seconds += 1
    batches = task.batches(2)
    now.seconds += 1
    assert not task.clock.started
    next(batches)
    now.seconds += 1
    next(batches)
    assert started == [1065.0]
    assert task.clock.elapsed == 1.0


def test_warm_up_batches_are_not_data_and_are_limited(dataset: Dataset) -> None:
    task, _ = _task(dataset)
    batches = list(islice(task.warmup_batches(4), 10)) + list(task.warmup_batches(2))
    assert len(batches) == 64
    tokens = torch.cat([x.reshape(-1) for x, _ in batches])
    assert tokens.min() >= 0 and tokens.max() < dataset.vocab_size
    counts = torch.bincount(tokens, minlength=dataset.vocab_size).float()
    assert counts.max() < 5 * counts.mean()  # uniform, as no text is
    assert not any(torch.equal(x[:, 1:], y[:, :-1]) for x, y in batches)


def test_warm_up_after_the_start_is_refused(dataset: Dataset) -> None:
    task, _ = _task(dataset)
    warmup = task.warmup_batches(2)
    next(warmup)
    next(task.batches(2))
    with pytest.raises(RuntimeError, match="after the clock had started"):
        next(warmup)


def test_progress_is_reported_twenty_times_in_bits_per_byte(dataset: Dataset) -> None:
    points: list[CurvePoint] = []
    task, now = _task(dataset, budget=100.0, on_progress=points.append)
    for _ in task.batches(2):
        now.seconds += 0.5
        task.report(torch.tensor(2.0))
    assert 19 <= len(points) <= 20
    expected = 2.0 / math.log(2) / dataset.train_bytes_per_token
    assert all(point.train_bpb == pytest.approx(expected) for point in points)
    assert [point.seconds for point in points[:3]] == [5.0, 10.0, 15.0]
    assert (points[0].step, points[0].tokens) == (10, 10 * 2 * dataset.seq_len)


def test_progress_is_reported_without_the_candidates_help(dataset: Dataset) -> None:
    points: list[CurvePoint] = []
    task, now = _task(dataset, budget=100.0, on_progress=points.append)
    for _ in task.batches(2):
        now.seconds += 0.5
    assert 19 <= len(points) <= 20
    assert all(math.isnan(point.train_bpb) for point in points)


def test_a_point_is_the_mean_of_the_losses_since_the_last(dataset: Dataset) -> None:
    """Steps of one second, points every five: the first is the mean of five losses, the second that of the next."""
    points: list[CurvePoint] = []
    task, now = _task(dataset, budget=100.0, on_progress=points.append)
    for step, _ in enumerate(task.batches(2), 1):
        now.seconds += 1
        task.report(torch.tensor(float(step), dtype=torch.float16) if step % 2 else float(step))
    nats = [point.train_bpb * math.log(2) * dataset.train_bytes_per_token for point in points]
    assert nats[:3] == pytest.approx([3.0, 8.0, 13.0])


def test_a_loss_on_a_device_is_read_only_when_a_point_is_due(dataset: Dataset) -> None:
    class Loss(torch.Tensor):
        reads = 0

        def __float__(self) -> float:
            Loss.reads += 1
            return 1.0

    task, now = _task(dataset, budget=100.0)
    for _ in task.batches(2):
        now.seconds += 0.1
        task.report(torch.tensor(2.0).as_subclass(Loss))
    assert 19 <= Loss.reads <= 20


def test_a_loss_that_is_not_finite_becomes_nan(dataset: Dataset) -> None:
    points: list[CurvePoint] = []
    task, now = _task(dataset, on_progress=points.append)
    next(task.batches(2))
    now.seconds += 6
    task.report(math.inf)
    now.seconds += 6
    task.report(2.0)
    assert len(points) == 2 and math.isnan(points[0].train_bpb) and math.isfinite(points[1].train_bpb)


def test_an_empty_batch_is_refused(dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="batch_size is 0"):
        next(_task(dataset)[0].batches(0))
