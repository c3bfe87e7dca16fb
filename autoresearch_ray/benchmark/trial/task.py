"""What a candidate gets: sizes, device, data and clock, and a way to say how training goes.

`train(task)` may warm up on dummy tokens for compilation and autotuning. The clock starts at its first pull from
`batches`, which stops when the budget is used up. There are no validation tokens here. Scoring is `score/metric.py`;
deadlines are enforced from outside.
"""

import math
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Literal, Protocol

import numpy as np
import torch

from autoresearch_ray.records.trials import CurvePoint

WARMUP_BATCHES = 64  # at most, over all calls
REPORTS = 20  # progress reports a budget
RECENT_STEPS = 15  # their median is a typical step
STEPS_AHEAD = 2  # steps that may be queued on CUDA before the next batch is given out

Batch = tuple[torch.Tensor, torch.Tensor]


class TrainingData(Protocol):
    """The source of the rows: an opened `Dataset`, or what the process server hands out."""

    @property
    def vocab_size(self) -> int: ...
    @property
    def seq_len(self) -> int: ...
    @property
    def train_bytes_per_token(self) -> float: ...
    def rows(self, split: Literal["train"]) -> np.ndarray: ...


class Clock:
    """How much of a trial's budget is used up. The harness owns it; a candidate may only read it.

    It runs from the first training batch on. One thread; `now` is kept from construction, so no later patch counts.
    """

    def __init__(self, budget_seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        assert budget_seconds > 0, budget_seconds
        self.budget_seconds = budget_seconds
        self._now = now
        self._started_at: float | None = None

    def start(self) -> None:
        """Starts the clock; a second call changes nothing."""
        if self._started_at is None:
            self._started_at = self._now()

    def __reduce__(self) -> tuple[object, ...]:
        """A pickled clock stands still."""
        return _make_stopped_clock, (self.budget_seconds, self.elapsed)

    @property
    def started(self) -> bool:
        return self._started_at is not None

    @property
    def elapsed(self) -> float:
        """Seconds since the start; 0 before it."""
        return 0.0 if self._started_at is None else self._now() - self._started_at

    @property
    def seconds_left(self) -> float:
        """Seconds of budget that are left, from `budget_seconds` down to 0."""
        return max(0.0, self.budget_seconds - self.elapsed)

    @property
    def progress(self) -> float:
        """Share of the budget that is used up, in [0, 1]: what a learning-rate schedule is a function of."""
        return min(1.0, self.elapsed / self.budget_seconds)


class RowStream:
    """The endless stream of rows of one seed: a permutation, epoch after epoch, whatever the batch size.

    A batch is the rows `start` to `start + count` of it. One of 8 rows of 128 tokens takes 9 µs to make, one of 128
    rows 27 µs, on one CPU thread: next to steps of 20 ms and more not worth a thread. On the CPU it is made when it is
    asked for; for CUDA it is copied from pinned memory while the step before it runs.
    """

    def __init__(self, rows: np.ndarray, seed: int, device: torch.device) -> None:
        """`rows` (N, T + 1) of token ids, perhaps memory-mapped."""
        self._rows, self._device = rows, device
        self._permutation = lru_cache(maxsize=2)(
            lambda epoch: np.random.default_rng([seed, epoch]).permutation(len(rows))
        )

    def batch(self, start: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """x and y, (count, T) int64 on the device, y the token after x. On CUDA the copy may still be on its way."""
        rows = self._rows[self._numbers(start, count)]
        both = torch.empty((2, count, rows.shape[1] - 1), dtype=torch.int64, pin_memory=self._device.type == "cuda")
        target = both.numpy()
        target[0], target[1] = rows[:, :-1], rows[:, 1:]
        both = both.to(self._device, non_blocking=True)
        return both[0], both[1]

    def _numbers(self, start: int, count: int) -> np.ndarray:
        epoch, at = divmod(start, len(self._rows))
        if at + count <= len(self._rows):
            return self._permutation(epoch)[at : at + count]
        first = self._permutation(epoch)[at:]
        return np.concatenate([first, self._numbers(start + len(first), count - len(first))])


class Task:
    """One trial as its candidate sees it. One thread."""

    def __init__(
        self,
        data: TrainingData,
        device: torch.device,
        amp_dtype: torch.dtype | None,
        seed: int,
        budget_seconds: float,
        on_training: Callable[[], None] | None = None,
        on_progress: Callable[[CurvePoint], None] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_training` is called when the clock starts, `on_progress` about twenty times while it runs.

        The rows are asked for with the first batch, not before.
        """
        self.vocab_size = data.vocab_size
        self.seq_len = data.seq_len
        self.device = device
        self.amp_dtype = amp_dtype
        self.seed = seed
        self.clock = Clock(budget_seconds, now)
        self._data: TrainingData | None = data
        self._stream: RowStream | None = None
        self._bits_per_nat = 1 / math.log(2) / data.train_bytes_per_token
        self._on_training, self._on_progress = on_training, on_progress
        self._warmups = self._steps = self._rows_served = 0
        self._reports_due, self._reporting = 1, False
        self._losses: float | torch.Tensor = 0.0  # the sum of those reported since the last point, nats per token
        self._reported = 0
        self._step_seconds: deque[float] = deque(maxlen=RECENT_STEPS)
        self._queued: deque[torch.cuda.Event] = deque()
        self._yielded_at: float | None = None
        self._stopped_at: float | None = None

    def __reduce__(self) -> tuple[object, ...]:
        """A pickled task, kept by a model, has its sizes and no data."""
        return _make_ended_task, (self.vocab_size, self.seq_len, self.device, self.amp_dtype, self.seed, self.clock)

    @property
    def steps(self) -> int:
        """Training batches given out so far."""
        return self._steps

    @property
    def tokens(self) -> int:
        """Training tokens given out so far."""
        return self._rows_served * self.seq_len

    @property
    def training_seconds(self) -> float:
        """Seconds on the clock when `batches` stopped; until then, seconds so far."""
        return self.clock.elapsed if self._stopped_at is None else self._stopped_at

    @property
    def slowest_step(self) -> float:
        """Seconds of the slowest of the recent steps; 0 before the second batch."""
        return max(self._step_seconds, default=0.0)

    def warmup_batches(self, batch_size: int) -> Iterator[Batch]:
        """At most 64 pairs of random tokens (batch_size, T) int64, x and y independent; before the clock starts."""
        generator = torch.Generator().manual_seed(self.seed)
        while self._warmups < WARMUP_BATCHES:
            if self.clock.started:
                raise RuntimeError("warmup_batches was pulled after the clock had started; warm up before `batches`")
            self._warmups += 1
            both = torch.randint(self.vocab_size, (2, batch_size, self.seq_len), generator=generator).to(self.device)
            yield both[0], both[1]

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """Training pairs x, y (batch_size, T) int64 on the device, y the token after x, until the budget is used up.

        Asked again, with the same or another batch size, the same stream and the same clock go on.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; expected at least 1")
        start = self._rows_served
        ahead: Batch | None = None
        while self._goes_on():
            stream = self._begin()
            if ahead is None or start != self._rows_served:  # another call may have served rows since
                start, ahead = self._rows_served, stream.batch(self._rows_served, batch_size)
            batch, ahead = ahead, None
            start = self._rows_served = start + batch_size
            if self.device.type == "cuda":
                ahead = stream.batch(start, batch_size)  # its copy runs ahead of the step
            self._steps += 1
            self._yielded_at = self.clock.elapsed
            yield batch

    def report(self, loss: float | torch.Tensor) -> None:
        """Optional: the mean training loss of a step, in nats per token.

        A point of the curve is the mean of all that was reported since the last one. A tensor is added up on its
        device and read twenty times a budget.
        """
        self._reporting = True
        self._losses = self._losses + (loss.detach().float() if isinstance(loss, torch.Tensor) else float(loss))
        self._reported += 1
        if self.clock.elapsed >= self._due_at(self._reports_due):
            self._emit()

    def _begin(self) -> RowStream:
        """The stream; the first call starts the clock."""
        if self._stream is None:
            assert self._data is not None
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)  # warm-up's kernels are not training
            if self._on_training:
                self._on_training()
            self._stream = RowStream(self._data.rows("train"), self.seed, self.device)
            self.clock.start()
        return self._stream

    def _goes_on(self) -> bool:
        if self._stopped_at is not None:
            return False
        self._limit_queue()
        elapsed = self.clock.elapsed
        if self._yielded_at is not None:
            self._step_seconds.append(elapsed - self._yielded_at)
        if elapsed >= self._due_at(self._reports_due + self._reporting):  # it reports late, or not at all
            self._emit()
        typical = statistics.median(self._step_seconds) if self._step_seconds else 0.0
        if elapsed + typical / 2 < self.clock.budget_seconds:
            return True
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self._stopped_at = self.clock.elapsed
        return False

    def _limit_queue(self) -> None:
        """Without it, a candidate that never reads its loss would queue steps on the GPU past the end of the budget."""
        if self.device.type != "cuda" or self._yielded_at is None:
            return
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        event.record(torch.cuda.current_stream(self.device))
        self._queued.append(event)
        if len(self._queued) > STEPS_AHEAD:
            self._queued.popleft().synchronize()

    def _due_at(self, report: int) -> float:
        return self.clock.budget_seconds * report / REPORTS

    def _emit(self) -> None:
        """A point of the curve: the mean of the losses since the last one, NaN without any."""
        bpb = float(self._losses) / self._reported * self._bits_per_nat if self._reported else math.nan
        self._losses, self._reported = 0.0, 0
        self._reports_due = int(self.clock.progress * REPORTS) + 1
        if self._on_progress:
            point = CurvePoint(self.clock.elapsed, self._steps, self.tokens, bpb if math.isfinite(bpb) else math.nan)
            self._on_progress(point)


def _make_ended_task(*values: Any) -> Task:
    task = Task.__new__(Task)
    task.vocab_size, task.seq_len, task.device, task.amp_dtype, task.seed, task.clock = values
    task._data = task._stream = task._on_training = task._on_progress = None
    task._bits_per_nat, task._reports_due, task._reporting = math.nan, REPORTS + 1, False
    task._warmups, task._steps, task._rows_served = WARMUP_BATCHES, 0, 0
    task._losses, task._reported = 0.0, 0
    task._step_seconds, task._queued = deque(maxlen=RECENT_STEPS), deque()
    task._yielded_at, task._stopped_at = None, task.clock.elapsed
    return task


def _make_stopped_clock(budget_seconds: float, elapsed: float) -> Clock:
    clock = Clock(budget_seconds, lambda: elapsed)
    clock._started_at = 0.0
    return clock
