"""A table of one run or several as a file, for a spreadsheet or another program.

    python -m autoresearch_ray.export RUN_DIR --to trials.csv
    python -m autoresearch_ray.export runs/monday s3://bucket/tuesday --table lineage --to lineage.jsonl

The file's ending says its format: .csv, .parquet or .jsonl. docs/tables.md describes the columns; of several runs, the
first one has each row's run. Exit status: 0 written, 2 the request is wrong, and then nothing is written.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from autoresearch_ray.common.errors import AutoresearchError
from autoresearch_ray.common.output import STDERR, STDOUT
from autoresearch_ray.driver.tables.export import export_table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m autoresearch_ray.export", description="Write a table of one run or several into a file."
    )
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="a run's folder, or STORAGE_URL/TAG")
    parser.add_argument("--to", type=Path, required=True, metavar="FILE", help="ends in .csv, .parquet or .jsonl")
    parser.add_argument(
        "--table",
        default="trials",
        help="trials, lineage, calls, decisions, curves, knobs or runs (default: trials)",
    )
    options = parser.parse_args(arguments)
    try:
        rows = export_table(options.table, options.sources, options.to)
    except AutoresearchError as error:
        STDERR.write(f"error: {error}\n")
        return 2
    STDOUT.write(f"{options.to}: {rows:,} row{'' if rows == 1 else 's'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
