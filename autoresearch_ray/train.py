"""One trial of one candidate without a search, printed as upstream prints it.

    python -m autoresearch_ray.train EXPERIMENT [--candidate F] [--seed N] [--budget-seconds S] [--repeat N] ...

The candidate runs as it does in a search: its own process, the same clock, metric, probe and deadlines. The first of
several repeats pays for a cold start, the others do not. Exit status: 0 ok, 1 the candidate failed, 2 wrong request.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from autoresearch_ray.benchmark.data.dataset import prepare
from autoresearch_ray.benchmark.trial.device import choose_device
from autoresearch_ray.benchmark.trial.job import Job, job_for
from autoresearch_ray.benchmark.trial.slot import Slot
from autoresearch_ray.candidate.knobs import set_constants
from autoresearch_ray.errors import AutoresearchError, SettingsError
from autoresearch_ray.experiment import load_experiment
from autoresearch_ray.paths import OUTPUT_FILE
from autoresearch_ray.records import Result
from autoresearch_ray.settings import ISOLATION, local_cpus, local_slots, memory_for


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m autoresearch_ray.train", description="Run one trial.")
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--candidate", type=Path, help="a train.py (default: the experiment's, constants written in)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget-seconds", type=float)
    parser.add_argument("--isolation", choices=ISOLATION, default="best")
    parser.add_argument("--repeat", type=int, default=1, help="this many trials, with the next seeds")
    options = parser.parse_args(arguments)
    try:
        return _trials(options)
    except AutoresearchError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2


def _trials(options: argparse.Namespace) -> int:
    if options.budget_seconds is not None and not options.budget_seconds > 0:
        raise SettingsError(f"--budget-seconds {options.budget_seconds}: expected a number above 0")
    if options.repeat < 1:
        raise SettingsError(f"--repeat {options.repeat}: expected at least 1")
    experiment = load_experiment(options.experiment).with_budget(options.budget_seconds)
    source = (
        _source(options.candidate)
        if options.candidate
        else set_constants(Path(experiment.candidate).read_text(), dict(experiment.constants))
    )
    device: Literal["cpu", "cuda"] = "cuda" if choose_device(experiment.device).type == "cuda" else "cpu"
    local_slots(experiment, None, local_cpus(), 1, device)
    dataset = prepare(experiment, _say)
    failed = 0
    with Slot(max(1, int(experiment.cpus_per_trial)), isolation=options.isolation, gpu=device == "cuda") as slot:
        for seed in range(options.seed, options.seed + options.repeat):
            job = job_for(experiment, source, str(dataset.folder), seed, device=device, memory_mb=memory_for(1))
            failed += _one(slot, job) != "ok"
    return 1 if failed else 0


def _one(slot: Slot, job: Job) -> str:
    with tempfile.TemporaryDirectory() as folder:
        for point in slot.run(job, Path(folder)):
            clock = f"{point.seconds:6.1f} of {job.budget_seconds:g} s"
            sys.stderr.write(f"\r{clock}, step {point.step}, train bpb {point.train_bpb:.4f} ")
            sys.stderr.flush()
        sys.stderr.write("\n")
        output = (Path(folder) / OUTPUT_FILE).read_text(errors="replace")
    sys.stdout.write(output)
    sys.stdout.write(summary(slot.result, cold=slot.cold))
    sys.stdout.flush()
    return slot.result.status


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


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def _source(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"--candidate {path}: cannot be read ({error}); expected a train.py") from None


if __name__ == "__main__":
    sys.exit(main())
