"""How soon slots that start slowly are at work beside others that are busy: the run's scheduler against Tune's own.

    python tests/benchmarks/starts.py [--slots 6] [--trial-seconds 1] [--trials 150] [--rounds 2]

Logical CPUs and trials that sleep; every slot but the first takes three seconds to start beside what Ray takes. Rounds
alternate. Printed: wall seconds, the share of the slots' time in which they ran trials, and how many actors started.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import ray
from counting import Counting, run
from ray.tune.schedulers import FIFOScheduler
from small_run import settings_of, write_experiment

from autoresearch_ray.cluster.session import QUIET
from autoresearch_ray.settings.request import Request


def one(slots: int, trials: int, seconds: float, tunes: bool) -> tuple[float, float, int]:
    """Wall seconds, utilisation and actors started of one run."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        request = Request(
            experiment=write_experiment(folder), tag="x", runs_dir=folder / "runs", program=folder / "program.md"
        )
        settings = settings_of(request)
        began = time.monotonic()
        search = Counting(slots, [0.0] * trials, seconds)
        actors = run(search, folder, settings, slots, scheduler=FIFOScheduler() if tunes else None)
        wall = time.monotonic() - began
        return wall, trials * seconds / (slots * wall), len(actors)


def main() -> None:
    """Print one line a run, then the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", type=int, default=6)
    parser.add_argument("--trials", type=int, default=150)
    parser.add_argument("--trial-seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    os.environ |= QUIET
    ray.init(num_cpus=asked.slots, include_dashboard=False, log_to_driver=False, logging_level="error")
    found: dict[str, list[tuple[float, float, int]]] = {"ours": [], "Tune's": []}
    for _ in range(asked.rounds):
        for name, rows in found.items():
            rows.append(one(asked.slots, asked.trials, asked.trial_seconds, name != "ours"))
            print(f"{name:7s} {rows[-1][0]:6.1f} s, busy {rows[-1][1]:.0%}, {rows[-1][2]} actors", flush=True)
    for name, rows in found.items():
        wall, busy, actors = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"{name:7s} median {wall:.1f} s, busy {busy:.0%}, {actors:g} actors")


if __name__ == "__main__":
    main()
