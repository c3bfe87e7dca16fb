"""How much of a score's noise is the seed's, the seed's together with the candidate's, and the machine's own.

Three candidates on three seeds, and the first of each three times more, four side by side on quarters of the GPU. With
y = candidate + seed + (seed x candidate) + machine: the machine's variance is that of equal runs, the sum of the last
two the residual of the two-way table, the seed's what its means have above that (Searle et al., Variance Components).
"""

import itertools
import statistics

import numpy as np

from gpu_parts import trials
from gpu_parts.notes import Bench

SEEDS = (1, 2, 3)
SIDE_BY_SIDE, REPEATS = 4, 3


def measure(bench: Bench) -> None:
    """The runs, and the parts of their variance."""
    t4 = trials.setting(bench, "t4")
    sources = {
        "start": t4.source(),
        "MATRIX_LR 0.03": t4.source(MATRIX_LR=0.03),
        "MLP_RATIO 3": t4.source(MLP_RATIO=3.0),
    }
    runs = [*itertools.product(sources, SEEDS), *[("start", SEEDS[0])] * REPEATS]
    jobs = [t4.job(sources[name], seed, SIDE_BY_SIDE) for name, seed in runs]
    count = 2 if bench.pretend else SIDE_BY_SIDE
    rounds = [jobs[at : at + count] for at in range(0, len(jobs), count)]
    results = [result for row in trials.run_together(rounds) for result, _ in row]
    for (name, seed), result in zip(runs, results, strict=True):
        bench.row("runs", candidate=name, seed=seed, **trials.facts(result))
    with bench.attempt("variance parts"):
        scores = [result.val_bpb for result in results]
        table = np.array(scores[: len(sources) * len(SEEDS)]).reshape(len(sources), len(SEEDS))
        bench.row("noise", **variance_parts(table, [scores[0], *scores[-REPEATS:]]))


def variance_parts(table: np.ndarray, repeats: list[float]) -> dict[str, float]:
    """Standard deviations, bpb: of `table` (candidates, seeds) and of equal runs. A part below 0 is said to be 0."""
    machine = statistics.variance(repeats)
    candidates, seeds = table.shape
    centred = table - table.mean(1, keepdims=True)
    residual = ((centred - centred.mean(0)) ** 2).sum() / ((candidates - 1) * (seeds - 1))
    seed = max(0.0, centred.mean(0).var(ddof=1) - residual / candidates)
    together = max(0.0, residual - machine)
    return {
        "machine sd": machine**0.5,
        "seed x candidate sd": together**0.5,
        "seed sd": seed**0.5,
        "seed's share": seed / (seed + together + machine),
        "sd of a paired difference": (2 * residual) ** 0.5,
        "sd of an unpaired difference": (2 * (seed + residual)) ** 0.5,
    }
