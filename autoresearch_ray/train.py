"""One trial of one candidate without a search, printed as upstream prints it.

    python -m autoresearch_ray.train EXPERIMENT [--candidate F] [--seed N] [--budget-seconds S] [--repeat N] ...

A text that breaks a rule of a search is refused, unless `--unchecked` is said.
The candidate runs as it does in a search: its own process, the same clock, metric, probe and deadlines. The first of
several repeats pays for a cold start, the others do not. Exit status: 0 ok, 1 the candidate failed, 2 wrong request.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from autoresearch_ray.driver.single_trial import measure, read_candidate
from autoresearch_ray.errors import AutoresearchError, SettingsError
from autoresearch_ray.experiment_file import load_experiment
from autoresearch_ray.output import STDERR, STDOUT
from autoresearch_ray.records import CurvePoint, Isolation, Result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m autoresearch_ray.train", description="Run one trial.")
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--candidate", type=Path, help="a train.py (default: the experiment's, constants written in)")
    parser.add_argument("--unchecked", action="store_true", help="run a text that a search refuses, in the same walls")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget-seconds", type=float)
    parser.add_argument("--isolation", choices=get_args(Isolation), default="best")
    parser.add_argument("--repeat", type=int, default=1, help="this many trials, with the next seeds")
    options = parser.parse_args(arguments)
    try:
        if options.repeat < 1:
            raise SettingsError(f"--repeat {options.repeat}: expected at least 1")
        experiment = load_experiment(options.experiment).override(budget_seconds=options.budget_seconds)
        source = read_candidate(options.candidate, experiment, _say, unchecked=options.unchecked)
        seeds = range(options.seed, options.seed + options.repeat)

        def show(point: CurvePoint) -> None:
            clock = f"{point.seconds:6.1f} of {experiment.budget_seconds:g} s"
            _say(f"\r{clock}, step {point.step}, train bpb {point.train_bpb:.5g} ", end="")

        failed = 0
        for measured in measure(experiment, source, seeds, options.isolation, _say, show):
            _say("")
            STDOUT.write(measured.output + summary(measured.result, measured.cold))
            failed += measured.result.status != "ok"
    except AutoresearchError as error:
        _say(f"error: {error}")
        return 2
    return 1 if failed else 0


def summary(result: Result, cold: bool) -> str:
    """Upstream's summary block, with what upstream does not print below it."""
    if result.status != "ok":
        return f"---\nstatus:           {result.status}\nerror:            {result.error}\n"
    lines = {
        "val_bpb": f"{result.val_bpb:.6f}",
        "training_seconds": f"{result.training_seconds:.1f}",
        "total_seconds": f"{result.total_seconds:.1f}",
        "peak_vram_mb": f"{result.peak_memory_mb:.1f}",
        "total_tokens_M": f"{result.tokens / 1e6:.3f}",
        "num_steps": str(result.steps),
        "num_params_M": f"{result.parameters / 1e6:.3f}",
        "startup_seconds": f"{result.startup_seconds:.2f} ({'cold' if cold else 'warm'})",
        "eval_seconds": f"{result.eval_seconds:.2f}",
        "holdout_bpb": f"{result.holdout_bpb:.6f}",
    }
    return "---\n" + "".join(f"{name + ':':<18}{value}\n" for name, value in lines.items())


def _say(line: str, end: str = "\n") -> None:
    STDERR.write(line + end)


if __name__ == "__main__":
    sys.exit(main())
