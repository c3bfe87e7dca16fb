"""Where a slot's time goes while it does not train: two checkouts, launched in turn on one machine.

    python experiments/benchmarks/outside_training.py OTHER_CHECKOUT [--pairs 2] [--trials 16] [--budget-seconds 5]

Launches the CPU experiment from OTHER_CHECKOUT and from this one, alternately, with this Python, and prints a line a
launch and the medians of both: the share of the slots' time that trained (from the first trial's start to the last
one's end); seconds outside training a trial; and its parts: start-up, scoring with probes of normal and of full
strength, what else is in the trial's time, and the time between two trials of a slot. Times are of the wall clock:
nothing else should run on the machine.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median

from autoresearch_ray.records.trials import Result, Strength
from autoresearch_ray.store.history import read_history

HERE = Path(__file__).resolve().parents[2]
COLUMNS = ("trains %", "outside s", "start-up s", "scoring s", "full s", "else s", "between s")
EXPERIMENT = "experiments/cpu.yaml"


def launch(checkout: Path, runs: Path, options: argparse.Namespace) -> list[Result]:
    """The results of one launch of a checkout."""
    words = ["--plain", "--tag", "run", "--runs-dir", str(runs), "--slots", str(options.slots)]
    words += ["--trials", str(options.trials), "--budget-seconds", str(options.budget_seconds)]
    command = [sys.executable, "-m", "autoresearch_ray.launch", EXPERIMENT, *words]
    done = subprocess.run(
        command, cwd=checkout, env=os.environ | {"PYTHONPATH": str(checkout)}, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{checkout}: the launch failed\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return [row.result for row in read_history(runs / "run" / "state.db").rows if row.result is not None]


def parts(results: Sequence[Result], slots: int) -> list[float]:
    """What `COLUMNS` name."""
    ok = [result for result in results if result.status == "ok"]
    trained = sum(result.training_seconds for result in results)
    wall = max(result.finished_at for result in results) - min(result.started_at for result in results)
    return [
        100 * trained / (slots * wall),
        (slots * wall - trained) / len(results),
        median(result.startup_seconds for result in ok),
        scoring(ok, "normal"),
        scoring(ok, "full"),
        median(r.total_seconds - r.startup_seconds - r.training_seconds - r.eval_seconds for r in ok),
        fmean(between(results)),
    ]


def scoring(results: Sequence[Result], strength: Strength) -> float:
    """The median of trials whose probes have this strength; nan without one."""
    found = [result.eval_seconds for result in results if result.strength == strength]
    return median(found) if found else float("nan")


def between(results: Sequence[Result]) -> list[float]:
    """Seconds from each trial's end to the next one's start on the same slot."""
    by_start = sorted(results, key=lambda result: (result.node, result.slot, result.started_at))
    neighbours = [(one, two) for one, two in pairwise(by_start) if (one.node, one.slot) == (two.node, two.slot)]
    return [two.started_at - one.finished_at for one, two in neighbours]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("other", type=Path)
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--budget-seconds", type=float, default=5.0)
    options = parser.parse_args()
    print(f"{'':8}" + "".join(f"{name:>12}" for name in COLUMNS))
    rows: dict[str, list[list[float]]] = {"other": [], "this": []}
    for _ in range(options.pairs):
        for name, checkout in (("other", options.other.resolve()), ("this", HERE)):
            with tempfile.TemporaryDirectory(prefix="outside-training-") as runs:
                rows[name].append(parts(launch(checkout, Path(runs), options), options.slots))
            print_row(name, rows[name][-1])
    for name, found in rows.items():
        print_row(f"{name} *", [median(column) for column in zip(*found, strict=True)])


def print_row(name: str, values: Sequence[float]) -> None:
    """One line."""
    print(f"{name:8}" + "".join(f"{value:12.2f}" for value in values), flush=True)


if __name__ == "__main__":
    main()
