"""Real launches of the CPU experiment's default, two checkouts in turn, and what their bests are worth on fresh seeds.

    python experiments/benchmarks/launches.py OTHER_CHECKOUT [--launches 6] [--work FOLDER] [--rows FILE.csv]
    python experiments/benchmarks/launches.py --table

Launches with seeds 0, 1, 2 ... of OTHER_CHECKOUT ("before") and of this one ("now"), alternately, with this Python.
After each launch its start and its best run again on four seeds that no search uses, both at once, a core each: for the
launch's own budget, and for 20 s, since the two checkouts' experiments may differ in it. A row is written when a launch
has been measured, and a launch whose row is there is not repeated: the script may be stopped at any time and started
again. Six of each take about an hour and a half; nothing else should run on the machine.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
from remeasure import candidates, measured_pairs
from scipy.stats import ttest_ind

from autoresearch_ray.observe.facts import wins
from autoresearch_ray.observe.headline import summarise
from autoresearch_ray.store.history import read_history

HERE = Path(__file__).resolve().parents[2]
ROWS = Path(__file__).with_name("launches.csv")
FRESH_SEEDS = 4
COMMON_SECONDS = 20.0
NOTHING_PROVEN = [(0.0, 0.0)] * FRESH_SEEDS


def launch(checkout: Path, seed: int, work: Path) -> Path:
    """The folder of a finished run."""
    shutil.rmtree(work / "run", ignore_errors=True)
    command = [sys.executable, "-m", "autoresearch_ray.launch", "experiments/cpu.yaml", "--plain", "--seed", str(seed)]
    command += ["--tag", "run", "--runs-dir", str(work)]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{checkout}: the launch failed\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return work / "run"


def row_of(side: str, checkout: Path, seed: int, run_dir: Path, began: float) -> dict[str, str | float]:
    """What a launch reported, and its start and best again on fresh seeds."""
    history = read_history(run_dir / "state.db")
    summary, won = summarise(history), wins(history)
    settings, texts = candidates(run_dir)
    experiment = settings.train_experiment
    own = measured_pairs(experiment, texts, FRESH_SEEDS) if won else NOTHING_PROVEN
    common = own
    if won and experiment.budget_seconds != COMMON_SECONDS:
        common = measured_pairs(experiment.override(budget_seconds=COMMON_SECONDS), texts, FRESH_SEEDS)
    revision = subprocess.check_output(["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"], text=True)
    row: dict[str, str | float] = {
        "side": side,
        "seed": seed,
        "revision": revision.strip(),
        "began": time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime(began)),
        "budget": experiment.budget_seconds,
        "trials": summary.trials,
        "seconds": round(summary.wall_seconds),
        "training": round(summary.utilisation, 3),
        "baseline": round(summary.baseline, 4),
        "wins": len(won),
        "first_win": won[0].trial_number if won else 0,
        "gain": round(summary.gain, 4),
        "gain_low": round(summary.gain_low, 4),
        "gain_high": round(summary.gain_high, 4),
    }
    for name, pairs in (("own", own), ("common", common)):
        for number, (start, best) in enumerate(pairs):
            row |= {f"{name}_start_{number}": round(start, 4), f"{name}_best_{number}": round(best, 4)}
    return row


def measured_again(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """The gain of each launch's best over its start on each fresh seed."""
    return pd.DataFrame({i: rows[f"{name}_start_{i}"] - rows[f"{name}_best_{i}"] for i in range(FRESH_SEEDS)})


def print_table(rows: pd.DataFrame) -> None:
    """Each launch, and both sides against each other."""
    gains = measured_again(rows, "own")
    rows = rows.assign(again=gains.mean(axis=1), again_error=gains.std(axis=1) / FRESH_SEEDS**0.5)
    rows["common"] = measured_again(rows, "common").mean(axis=1)
    # The re-measured gain has an error too: the interval covers it if the two overlap by one of its standard errors.
    rows["covered"] = (rows.again > rows.gain_low - rows.again_error) & (rows.again < rows.gain_high + rows.again_error)
    shown = [
        "side",
        "seed",
        "revision",
        "began",
        "budget",
        "trials",
        "seconds",
        "training",
        "wins",
        "first_win",
        "gain",
    ]
    print(
        rows[[*shown, "gain_low", "gain_high", "again", "again_error", "common"]].to_string(
            index=False, float_format="%.4f"
        )
    )
    for side, own in rows.groupby("side"):
        won = own[own.wins > 0]
        print(
            f"{side}: {len(won)} of {len(own)} launches end with a win; gain on fresh seeds in {COMMON_SECONDS:g} s: "
            f"mean {own.common.mean():.4f}, median {own.common.median():.4f}; "
            f"{won.covered.sum()} of {len(won)} reported intervals hold it"
        )
    before, now = rows.common[rows.side == "before"], rows.common[rows.side == "now"]
    if min(len(before), len(now)) > 1:
        chance = 1 - ttest_ind(now, before, equal_var=False, alternative="greater").pvalue
        print(f"now gains more than before with probability {chance:.3f} (Welch's t)")


def main() -> None:
    """Launch what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("other", type=Path, nargs="?")
    parser.add_argument("--launches", type=int, default=6, help="of each checkout")
    parser.add_argument("--work", type=Path, default=Path("runs/launches"))
    parser.add_argument("--rows", type=Path, default=ROWS)
    parser.add_argument("--table", action="store_true", help="only print what is in the rows")
    options = parser.parse_args()
    if options.other is None and not options.table:
        parser.error("expected the folder of a checkout to compare with, or --table")
    rows = pd.read_csv(options.rows) if options.rows.exists() else pd.DataFrame(columns=["side", "seed"])
    for seed in range(0 if options.table else options.launches):
        for side, checkout in (("before", options.other.resolve()), ("now", HERE)):
            if ((rows.side == side) & (rows.seed == seed)).any():
                continue
            began = time.time()
            run_dir = launch(checkout, seed, options.work.resolve() / f"{side}-{seed}")
            row = row_of(side, checkout, seed, run_dir, began)
            print(row, flush=True)
            rows = pd.concat([rows, pd.DataFrame([row])], ignore_index=True)
            rows.to_csv(options.rows, index=False)
    print_table(rows)


if __name__ == "__main__":
    main()
