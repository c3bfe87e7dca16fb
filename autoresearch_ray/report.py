"""Make runs' readable files again from their stores: `python -m autoresearch_ray.report RUN_DIR [RUN_DIR ...]`.

Writes results.tsv, trials.parquet, progress.png and report.html into each run's folder, each whole or not at all; doing
it twice changes nothing. Several runs are told side by side as well. Reads the store beside a living run too. Trains
nothing and decides nothing.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from autoresearch_ray.common.errors import AutoresearchError
from autoresearch_ray.common.output import STDERR, STDOUT
from autoresearch_ray.common.paths import REPORT_FILE
from autoresearch_ray.driver.files import rebuild
from autoresearch_ray.observe.runs import compare_runs


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 done, 2 the request is wrong: the runs named before have their files."""
    parser = argparse.ArgumentParser(prog="python -m autoresearch_ray.report", description=__doc__.split("\n", 1)[0])
    parser.add_argument("run_dirs", type=Path, nargs="+", metavar="RUN_DIR", help="a run's folder, such as runs/TAG")
    histories = []
    for folder in parser.parse_args(arguments).run_dirs:
        try:
            histories.append(rebuild(folder))
        except AutoresearchError as error:
            STDERR.write(f"error: {error}\n")
            return 2
        STDOUT.write(f"{folder / REPORT_FILE}\n")
    if len(histories) > 1:
        STDOUT.write("\n".join(["", *compare_runs(histories)]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
