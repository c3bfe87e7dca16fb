"""A real search among changes that change nothing: each draws other initial numbers. It should end without a win.

    python experiments/benchmarks/redraws.py [--trials 60] [--runs-dir runs] [--tag redraws]

Every proposal multiplies the seed of the shipped train.py's initial numbers by another constant: the same program in
distribution, and no longer equal to its parent on equal seeds, which makes its pairs as noisy as pairs can be. With two
slots 60 trials of the CPU experiment take about seven minutes.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from autoresearch_ray.propose.llm.prompt.view import SearchView
from autoresearch_ray.propose.own import OwnIdea
from autoresearch_ray.store.history import read_history

HERE = Path(__file__).resolve()
MULTIPLIER = 1_000_003  # of the seed, in train.py


class Redraw:
    """Proposes other initial numbers, for ever."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def propose(self, view: SearchView) -> Iterator[OwnIdea]:
        """As many as are asked for."""
        line = next(line for line in view.frontier.text.splitlines() if "manual_seed(seed * " in line)
        before = line.split("seed * ")[1].split(" ")[0]
        for _ in range(view.ideas):
            number = next(self._numbers)
            text = view.frontier.text.replace(f"seed * {before}", f"seed * {MULTIPLIER + 2 * number:_}")
            yield OwnIdea(text, f"Initial numbers, draw {number}.")


def main() -> None:
    """Launch, then say what was kept."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("--tag", default="redraws")
    options = parser.parse_args()
    command = [sys.executable, "-m", "autoresearch_ray.launch", str(HERE.parents[1] / "cpu.yaml"), "--plain"]
    command += ["--proposer", f"own:{HERE.stem}:Redraw", "--trials", str(options.trials), "--tag", options.tag]
    path = os.pathsep.join(filter(None, (str(HERE.parent), str(HERE.parents[2]), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [*command, "--runs-dir", str(options.runs_dir)], env=os.environ | {"PYTHONPATH": path}, check=False
    )
    if done.returncode:
        sys.exit(done.returncode)
    steps = read_history(options.runs_dir / options.tag / "state.db").steps
    moves = {kind: sum(step.kind == kind for step in steps) for kind in ("advance", "drop", "keep")}
    print(
        f"the frontier moved {moves['advance']} times, and {moves['drop']} times back; "
        f"{moves['keep']} wins, each of them false"
    )


if __name__ == "__main__":
    main()
