"""What a run's best is made of: every change that led to it is taken out alone, and measured beside the whole.

What a part is, and how it is taken out, is in `search/parts.py`.
"""

import asyncio
import time
from collections.abc import Callable, Iterator

from autoresearch_ray.benchmark.data.dataset import prepare
from autoresearch_ray.benchmark.trial.dryrun import DryRunner
from autoresearch_ray.candidate.rules import check_for
from autoresearch_ray.driver.side_by_side import run_side_by_side
from autoresearch_ray.driver.transfers import FIRST_SEED, Proven
from autoresearch_ray.observe.ablations import AblatedPart, Ablation
from autoresearch_ray.observe.pairs import Pair
from autoresearch_ray.records.trials import Isolation
from autoresearch_ray.search.parts import Part, parts_of
from autoresearch_ray.settings.experiment import Experiment

LOST = "cannot go alone: the best fails without it"


def find_parts(proven: Proven) -> list[Part]:
    """The parts of the best, as `parts_of`."""
    check = check_for(proven.settings)
    return parts_of(proven.history.steps, proven.start_sha, proven.best_sha, proven.text, check)


def check_parts(
    parts: list[Part], experiment: Experiment, isolation: Isolation, say: Callable[[str], None]
) -> list[Part]:
    """The parts after a dry run; one that fails it cannot go alone."""
    prepare(experiment, say)
    runner = DryRunner(experiment, isolation)
    try:
        return [
            Part(part.what, None, part.code_lines, LOST)
            if part.without is not None and asyncio.run(runner.run(part.without)) is not None
            else part
            for part in parts
        ]
    finally:
        runner.close()


def measure_ablation(
    proven: Proven, parts: list[Part], isolation: Isolation, pairs: int, say: Callable[[str], None]
) -> Iterator[Ablation]:
    """Yields what is known after every seed. Errors as of `run_side_by_side`."""
    texts = [proven.text(proven.best_sha), *(part.without for part in parts if part.without is not None)]
    seeds = range(FIRST_SEED, FIRST_SEED + pairs)
    found: dict[str, list[Pair]] = {text: [] for text in texts[1:]}
    for seed, (whole, *others) in run_side_by_side(proven.settings.train_experiment, isolation, texts, seeds, say):
        for text, other in zip(texts[1:], others, strict=True):
            found[text].append(Pair(seed, other.val_bpb, whole.val_bpb))
        told = tuple(AblatedPart(p.what, p.code_lines, tuple(found.get(p.without or "", ())), p.fault) for p in parts)
        yield Ablation(proven.best_sha, proven.settings.rules.complexity_price, told, time.time())
