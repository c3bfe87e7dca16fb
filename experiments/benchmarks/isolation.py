"""What isolation costs: a warm trial's start, and training speed, with and without it side by side.

    python experiments/benchmarks/isolation.py [--rounds 8] [--budget-seconds 5] [--isolation best]

Two warm slots take turns, so that whatever else the machine does hits both alike. Speed is also given per second of
CPU time, which a neighbour disturbs less than wall time. Medians, and the medians of the differences within a round.
"""

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from autoresearch_ray.benchmark.data.dataset import prepare
from autoresearch_ray.benchmark.trial.job import Job, job_for
from autoresearch_ray.benchmark.trial.slot import Slot
from autoresearch_ray.candidate.knobs import set_constants
from autoresearch_ray.settings.experiment_file import load_experiment

EXPERIMENT = Path(__file__).parents[1] / "cpu.yaml"
TIMED = """

_train = train


def train(task):
    import time
    batches = task.batches
    begin = []
    def timed(rows):
        for batch in batches(rows):
            begin.append(time.process_time())
            yield batch
    task.batches = timed
    model = _train(task)
    print("cpu seconds per step", (begin[-1] - begin[4]) / (len(begin) - 5))
    return model
"""


def measured(slot: Slot, job: Job) -> dict[str, float]:
    """One trial: seconds to its first batch, steps a second, and CPU milliseconds a step."""
    with tempfile.TemporaryDirectory() as folder:
        for _ in slot.run(replace(job, asked_at=0.0), Path(folder)):
            pass
        output = (Path(folder) / "output.log").read_text()
    assert slot.result.status == "ok", slot.result.error
    result = slot.result
    return {
        "start (ms)": result.startup_seconds * 1e3,
        "steps/s": result.steps / result.training_seconds,
        "CPU ms a step": float(output.split("per step")[1].split()[0]) * 1e3,
        "scoring (s)": result.eval_seconds,
        "total beyond budget (s)": result.total_seconds - result.training_seconds,
    }


def rounds(count: int, budget_seconds: float, isolation: str) -> Iterator[tuple[dict[str, float], dict[str, float]]]:
    """Off and on, in turn; the first round, which warms up, is left out."""
    experiment = load_experiment(EXPERIMENT).override(budget_seconds=budget_seconds)
    source = set_constants(Path(experiment.candidate).read_text(), dict(experiment.constants)) + TIMED
    job = job_for(experiment, source, str(prepare(experiment).folder), 0, device="cpu", memory_mb=4000)
    with ExitStack() as stack:
        off, on = (stack.enter_context(Slot(1, isolation=mode)) for mode in ("none", isolation))
        for number in range(count + 1):
            first, second = (off, on) if number % 2 else (on, off)
            results = {slot: measured(slot, job) for slot in (first, second)}
            if number == 0:
                print(f"off: {off.walls.level}, on: {on.walls.level}")
            else:
                yield results[off], results[on]


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description="Measure what isolation costs.")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--budget-seconds", type=float, default=5.0)
    parser.add_argument("--isolation", default="best")
    options = parser.parse_args()
    pairs = list(rounds(options.rounds, options.budget_seconds, options.isolation))
    print(f"{'':<26}{'off':>10}{'on':>10}{'difference':>12}{'in %':>8}")
    for name in pairs[0][0]:
        off, on = (statistics.median(pair[side][name] for pair in pairs) for side in (0, 1))
        difference = statistics.median(pair[1][name] - pair[0][name] for pair in pairs)
        print(f"{name:<26}{off:>10.2f}{on:>10.2f}{difference:>12.3f}{100 * difference / off:>8.2f}")


if __name__ == "__main__":
    main()
