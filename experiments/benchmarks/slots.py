"""How busy the slots of a run were, from its trial table alone.

    python experiments/benchmarks/slots.py RUN_DIR [RUN_DIR ...]

Utilisation: sum of training seconds / (slots x wall), wall from the first trial's start to the last one's end. Gap:
from one trial's score to the next trial's first batch on the same slot, medians; the first trial of a slot is cold.
"""

import statistics
import sys
from pathlib import Path

import pandas as pd

from autoresearch_ray import load_trials


def measured(table: pd.DataFrame) -> dict[str, float]:
    """Utilisation and gaps (seconds) of one run's table."""
    done = table[table["finished_at"].notna()].sort_values("started_at")
    wall = (done["finished_at"].max() - done["started_at"].min()).total_seconds()
    slots = done.groupby(["node", "slot"], observed=True)
    gaps = []
    for _, trials in slots:
        batch = trials["started_at"] + pd.to_timedelta(trials["startup_seconds"], unit="s")
        gaps += [gap.total_seconds() for gap in (batch - trials["finished_at"].shift())[1:]]
    warm = done[done.index.isin([i for _, trials in slots for i in trials.index[1:]])]
    return {
        "slots": len(slots),
        "trials": len(done),
        "wall_seconds": wall,
        "utilisation": done["training_seconds"].sum() / (len(slots) * wall),
        "gap_seconds_median": statistics.median(gaps) if gaps else float("nan"),
        "startup_seconds_median_warm": warm["startup_seconds"].median(),
        "eval_seconds_median": done["eval_seconds"].median(),
    }


def main() -> None:
    """Print one row a run."""
    rows = {folder: measured(load_trials(Path(folder))) for folder in sys.argv[1:]}
    print(pd.DataFrame(rows).T.to_string(float_format=lambda x: f"{x:.3f}"))


if __name__ == "__main__":
    main()
