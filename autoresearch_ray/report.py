"""Make a run's readable files again from its store: `python -m autoresearch_ray.report RUN_DIR`.

Writes results.tsv, trials.parquet, progress.png and report.html into the run's folder, each whole or not at all; doing
it twice changes nothing. Reads the store beside a living run too. Trains nothing and decides nothing.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from autoresearch_ray.driver.files import rebuild
from autoresearch_ray.errors import AutoresearchError
from autoresearch_ray.output import STDERR, STDOUT
from autoresearch_ray.paths import REPORT_FILE


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 done, 2 the request is wrong."""
    parser = argparse.ArgumentParser(prog="python -m autoresearch_ray.report", description=__doc__.split("\n", 1)[0])
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="a run's folder, such as runs/TAG")
    folder = parser.parse_args(arguments).run_dir
    try:
        rebuild(folder)
    except AutoresearchError as error:
        STDERR.write(f"error: {error}\n")
        return 2
    STDOUT.write(f"{folder / REPORT_FILE}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
