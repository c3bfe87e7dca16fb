"""Where a run's models are asked to look: what all results say, the directions that follow, and your word on them.

    python -m autoresearch_ray.direct RUN_DIR                  what all results say, and the directions now
    python -m autoresearch_ray.direct RUN_DIR --edit [FILE]    write them yourself: in your editor, or from a file
    python -m autoresearch_ray.direct RUN_DIR --pin | --release | --off | --on

Your directions hold until you release them; program.md stands above them. A run that is under way takes an edit within
a second, another when it is resumed. Exit status: 0 shown or handed over, 2 it cannot be.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from autoresearch_ray.common.errors import AutoresearchError
from autoresearch_ray.common.output import STDERR, STDOUT
from autoresearch_ray.driver.directing import edit, show


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m autoresearch_ray.direct", description="Where a run's models are asked to look."
    )
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="a run's folder, such as runs/TAG")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--show", action="store_true", help="findings and directions now (the default)")
    what.add_argument("--edit", nargs="?", const=True, metavar="FILE", help="write directions yourself, and pin them")
    what.add_argument("--pin", action="store_true", help="keep the directions as they are")
    what.add_argument("--release", action="store_true", help="let director or statistics write them again")
    what.add_argument("--off", action="store_true", help="show no prompt any directions")
    what.add_argument("--on", action="store_true", help="show them again")
    options = parser.parse_args(arguments)
    try:
        if options.edit is not None:
            file = None if options.edit is True else Path(options.edit)
            STDOUT.write(edit(options.run_dir, "edit", file) + "\n")
            return 0
        for action in ("pin", "release", "off", "on"):
            if getattr(options, action):
                STDOUT.write(edit(options.run_dir, action, None) + "\n")
                return 0
        STDOUT.write("".join(f"{line}\n" for line in show(options.run_dir)))
    except AutoresearchError as error:
        STDERR.write(f"error: {error}\n")
        return 2
    except OSError as error:
        STDERR.write(f"error: {options.run_dir}: cannot be written ({error.strerror}); expected the run's own user\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
