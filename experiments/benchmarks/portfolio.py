"""Slots shared as earned against slots shared by fixed weights, on worlds where proposers and directions differ.

    python experiments/benchmarks/portfolio.py [--worlds 24] [--size 200x4] [--parts 1.0 0.8] [--seed-share 0.9]

Fixed weights give every proposer and every direction its turn. `earned` is the project's portfolio
(`decide/portfolio.py`) on so large a part of the trials. A cell is the mean true gain of the proven best in sd of one
run, with the standard error over worlds.
"""

import argparse
import math
from concurrent.futures import ProcessPoolExecutor
from statistics import fmean, stdev

from policy_sim.arms import SCENARIOS, ArmsRun, ArmsWorld

from autoresearch_ray.settings.decision_rules import Rules

Job = tuple[str, int, int, int, float, bool]


def measure(job: Job) -> tuple[float, float, dict[str, int]]:
    """The proven gain, the frontier's, and the screens of each proposer."""
    name, seed, trials, slots, share, earned = job
    world = ArmsWorld(SCENARIOS[name], seed, share)
    run = ArmsRun(world, trials, slots, Rules(complexity_price=0.0), earned=earned)
    found = run()
    return found.best, found.frontier, dict(run.screens)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description="Compare ways to share slots among proposers and directions.")
    parser.add_argument("--worlds", type=int, default=24)
    parser.add_argument("--size", default="200x4", metavar="TRIALSxSLOTS")
    parser.add_argument("--parts", nargs="+", type=float, default=[1.0, 0.8], help="of the trials, for earned")
    parser.add_argument("--seed-share", type=float, default=0.9)
    parser.add_argument("--scenarios", nargs="+", default=list(SCENARIOS), choices=SCENARIOS)
    options = parser.parse_args()
    trials, slots = map(int, options.size.split("x"))
    columns = "".join(f"{f'earned, {part:g}':>18}" for part in options.parts)
    print(f"{options.worlds} worlds, {options.size}: proven gain, sd\n{'':26}{'fixed':>18}{columns}   screens")
    totals: list[list[float]] = [[] for _ in range(1 + len(options.parts))]
    with ProcessPoolExecutor() as pool:
        for name in options.scenarios:
            cells, last = list[str](), dict[str, int]()
            for place, part in enumerate([0.0, *options.parts]):
                jobs = [
                    (name, seed, round(trials * (part or 1)), slots, options.seed_share, part > 0)
                    for seed in range(options.worlds)
                ]
                found = list(pool.map(measure, jobs, chunksize=4))
                gains, last = [one[0] for one in found], found[0][2]
                totals[place].append(fmean(gains))
                cells.append(f"{fmean(gains):10.2f} ± {stdev(gains) / math.sqrt(len(gains)):4.2f} ")
            print(f"{name:26}{''.join(f'{cell:>18}' for cell in cells)}   {last}", flush=True)
    print(f"{'mean':26}{''.join(f'{fmean(cells):11.2f}       ' for cells in totals)}")


if __name__ == "__main__":
    main()
