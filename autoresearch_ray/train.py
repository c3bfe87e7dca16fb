"""One trial of one candidate without a search, printed as upstream prints it.

    python -m autoresearch_ray.train EXPERIMENT [--candidate F] [--seed N] [--budget-seconds S] [--repeat N] ...

A script (`contract: script`) is run once as a search would run it: what it prints, then its metric and its status.
A text that breaks a rule of a search is refused, unless `--unchecked` is said.
The candidate runs as it does in a search: its own process, the same clock, metric, probe and deadlines. The first of
several repeats pays for a cold start, the others do not. Exit status: 0 ok, 1 the candidate failed, 2 wrong request.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

from autoresearch_ray.common.errors import AutoresearchError, SettingsError
from autoresearch_ray.common.output import STDERR, STDOUT
from autoresearch_ray.driver.checkout.folder import experiment_of
from autoresearch_ray.driver.script_trial import measure_script, read_candidate_of
from autoresearch_ray.driver.single_trial import measure, read_candidate
from autoresearch_ray.records.trials import CurvePoint, Isolation, Result
from autoresearch_ray.settings.experiment import Experiment
from autoresearch_ray.settings.experiment_file import load_any
from autoresearch_ray.settings.script_experiment import ScriptExperiment


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m autoresearch_ray.train", description="Run one trial.")
    parser.add_argument("experiment", type=Path, help="its YAML file, or the folder of a script")
    parser.add_argument(
        "--candidate",
        type=Path,
        help="a train.py; of a script its file, or a folder with its files (default: the experiment's)",
    )
    parser.add_argument("--unchecked", action="store_true", help="run a text that a search refuses, in the same walls")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget-seconds", type=float)
    parser.add_argument("--isolation", choices=get_args(Isolation), default="best")
    parser.add_argument("--repeat", type=int, default=1, help="this many trials, with the next seeds")
    options = parser.parse_args(arguments)
    try:
        if options.repeat < 1:
            raise SettingsError(f"--repeat {options.repeat}: expected at least 1")
        path = experiment_of(options.experiment, _say) if options.experiment.is_dir() else options.experiment
        experiment = load_any(path).override(budget_seconds=options.budget_seconds)
        seeds = range(options.seed, options.seed + options.repeat)
        results = (
            _run_script(experiment, seeds, options)
            if isinstance(experiment, ScriptExperiment)
            else _run_ours(experiment, seeds, options)
        )
        failed = sum(result.status != "ok" for result in results)
    except AutoresearchError as error:
        _say(f"error: {error}")
        return 2
    return 1 if failed else 0


def _run_ours(experiment: Experiment, seeds: range, options: argparse.Namespace) -> Iterator[Result]:
    source = read_candidate(options.candidate, experiment, _say, unchecked=options.unchecked)

    def show(point: CurvePoint) -> None:
        clock = f"{point.seconds:6.1f} of {experiment.budget_seconds:g} s"
        _say(f"\r{clock}, step {point.step}, train bpb {point.train_bpb:.5g} ", end="")

    for measured in measure(experiment, source, seeds, options.isolation, _say, show):
        _say("")
        STDOUT.write(measured.output + summary(measured.result, measured.cold))
        yield measured.result


def _run_script(experiment: ScriptExperiment, seeds: range, options: argparse.Namespace) -> Iterator[Result]:
    candidate = read_candidate_of(experiment, options.candidate, _say, unchecked=options.unchecked)
    printed = "\n"

    def show(piece: str) -> None:
        nonlocal printed
        printed = piece or printed
        STDOUT.write(piece)

    for result in measure_script(experiment, candidate, seeds, options.isolation, _say, show):
        STDOUT.write(("" if printed.endswith("\n") else "\n") + script_summary(result, experiment))
        yield result


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


def script_summary(result: Result, experiment: ScriptExperiment) -> str:
    """The same for a run of a script, by its own metric, with whose word the score is."""
    if result.status != "ok":
        return summary(result, cold=False)
    scoring = experiment.scoring
    word = {"script": "self-reported", "judge": "by the judge", "harness": "measured"}[scoring.by]
    lines = {
        "status": result.status,
        scoring.name: f"{scoring.sign * result.val_bpb:.6g} {scoring.unit}".rstrip()
        + f" ({word}; {scoring.direction} is better)",
        "total_seconds": f"{result.total_seconds:.1f}",
        "peak_memory_mb": f"{result.peak_memory_mb:.1f}",
    }
    if experiment.holdout:
        lines[experiment.holdout] = f"{scoring.sign * result.holdout_bpb:.6g} (held out)"
    return "---\n" + "".join(f"{name + ':':<17} {value}\n" for name, value in lines.items())


def _say(line: str, end: str = "\n") -> None:
    STDERR.write(line + end)


if __name__ == "__main__":
    sys.exit(main())
