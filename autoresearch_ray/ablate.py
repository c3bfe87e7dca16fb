"""What is each part of a run's best worth? Every change that led to it is taken out alone and measured on fresh seeds.

    python -m autoresearch_ray.ablate RUN_DIR [--pairs 4]

Nothing of the search is changed: what was measured goes into RUN_DIR/ablations.jsonl, and the report has it as a table.
Exit status: 0 measured, 2 the request is wrong, 130 interrupted; the seeds until then are kept.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from autoresearch_ray.common.errors import AutoresearchError, SettingsError
from autoresearch_ray.common.output import STDERR, STDOUT
from autoresearch_ray.common.paths import REPORT_FILE
from autoresearch_ray.driver.ablations import check_parts, find_parts, measure_ablation
from autoresearch_ray.driver.files import rebuild
from autoresearch_ray.driver.transfers import read_proven
from autoresearch_ray.observe import facts
from autoresearch_ray.observe.ablations import Ablation, ablation_rows, keep_ablation
from autoresearch_ray.records.trials import Isolation


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m autoresearch_ray.ablate", description="Measure what each part of a run's best is worth."
    )
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="a run's folder, such as runs/TAG")
    parser.add_argument("--pairs", type=int, default=4, help="seeds on which the best and each part run (default: 4)")
    parser.add_argument("--isolation", choices=get_args(Isolation), help="(default: the run's)")
    options = parser.parse_args(arguments)
    ablation: Ablation | None = None
    status = 0
    try:
        proven = read_proven(options.run_dir, options.pairs)
        isolation = options.isolation or proven.settings.isolation
        parts = check_parts(find_parts(proven), proven.settings.train_experiment, isolation, _say)
        if not any(part.without is not None for part in parts):
            raise SettingsError(f"{options.run_dir}: no part of its best can be taken out alone")
        try:
            for ablation in measure_ablation(proven, parts, isolation, options.pairs, _say):
                done = max(len(part.pairs) for part in ablation.parts)
                _say(f"seed {done} of {options.pairs} done")
        except KeyboardInterrupt:
            status = 130
        if ablation is not None:
            keep_ablation(options.run_dir, ablation)
            rebuild(options.run_dir)
            for what, lines, pairs, worth, verdict in ablation_rows(ablation, facts.score_words(proven.history)):
                STDOUT.write(f"{worth:<30}  {lines:>4} lines  {pairs} pairs  {verdict}: {what}\n")
            STDOUT.write(f"{options.run_dir / REPORT_FILE}\n")
    except AutoresearchError as error:
        _say(f"error: {error}")
        return 2
    return status


def _say(line: str) -> None:
    STDERR.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
