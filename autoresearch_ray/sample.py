"""Text from the trained model of a run's best, as it comes.

    python -m autoresearch_ray.sample RUN_DIR [--prompt TEXT] [--tokens N] [--temperature T] [--seed S]

The run has kept the model if it was launched with --keep-weights best. The model's code was written by the search, so
it runs behind the walls that it was trained behind. Exit status: 0 written, 2 it cannot be, 130 interrupted.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from autoresearch_ray.common.errors import AutoresearchError
from autoresearch_ray.common.output import STDERR, STDOUT
from autoresearch_ray.common.text import visible
from autoresearch_ray.driver.best_model import describe_kept, find_kept, load_best
from autoresearch_ray.records.trials import Isolation


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m autoresearch_ray.sample", description="Text from the trained model of a run's best."
    )
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="a run's folder, such as runs/TAG")
    parser.add_argument("--prompt", default="", metavar="TEXT", help="that the text goes on from (default: nothing)")
    parser.add_argument("--tokens", type=int, default=200, metavar="N", help="at most so many (default: 200)")
    parser.add_argument(
        "--temperature", type=float, default=0.8, metavar="T", help="0: the likeliest token each time (default: 0.8)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the choice of tokens (default: 0)")
    parser.add_argument("--isolation", choices=get_args(Isolation), help="(default: the run's)")
    options = parser.parse_args(arguments)
    wrong = _find_wrong(options)
    if wrong:
        STDERR.write(f"error: {wrong}\n")
        return 2
    try:
        STDERR.write(describe_kept(options.run_dir, find_kept(options.run_dir)) + "\n")
        with load_best(options.run_dir, options.isolation) as model:
            STDOUT.write(visible(options.prompt))
            for piece in model.stream(options.prompt, options.tokens, options.temperature, options.seed):
                STDOUT.write(visible(piece))
        STDOUT.write("\n")
    except AutoresearchError as error:
        STDERR.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        STDOUT.write("\n")
        return 130
    return 0


def _find_wrong(options: argparse.Namespace) -> str:
    """The first wrong option in one line; "" if none is."""
    if options.tokens < 1:
        return f"--tokens {options.tokens}: expected 1 or more"
    if not 0 <= options.temperature < float("inf"):
        return f"--temperature {options.temperature:g}: expected a number, 0 or more"
    if not 0 <= options.seed < 1 << 63:
        return f"--seed {options.seed}: expected a number, 0 or more"
    return ""


if __name__ == "__main__":
    sys.exit(main())
