"""The same search on virtual slots: what it finds, and what that costs the driver, in minutes instead of nights.

    python -m autoresearch_ray.simulate [EXPERIMENT] [--slots 16] [--trials 400] [--worlds 1] [--runs-dir DIR] ...

Queue, tuner, search, decisions, merges, store and lineage are those of a run, on files. Only trials are not run: a
made-up landscape over the candidate's own knobs (`search/landscape.py`) says what they measure, and a clock jumps from
one trial's end to the next. Seeded: the same numbers again. It covers no Ray, no language model and no change of code.
"""

import argparse
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from autoresearch_ray.driver.files import rebuild
from autoresearch_ray.driver.new_run import choose_experiment
from autoresearch_ray.driver.simulated_run import simulate_run
from autoresearch_ray.errors import AutoresearchError, SettingsError
from autoresearch_ray.output import STDERR, STDOUT
from autoresearch_ray.paths import REPORT_FILE
from autoresearch_ray.search.simulation import Found
from autoresearch_ray.settings import ask


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m autoresearch_ray.simulate", description="The same search on virtual slots."
    )
    parser.add_argument(
        "experiment", nargs="?", type=Path, help="its candidate's knobs are searched (default: t4.yaml)"
    )
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--worlds", type=int, default=1, help="that many landscapes, with the next seeds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--proposer", action="append", default=[], help="tpe or random, with =WEIGHT (default: tpe)")
    parser.add_argument("--holds", type=float, nargs=2, default=(5.0, 10.0), help="sd that an important knob holds")
    parser.add_argument("--noise-sd", type=float, default=0.01, help="of a score over seeds, in bits per byte")
    parser.add_argument("--seed-share", type=float, default=0.8, help="part of its variance that equal seeds share")
    parser.add_argument("--failures", type=float, default=0.02, help="share of trials that crash")
    parser.add_argument("--runs-dir", type=Path, help="keep the runs there, with table and report (default: nowhere)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.ERROR)  # nothing is run, so nothing needs to be shut in
    try:
        found = _worlds(options)
    except AutoresearchError as error:
        STDERR.write(f"error: {error}\n")
        return 2
    if len(found) > 1:
        _say(
            f"mean: best {fmean(f.best for f in found):+.1f} sd, frontier {fmean(f.frontier for f in found):+.1f} sd, "
            f"{sum(f.false_wins for f in found)} of {sum(f.wins for f in found)} wins false"
        )
    return 0


def _worlds(options: argparse.Namespace) -> list[Found]:
    shares = 0 <= options.failures < 1 and 0 <= options.seed_share <= 1
    if not (shares and options.noise_sd > 0 and 0 <= options.holds[0] <= options.holds[1]):
        raise SettingsError("expected --failures and --seed-share of 0 to 1, --noise-sd above 0, --holds LEAST MOST")
    found = []
    for seed in range(options.seed, options.seed + options.worlds):
        with tempfile.TemporaryDirectory(prefix="autoresearch-simulation-") as scratch:
            folder = (options.runs_dir or Path(scratch)) / f"simulated-{seed}"
            found.append(_world(options, seed, folder))
            if options.runs_dir:
                rebuild(folder)
                _say(f"  {folder / REPORT_FILE}")
    return found


def _world(options: argparse.Namespace, seed: int, folder: Path) -> Found:
    request = ask(
        experiment=options.experiment or choose_experiment((7, 5)),
        trials=options.trials,
        slots=options.slots,
        proposers=tuple(options.proposer),
        seed=seed,
        isolation="none",
    )
    holds = (options.holds[0], options.holds[1])
    found = simulate_run(
        request,
        holds,
        options.noise_sd,
        options.seed_share,
        options.failures,
        folder,
        lambda line: _say(f"  world {seed}: {line}"),
    )
    _say(_line(seed, options.slots, found))
    return found


def _line(seed: int, slots: int, found: Found) -> str:
    wins = f"{found.wins} wins, {found.false_wins} false" + (
        f", told {found.bias:+.1f} sd too much" if found.wins else ""
    )
    return (
        f"world {seed}: {found.trials} trials on {slots} slots in {found.hours:.1f} h, busy {found.busy:.0%}; "
        f"best {found.best:+.1f} sd, frontier {found.frontier:+.1f} sd; {wins}; "
        f"a trial took the search {found.search_ms[0]:.1f} ms at first and {found.search_ms[1]:.1f} ms at the end, "
        f"its proposal {found.proposer_ms[0]:.0f} and {found.proposer_ms[1]:.0f} ms"
    )


def _say(line: str) -> None:
    STDOUT.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
