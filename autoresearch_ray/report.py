"""Make a run's readable files again from its store: `python -m autoresearch_ray.report RUN_DIR`.

Writes results.tsv, trials.parquet, progress.png and report.html into the run's folder, each whole or not at all; doing
it twice changes nothing. Reads the store beside a living run too. Trains nothing and decides nothing.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from autoresearch_ray.errors import AutoresearchError, SettingsError
from autoresearch_ray.observe.plots import progress_png
from autoresearch_ray.observe.report import report_html
from autoresearch_ray.observe.table import TABLE_FILE, results_tsv, trial_table, write_parquet
from autoresearch_ray.observe.text import write_whole
from autoresearch_ray.records import History
from autoresearch_ray.state.connect import read_run


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 done, 2 the request is wrong."""
    parser = argparse.ArgumentParser(prog="python -m autoresearch_ray.report", description=__doc__.split("\n", 1)[0])
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="a run's folder, such as runs/TAG")
    folder = parser.parse_args(arguments).run_dir
    try:
        rebuild(folder)
    except AutoresearchError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(f"{folder / 'report.html'}\n")
    return 0


def rebuild(run_dir: Path) -> History:
    """Write the run's files from its store. SettingsError if it is no run's folder or cannot be written."""
    history = read_run(run_dir)
    try:
        write_files(history, run_dir)
    except OSError as error:
        raise SettingsError(f"{run_dir}: cannot be written ({error.strerror}); expected a writable folder") from None
    return history


def write_files(history: History, run_dir: Path) -> None:
    """Write table, picture and report of this history into a folder."""
    write_whole(run_dir / "results.tsv", results_tsv(history).encode())
    write_parquet(trial_table(history), run_dir / TABLE_FILE)
    progress_png(history, run_dir / "progress.png")
    report_html(history, run_dir / "report.html", run_dir / "progress.png")


if __name__ == "__main__":
    sys.exit(main())
