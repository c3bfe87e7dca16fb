"""The same search on virtual slots: what it finds, what its peers find, and what it costs the driver.

    python -m autoresearch_ray.simulate [EXPERIMENT] [--slots 16] [--trials 400] [--worlds 1] [--runs-dir DIR] ...
    python -m autoresearch_ray.simulate --policy ledger --policy greedy --policy tpe --worlds 8 --out policies.png

Queue, tuner, search, decisions, merges, store and lineage are those of a run, on files. Only trials are not run: a
made-up world over the candidate's own knobs (`search/worlds/`) says what they measure, and a clock jumps from one
trial's end to the next. The peers (`search/peers/`) run in the same worlds for the same GPU time. Seeded: the same
numbers again. It covers no Ray, no language model and no change of code.
"""

import argparse
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import NoReturn

from autoresearch_ray.common.errors import AutoresearchError, SettingsError
from autoresearch_ray.common.output import STDERR, STDOUT
from autoresearch_ray.common.paths import REPORT_FILE, write_whole
from autoresearch_ray.driver.files import rebuild
from autoresearch_ray.driver.new_run import choose_experiment
from autoresearch_ray.driver.simulated_run import simulate_peer, simulate_run
from autoresearch_ray.observe.comparison import Course, comparison_csv, comparison_table
from autoresearch_ray.observe.pictures.comparison import comparison_png
from autoresearch_ray.search.peers.clock import PEERS
from autoresearch_ray.search.simulation import LEDGER, Found
from autoresearch_ray.search.worlds.world import LANDSCAPES, Conditions
from autoresearch_ray.settings.request import Request, ask

USUAL = Conditions()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    logging.basicConfig(level=logging.ERROR)  # nothing is run, so nothing needs to be shut in
    try:
        options = _parser().parse_args(arguments)
        conditions, policies = _conditions(options), list(dict.fromkeys(options.policy)) or [LEDGER]
        _check_files(options.out)
        courses, found = list[Course](), list[Found]()
        for seed in range(options.seed, options.seed + options.worlds):
            for policy in policies:
                if policy == LEDGER:
                    found.append(_search(_request(options, seed), conditions, options.runs_dir))
                    courses += [found[-1].reported, found[-1].searched_from]
                else:
                    courses.append(_peer(policy, _request(options, seed), conditions))
        _sum_up(found, courses, options.out)
    except AutoresearchError as error:
        STDERR.write(f"error: {error}\n")
        return 2
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m autoresearch_ray.simulate", description="The same search on virtual slots, and its peers."
    )
    add = parser.add_argument
    add("experiment", nargs="?", type=Path, help="its candidate's knobs are searched (default: t4.yaml)")
    add("--slots", type=int, default=16, help="trials at once (default: %(default)s)")
    add("--trials", type=int, default=400,
        help="of the search; its peers get the GPU time of as many (default: %(default)s)")  # fmt: skip
    add("--worlds", type=int, default=1, help="that many, with the next seeds")
    add("--seed", type=int, default=0)
    add("--policy", action="append", default=[], choices=[LEDGER, *PEERS],
        help=f"who searches, repeatable (default: {LEDGER}, which is this search)")  # fmt: skip
    add("--out", action="append", default=[], type=Path, metavar="FILE.csv|FILE.png",
        help="write how each policy ended in each world, or a picture of the way there; repeatable")  # fmt: skip
    known = "tpe, random or tuner:MODULE:CLASS"
    add("--proposer", action="append", default=[], help=f"of {LEDGER}: {known}, with =WEIGHT (default: tpe)")
    add("--landscape", choices=LANDSCAPES, default=USUAL.landscape,
        help="rugged has interactions, a plateau and edges where training diverges (default: %(default)s)")  # fmt: skip
    add("--holds", type=float, nargs=2, default=USUAL.holds, metavar=("LEAST", "MOST"),
        help="sd of the noise that an important knob holds")  # fmt: skip
    add("--noise-sd", type=float, default=USUAL.noise_sd, help="of a score over seeds, in bits per byte")
    add("--seed-share", type=float, default=USUAL.seed_share, help="part of its variance that equal seeds share")
    add("--failures", type=float, default=USUAL.failures, help="share of trials that crash")
    add("--drift", type=float, default=USUAL.drift, metavar="SD",
        help="by which equal runs are worse at the end than at first, as the machine slows (default: 0)")  # fmt: skip
    add("--slow-slots", default="", metavar="SHARE:FACTOR",
        help="0.25:2 makes every fourth slot train half as many steps in its budget (default: none)")  # fmt: skip
    add("--runs-dir", type=Path, help=f"keep the runs of {LEDGER} there, with table and report (default: nowhere)")
    return parser


