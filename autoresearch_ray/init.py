"""The experiments, scripts, notebooks and program.md that ship, to edit: `python -m autoresearch_ray.init [FOLDER]`.

A file that is there already is left as it is. `launch` in that folder takes its own `experiments/` and `program.md`
before those that ship.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from autoresearch_ray.common.output import STDERR, STDOUT
from autoresearch_ray.common.paths import EXPERIMENTS, PROGRAM, write_whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m autoresearch_ray.init", description=__doc__.split(":", 1)[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path(), metavar="FOLDER", help="default: here")
    folder = parser.parse_args(arguments).folder
    try:
        experiments, notebooks = (sorted(EXPERIMENTS.glob(pattern)) for pattern in ("*.yaml", "*.ipynb"))
        scripts = sorted(path for path in EXPERIMENTS.glob("scripts/*/*") if path.is_file())
        for source in [*experiments, EXPERIMENTS / "train.py", *scripts, *notebooks, PROGRAM]:
            target = folder / source.relative_to(PROGRAM.parent)
            if target.exists():
                STDOUT.write(f"{target}: is there, left as it is\n")
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, source.read_bytes())
            STDOUT.write(f"{target}: written\n")
    except OSError as error:
        STDERR.write(f"error: {folder}: cannot be written ({error.strerror}); choose another folder\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
