"""The parts of a score's noise on the CPU experiment: the seed's, a change's own on a seed, and the machine's.

    python experiments/benchmarks/noise.py [--slots 2] [--budget-seconds 20] [--seeds 4] [--repeats 2]

Runs the starting candidate and four changes of it on the same seeds, each several times, on slots that are bound to a
core each. Prints every run, then the variance parts by analysis of variance of a balanced two-way layout with repeats
(Searle, Casella and McCulloch, Variance Components, 1992, section 4.3): seed, seed x candidate, and what repeats of one
candidate on one seed differ by. How far the latter goes with the steps that a run made tells how much of it is the
machine's speed. Below: what each change is worth, by pairs on equal seeds.
"""

import argparse
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from remeasure import measured

from autoresearch_ray.benchmark.data.dataset import prepare
from autoresearch_ray.benchmark.trial.slot import Slot
from autoresearch_ray.candidate.knobs import set_constants
from autoresearch_ray.settings.experiment import Experiment
from autoresearch_ray.settings.experiment_file import load_experiment

CHANGES: dict[str, dict[str, int | float | str]] = {
    "start": {},
    "width": {"WIDTH": 80},
    "mlp": {"MLP_RATIO": 2.07},
    "rates": {"MATRIX_LR": 0.06, "EMBED_LR": 2.2},
    "batch": {"BATCH_ROWS": 6},
}


def core_scores(
    core: int, slots: int, experiment: Experiment, texts: Sequence[str], plan: NDArray[np.int64]
) -> list[tuple[float, int]]:
    """val_bpb and steps of one core's share of the plan's rows (candidate, seed, repeat), in order."""
    folder = str(prepare(experiment).folder)
    found = []
    with Slot(1, (core,)) as slot:
        for candidate, seed, _ in plan[core::slots]:
            result = measured(slot, experiment, folder, texts[candidate], int(seed), slots)
            found.append((result.val_bpb, result.steps))
            name = list(CHANGES)[candidate]
            print(f"core {core}  seed {seed}  {name:6} {result.val_bpb:.4f}  {result.steps} steps", flush=True)
    return found


def variance_parts(scores: NDArray[np.float64]) -> dict[str, float]:
    """Variances of seed, seed x candidate and repeats, from scores of shape (candidates, seeds, repeats)."""
    candidates, seeds, repeats = scores.shape
    cells = scores.mean(axis=2)
    by_candidate, by_seed, overall = cells.mean(axis=1, keepdims=True), cells.mean(axis=0, keepdims=True), cells.mean()
    within = ((scores - cells[:, :, None]) ** 2).sum() / (candidates * seeds * (repeats - 1))
    freedom = (candidates - 1) * (seeds - 1)
    crossed = repeats * ((cells - by_candidate - by_seed + overall) ** 2).sum() / freedom
    between = repeats * candidates * ((by_seed - overall) ** 2).sum() / (seeds - 1)
    return {
        "seed": (between - crossed) / (candidates * repeats),
        "seed x candidate": (crossed - within) / repeats,
        "machine": within,
    }


def speed_line(scores: NDArray[np.float64], steps: NDArray[np.float64]) -> str:
    """The slope of scores on the logarithm of steps among repeats, and what is left of their variance."""
    scores, speeds = (x - x.mean(axis=2, keepdims=True) for x in (scores, np.log(steps)))
    slope = (scores * speeds).sum() / (speeds**2).sum()
    left = ((scores - slope * speeds) ** 2).sum() / (scores**2).sum()
    return f"1 % more steps: {slope / 100:+.5f} bpb; {1 - left:.0%} of the repeats' variance goes with their steps"


def pair_lines(scores: NDArray[np.float64]) -> Iterator[str]:
    """Each change against the start on equal seeds; single runs, so that the noise is that of one pair."""
    for name, own in zip(CHANGES, scores, strict=True):
        gains = (scores[0] - own).ravel()
        if name != "start":
            sd = gains.std(ddof=1)
            yield f"{name:6} gain {gains.mean():+.4f}, sd of a pair {sd:.4f}, gain / sd {gains.mean() / sd:+.2f}"


def main() -> None:
    """Print runs, variance parts and pairs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--slots", type=int, default=2, choices=(1, 2))
    parser.add_argument("--budget-seconds", type=float)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    experiment = load_experiment(Path("experiments/cpu.yaml")).override(budget_seconds=options.budget_seconds)
    start = set_constants(Path(experiment.candidate).read_text(), dict(experiment.constants))
    texts = [set_constants(start, change) for change in CHANGES.values()]
    shape = (len(texts), options.seeds, options.repeats)
    # Repeat by repeat and seed by seed, so that a slow minute of the machine hits all candidates.
    plan = np.array([(c, s, r) for r in range(shape[2]) for s in range(shape[1]) for c in range(shape[0])])
    scores, steps = np.empty(shape), np.empty(shape)
    with ThreadPoolExecutor(options.slots) as pool:
        jobs = [pool.submit(core_scores, core, options.slots, experiment, texts, plan) for core in range(options.slots)]
        for core, job in enumerate(jobs):
            own = tuple(plan[core :: options.slots].T)
            scores[own], steps[own] = np.array(job.result()).T
    print(f"{options.slots} slots, {experiment.budget_seconds:g} s, {shape[1]} seeds, {shape[2]} repeats")
    for name, variance in variance_parts(scores).items():
        print(f"{name:18} variance {variance:.2e}, sd {max(0.0, variance) ** 0.5:.4f}")
    print(speed_line(scores, steps))
    print(*pair_lines(scores), sep="\n")


if __name__ == "__main__":
    main()