def _conditions(options: argparse.Namespace) -> Conditions:
    """What the worlds are like. SettingsError names the first option that is wrong."""
    for name, value in (("failures", options.failures), ("seed-share", options.seed_share)):
        _expect(0 <= value <= 1, f"--{name} {value:g}", "a share, 0 to 1")
    _expect(0 < options.noise_sd < 1, f"--noise-sd {options.noise_sd:g}", "bits per byte, above 0 and below 1")
    least, most = options.holds
    _expect(0 <= least <= most < 1000, f"--holds {least:g} {most:g}", "LEAST MOST, in sd of the noise")
    _expect(abs(options.drift) < 1000, f"--drift {options.drift:g}", "sd of the noise")
    _expect(options.worlds >= 1, f"--worlds {options.worlds}", "1 or more")
    share, factor = _slow(options.slow_slots)
    return Conditions(
        landscape=options.landscape,
        holds=(least, most),
        noise_sd=options.noise_sd,
        seed_share=options.seed_share,
        failures=options.failures,
        drift=options.drift,
        slow_share=share,
        slow_factor=factor,
    )


def _slow(text: str) -> tuple[float, float]:
    if not text:
        return USUAL.slow_share, USUAL.slow_factor
    share, _, factor = text.partition(":")
    try:
        numbers = float(share), float(factor)
    except ValueError:
        numbers = -1.0, -1.0
    _expect(0 <= numbers[0] <= 1 <= numbers[1] < 1000, f"--slow-slots {text}", "SHARE:FACTOR, say 0.25:2")
    return numbers


def _expect(holds: bool, said: str, expected: str) -> None:
    if not holds:
        raise SettingsError(f"{said}: expected {expected}")


def _check_files(paths: Sequence[Path]) -> None:
    for path in paths:
        _expect(path.suffix in (".csv", ".png"), f"--out {path}", "a name that ends in .csv or .png")
        _expect(path.parent.is_dir(), f"--out {path}", "a folder that is there")


def _request(options: argparse.Namespace, seed: int) -> Request:
    return ask(
        experiment=options.experiment or choose_experiment((7, 5)),
        trials=options.trials,
        slots=options.slots,
        proposers=tuple(options.proposer),
        seed=seed,
        isolation="none",
    )


def _search(request: Request, conditions: Conditions, runs_dir: Path | None) -> Found:
    seed = request.seed
    with tempfile.TemporaryDirectory(prefix="autoresearch-simulation-") as scratch:
        folder = (runs_dir or Path(scratch)) / f"simulated-{seed}"
        found = simulate_run(request, conditions, folder, lambda line: _say(f"  world {seed}: {line}"))
        _say(f"world {seed}: {_line(found)}")
        if runs_dir:
            rebuild(folder)
            _say(f"  {folder / REPORT_FILE}")
    return found


def _peer(policy: str, request: Request, conditions: Conditions) -> Course:
    course = simulate_peer(policy, request, conditions)
    _say(
        f"world {request.seed}: {policy}: {course.trials} trials on {course.slots} slots in {course.hours:.1f} h; "
        f"reported {course.last.gain:+.1f} sd, believed {course.last.believed:+.1f} sd"
    )
    return course


def _line(found: Found) -> str:
    wins = f"{found.wins} wins, {found.false_wins} false" + (
        f", told {found.bias:+.1f} sd too much" if found.wins else ""
    )
    return (
        f"{found.trials} trials on {found.reported.slots} slots in {found.hours:.1f} h, busy {found.busy:.0%}; "
        f"best {found.best:+.1f} sd, frontier {found.frontier:+.1f} sd; {wins}; "
        f"a trial took the search {found.search_ms[0]:.1f} ms at first and {found.search_ms[1]:.1f} ms at the end, "
        f"its proposal {found.proposer_ms[0]:.0f} and {found.proposer_ms[1]:.0f} ms"
    )


def _sum_up(found: Sequence[Found], courses: Sequence[Course], files: Sequence[Path]) -> None:
    """Means of the search, the table of all policies, and the files that were asked for."""
    if len(found) > 1:
        _say(
            f"mean: best {fmean(f.best for f in found):+.1f} sd, frontier {fmean(f.frontier for f in found):+.1f} sd, "
            f"{sum(f.false_wins for f in found)} of {sum(f.wins for f in found)} wins false"
        )
    if len(courses) > 2 or not found:  # more than one run
        _say(f"\nmedian over worlds (first to third quartile):\n{comparison_table(courses)}")
    for path in files:
        try:
            if path.suffix == ".csv":
                write_whole(path, comparison_csv(courses).encode())
            else:
                comparison_png(courses, path)
        except OSError as error:
            raise SettingsError(f"--out {path}: cannot be written ({error.strerror})") from None
        _say(f"  {path}")


def _say(line: str) -> None:
    STDOUT.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
