"""The inside of a dry run: a task whose clock counts optimiser steps, with batches of few rows.

Two steps are the whole budget, so that a schedule is seen at its beginning, in its middle and at its end; the clock
shows the experiment's seconds. Where steps are slow, one is enough; a candidate that steps without an optimiser of
torch's ends by its batches.
"""

import faulthandler
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
import torch._dynamo
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook

from autoresearch_ray.benchmark.trial.task import Batch, Task, TrainingData
from autoresearch_ray.records.trials import CurvePoint

STEPS = 2  # most steps of any optimiser
BATCHES = 16  # most batches where no optimiser steps
SLOW_SECONDS = 3.0  # from then on one step is enough: Muon takes 3 to 6 core seconds for h100.yaml's model
LAST_SECONDS = 25.0  # from then on no step is needed
BATCH_LOGITS = 2**21
LEAST_ROWS = 2
WARMUP_BATCHES = 2
SAY_AT = 0.8  # share of its time; then a process says where it is


class DryTask(Task):
    """A task that ends after two steps, whatever its budget."""

    def __init__(
        self,
        data: TrainingData,
        device: torch.device,
        amp_dtype: torch.dtype | None,
        seed: int,
        budget_seconds: float,
        on_training: Callable[[], None],
        on_progress: Callable[[CurvePoint], None],
    ) -> None:
        super().__init__(data, device, amp_dtype, seed, budget_seconds, on_training, on_progress, now=self._seconds)
        self._optimiser_steps: Counter[int] = Counter()
        self._began_at: float | None = None
        self._warm = 0
        register_optimizer_step_post_hook(self._note_step)

    def warmup_batches(self, batch_size: int) -> Iterator[Batch]:
        """See `Task.warmup_batches`; two at most."""
        for batch in super().warmup_batches(self._few(batch_size)):
            if self._warm >= WARMUP_BATCHES:
                return
            self._warm += 1
            yield batch

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """See `Task.batches`; with few rows, until two steps were made."""
        return super().batches(self._few(batch_size))

    def _few(self, rows: int) -> int:
        return min(rows, max(LEAST_ROWS, BATCH_LOGITS // (self.seq_len * self.vocab_size)))

    def _seconds(self) -> float:
        now = time.monotonic()
        self._began_at = self._began_at or now
        steps, spent = max(self._optimiser_steps.values(), default=0), now - self._began_at
        if (steps and spent > SLOW_SECONDS) or spent > LAST_SECONDS:
            return self.clock.budget_seconds
        return self.clock.budget_seconds * min(1.0, max(steps / STEPS, self.steps / BATCHES))

    def _note_step(self, optimiser: Optimizer, *_: object) -> None:
        self._optimiser_steps[id(optimiser)] += 1


def prepare_dry_run(seconds: float) -> None:
    """Prepare a process of a dry run; the first call in it.

    torch sees no GPU, and what torch.compile returns runs as it is written. If the process still runs after most of
    `seconds`, its output says where.
    """
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    torch._dynamo.config.disable = True
    torch.compile = partial(_skip_compilation, torch.compile)
    faulthandler.dump_traceback_later(SAY_AT * seconds)


def _skip_compilation(compiler: Callable[[Any], Any], model: Any = None, **_: object) -> Any:
    """Replaces torch.compile: a module is wrapped as it would be, a function is returned as it is."""
    if model is None:
        return partial(_skip_compilation, compiler)
    return compiler(model) if isinstance(model, torch.nn.Module) else model
