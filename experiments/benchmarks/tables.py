"""How long do the tables of a large run take? 100,000 trials from trials.parquet, and into a file.

    python experiments/benchmarks/tables.py [RUN_DIR] [--trials 100000] [--repeats 5]

The rows of a real run (RUN_DIR, or one that a simulation makes first) are repeated until there are enough; ids, numbers
and hypotheses are made to differ. Prints the median of the repeats for each step, in seconds.

On two busy cores, of 100,000 trials:

    load_trials            0.22 s
    into a .csv file       7.97 s
    into a .parquet file   0.88 s
    into a .jsonl file    12.28 s
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from autoresearch_ray import load_trials, simulate
from autoresearch_ray.observe.tables.formats import FORMATS, write_table
from autoresearch_ray.observe.tables.trials import trial_table
from autoresearch_ray.store.connect import read_run


def tile(table: pd.DataFrame, trials: int) -> pd.DataFrame:
    """So many rows: those of the table again and again, no two alike."""
    repeated = pd.concat([table] * -(-trials // len(table)), ignore_index=True).iloc[:trials]
    number = pd.Series(range(1, trials + 1)).astype("string")
    generator = np.random.default_rng(0)
    floats = repeated.select_dtypes("float64")
    repeated[floats.columns] = floats * generator.normal(1, 1e-3, floats.shape)
    return repeated.assign(
        trial_id="t" + number.str.zfill(5),
        proposal_id="p" + number.str.zfill(6),
        hypothesis=repeated.hypothesis + " " + number,
        source_sha=number.str.zfill(64),
    )


def measure(name: str, work: Callable[[], object], repeats: int) -> None:
    """Print the median of so many runs of `work`."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    print(f"    {name:<20} {statistics.median(seconds):6.2f} s")


def main() -> None:
    """Make the run's folder, and measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("run_dir", type=Path, nargs="?", metavar="RUN_DIR")
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        run = options.run_dir
        if run is None:
            simulate.main(["--trials", "400", "--slots", "4", "--seed", "1", "--runs-dir", scratch])
            (run,) = [path.parent for path in Path(scratch).glob("*/state.db")]
        folder = Path(scratch) / "large"
        folder.mkdir()
        write_table(tile(trial_table(read_run(run)), options.trials), folder / "trials.parquet")
        size = (folder / "trials.parquet").stat().st_size / 1e6
        print(f"{options.trials:,} trials, {size:.1f} MB as parquet; medians of {options.repeats}:\n")
        measure("load_trials", lambda: load_trials(folder), options.repeats)
        table = load_trials(folder)
        for ending in FORMATS:
            out = folder / f"out{ending}"
            measure(f"into a {ending} file", partial(write_table, table, out), options.repeats)


if __name__ == "__main__":
    main()
