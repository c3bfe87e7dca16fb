"""What the search itself costs: a simulated run with many slots and trials, its CPU time a trial, and its memory.

    python experiments/benchmarks/search_speed.py [EXPERIMENT] [--slots 256] [--trials 10000] [--profile 0]

Queue, tuner, search, decisions, merges, store and lineage work as in a run; trials cost nothing (`simulate.py`). Prints
the CPU time of a trial along the run (of this process; git's own apart), which must not grow, the peak of its memory
and the size of its store. CPU time, for a machine's other work leaves it nearly alone. `--profile 25` adds the 25
functions that took most, and makes everything slower.
"""

import argparse
import cProfile
import logging
import pstats
import resource
import tempfile
import time
from pathlib import Path

from autoresearch_ray.common.paths import EXPERIMENTS, STORE_FILE
from autoresearch_ray.driver.simulated_run import simulate_run
from autoresearch_ray.search.worlds.world import Conditions
from autoresearch_ray.settings.request import ask


class Watch:
    """CPU seconds by trials done."""

    def __init__(self) -> None:
        self._seen = [(0, time.process_time())]

    def __call__(self, line: str) -> None:
        """Hear of progress: `N of M trials`."""
        count, now = int(line.split()[0]), time.process_time()
        before, then = self._seen[-1]
        if count > before:
            print(f"{count:8} trials   {1e3 * (now - then) / (count - before):6.1f} ms of CPU each", flush=True)
            self._seen.append((count, now))


def main() -> None:
    """One run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("experiment", nargs="?", type=Path, default=EXPERIMENTS / "t4.yaml")
    parser.add_argument("--slots", type=int, default=256)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--profile", type=int, default=0)
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    request = ask(
        experiment=options.experiment,
        trials=options.trials,
        slots=options.slots,
        seed=options.seed,
        isolation="none",
    )
    profile = cProfile.Profile()
    with tempfile.TemporaryDirectory(prefix="search-speed-") as scratch:
        folder, began = Path(scratch) / "run", time.monotonic()
        if options.profile:
            profile.enable()
        found = simulate_run(request, Conditions(landscape="bowl"), folder, Watch())
        profile.disable()
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        own, git = (usage.ru_utime + usage.ru_stime for usage in used)
        wall = time.monotonic() - began
        print(f"{found.trials} trials on {options.slots} slots: {wall:.0f} s, {own:.0f} s of them CPU")
        print(f"git {git:.0f} s of CPU; memory {used[0].ru_maxrss / 1024:.0f} MB at most")
        print(
            f"store {(folder / STORE_FILE).stat().st_size / 1e6:.0f} MB; best {found.best:+.1f} sd, {found.wins} wins"
        )
    if options.profile:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(options.profile)


if __name__ == "__main__":
    main()
