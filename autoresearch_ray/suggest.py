"""A person's idea for a run: a changed train.py, or a patch, goes into its queue before all others.

    python -m autoresearch_ray.suggest RUN_DIR FILE [--hypothesis "why it should help"]
    python -m autoresearch_ray.suggest RUN_DIR --from-run OTHER_RUN_DIR

FILE is a whole train.py, or a unified diff (.patch, .diff) of the run's frontier, best or start. It passes the same
rules and dry run as a model's idea, is judged by the same proofs, and is brought onto the frontier as it is by then.
`--from-run` takes each win of another run: what was found apart is merged onto this run's frontier and tried here. A
run that is under way takes it at once, another when it is resumed. Exit status: 0 handed over, 2 it cannot be tried.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from autoresearch_ray.common.errors import AutoresearchError, SettingsError
from autoresearch_ray.common.output import STDERR, STDOUT
from autoresearch_ray.driver.suggestions import check_suggestion, wins_of
from autoresearch_ray.driver.tables.sources import is_running
from autoresearch_ray.search.watches.suggestions import leave_suggestion


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m autoresearch_ray.suggest", description="Put an idea of your own into a run's queue."
    )
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="a run's folder, such as runs/TAG")
    parser.add_argument(
        "file", type=Path, nargs="?", metavar="FILE", help="a train.py, a file of the run's script, or a .patch"
    )
    parser.add_argument("--from-run", type=Path, metavar="RUN", help="in the place of FILE: each win of another run")
    parser.add_argument("--hypothesis", default="", help="why it should help; it becomes the commit's message")
    options = parser.parse_args(arguments)
    try:
        if (options.file is None) == (options.from_run is None):
            raise SettingsError("expected a FILE, or --from-run RUN; see python -m autoresearch_ray.suggest --help")
        if options.from_run is not None:
            suggestions, passed = wins_of(options.from_run, options.run_dir), ""
        else:
            suggestion, passed = check_suggestion(options.run_dir, options.file, options.hypothesis, _say)
            suggestions = [suggestion]
        for suggestion in suggestions:
            leave_suggestion(options.run_dir, suggestion)
    except AutoresearchError as error:
        _say(f"error: {error}")
        return 2
    except OSError as error:
        _say(f"error: {options.run_dir}: cannot be written ({error.strerror}); expected the run's own user")
        return 2
    when = "the launch that runs takes it now" if is_running(options.run_dir) else "the run takes it when it is resumed"
    wins = f"{len(suggestions)} win{'s' * (len(suggestions) != 1)} of {options.from_run}"
    STDOUT.write(f"{f'passed {passed}' if passed else wins}; {when}\n")
    return 0


def _say(line: str) -> None:
    STDERR.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
