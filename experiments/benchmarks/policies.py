"""Policies of decision on the same made-up worlds: what each truly gains, and how much of what it reports is none.

    python experiments/benchmarks/policies.py [--worlds 24] [--sizes 28x2 100x4 400x16] [--seed-shares 0 0.5 0.9]

Greedy keeps whatever scored lower (upstream's rule), with a new seed for every run or one seed for ever; `ours` are the
project's plan and decisions (`decide/`) with merges, on virtual slots; with overtime, up to 16 more trials may settle a
last proof. A row is a policy, a column a family of worlds (`policy_sim/worlds.py`); a cell the mean true gain in sd of
one run, ours of the proven best and of the frontier. In the family `nothing`, which must be asked for, no change does
anything: every win there is false. At the end of ours: how many trials it took, and how long, in trials' times.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from statistics import fmean

from policy_sim.policies import Found, Policy, greedy, ours
from policy_sim.worlds import FAMILIES, World

from autoresearch_ray.settings.decision_rules import Rules

POLICIES: dict[str, Policy] = {
    "greedy, new seeds": partial(greedy, one_seed=False),
    "greedy, one seed": partial(greedy, one_seed=True),
    "ours": ours(Rules(complexity_price=0.0)),
    "ours, overtime": ours(Rules(complexity_price=0.0), overtime=16),
}


def measure(job: tuple[str, str, int, int, int, float]) -> Found:
    """One policy on one world."""
    policy, family, seed, trials, slots, share = job
    return POLICIES[policy](World(FAMILIES[family], seed, share), trials, slots)


def main() -> None:
    """Print a table for each size."""
    parser = argparse.ArgumentParser(description="Compare policies of decision on made-up worlds.")
    parser.add_argument("--worlds", type=int, default=24, help="of each family")
    parser.add_argument("--sizes", nargs="+", default=["28x2", "100x4", "400x16"], metavar="TRIALSxSLOTS")
    parser.add_argument("--seed-shares", nargs="+", type=float, default=[0.0, 0.5, 0.9])
    families = [name for name in FAMILIES if name != "nothing"]
    parser.add_argument("--families", nargs="+", default=families, choices=FAMILIES)
    parser.add_argument("--policies", nargs="+", default=list(POLICIES), choices=POLICIES)
    options = parser.parse_args()
    with ProcessPoolExecutor() as pool:
        for size in options.sizes:
            trials, slots = map(int, size.split("x"))
            print(f"\n{trials} trials on {slots} slots, {options.worlds} worlds each: true gain of the best (frontier)")
            columns = "".join(f"{name:>15}" for name in [*options.families, "mean"])
            print(f"{'':20}{'seed share':>10}{columns}   wins that are none; runs with a win")
            for share in options.seed_shares:
                for policy in options.policies:
                    found = {
                        family: list(
                            pool.map(
                                measure,
                                [(policy, family, seed, trials, slots, share) for seed in range(options.worlds)],
                                chunksize=8,
                            )
                        )
                        for family in options.families
                    }
                    print(f"{policy:20}{share:10g}{row(found)}", flush=True)


def row(found: dict[str, list[Found]]) -> str:
    """The cells of one policy, by family."""
    cells = [(fmean(one.best for one in worlds), fmean(one.frontier for one in worlds)) for worlds in found.values()]
    cells.append((fmean(best for best, _ in cells), fmean(frontier for _, frontier in cells)))
    every = [one for worlds in found.values() for one in worlds]
    false, wins = sum(one.false_wins for one in every), sum(one.wins for one in every)
    shown = "".join(f"{best:8.2f} ({frontier:4.1f})" for best, frontier in cells)
    trials, ended = fmean(one.trials for one in every), fmean(one.ended for one in every)
    took = f"; {trials:.1f} in {ended:.1f}" if ended else ""
    return f"{shown}   {false} of {wins}; {fmean(one.wins > 0 for one in every):.1%}{took}"


if __name__ == "__main__":
    main()
