"""Does a run's win hold at another scale? Its start and its best again, as pairs, under other settings.

    python -m autoresearch_ray.transfer RUN_DIR --budget-seconds 60 [--set DEPTH=8] [--experiment E.yaml] [--pairs 4]

Nothing of the search is changed: what was measured goes into RUN_DIR/transfers.jsonl, and the report has it as a table.
Exit status: 0 measured, 2 the request is wrong, 130 interrupted; the pairs until then are kept.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from autoresearch_ray.common.errors import AutoresearchError
from autoresearch_ray.common.output import STDERR, STDOUT
from autoresearch_ray.common.paths import REPORT_FILE
from autoresearch_ray.driver.files import rebuild
from autoresearch_ray.driver.transfers import ask_transfer, measure_transfer
from autoresearch_ray.observe.pairs import Pair
from autoresearch_ray.observe.transfers import keep_transfer, transfer_rows
from autoresearch_ray.records.trials import Isolation
from autoresearch_ray.settings.score_words import ScoreWords


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m autoresearch_ray.transfer", description="Measure a run's start and best under other settings."
    )
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="a run's folder, such as runs/TAG")
    parser.add_argument("--budget-seconds", type=float, help="of training (default: the run's)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a constant, in both")
    parser.add_argument("--experiment", type=Path, help="another experiment's data, model sizes and device")
    parser.add_argument("--pairs", type=int, default=4, help="seeds on which both run (default: 4)")
    parser.add_argument("--isolation", choices=get_args(Isolation), help="(default: the run's)")
    options = parser.parse_args(arguments)
    pairs: list[Pair] = []
    failures: list[str] = []
    try:
        asked = ask_transfer(
            options.run_dir, options.experiment, options.budget_seconds, options.set, options.pairs, options.isolation
        )
        status = 0
        try:
            for pair, failed in measure_transfer(asked, _say):
                pairs.append(pair)
                failures += failed
                _say("\n".join([_pair_line(pair, len(pairs), len(asked.seeds)), *failed]))
        except KeyboardInterrupt:
            status = 130
        if pairs:
            transfer = asked.record(pairs, failures)
            keep_transfer(options.run_dir, transfer)
            rebuild(options.run_dir)
            ((settings, count, start, best, gain, verdict),) = transfer_rows([transfer], ScoreWords())
            STDOUT.write(f"{settings}: start {start}, best {best}, gain {gain} in {count} pairs: {verdict}\n")
            STDOUT.write(f"{options.run_dir / REPORT_FILE}\n")
    except AutoresearchError as error:
        _say(f"error: {error}")
        return 2
    return status


def _pair_line(pair: Pair, number: int, count: int) -> str:
    words = ScoreWords()
    told = f"start {words.score(pair.other, 'nan')}  best {words.score(pair.best, 'nan')}"
    return f"pair {number} of {count}: {told}" + ("" if math.isnan(pair.gain) else f"  gain {words.gain(pair.gain)}")


def _say(line: str) -> None:
    STDERR.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
