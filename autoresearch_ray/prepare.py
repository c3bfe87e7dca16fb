"""Data and tokenizer of an experiment into the cache: `python -m autoresearch_ray.prepare EXPERIMENT`.

Progress goes to stderr, a summary to stdout. Run once, for instance on a machine with network; a launch does the same
by itself. A wrong request or an unreadable corpus is one line on stderr and exit status 2.
"""

import argparse
import logging
import sys
import time
from pathlib import Path

from autoresearch_ray.benchmark.data.build import SPLITS
from autoresearch_ray.benchmark.data.dataset import Dataset, prepare
from autoresearch_ray.common.errors import AutoresearchError
from autoresearch_ray.common.output import STDERR, STDOUT
from autoresearch_ray.settings.experiment_file import load_experiment


def main(arguments: list[str] | None = None) -> int:
    """Prepares one experiment's data; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m autoresearch_ray.prepare", description="Fill the data cache.")
    parser.add_argument("experiment", type=Path, help="an experiment's YAML file, for example experiments/cpu.yaml")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    started = time.monotonic()
    try:
        dataset = prepare(load_experiment(options.experiment), _say)
    except AutoresearchError as error:
        _say(f"error: {error}")
        return 2
    STDOUT.write(summary(dataset) + "\n")
    _say(f"ready after {time.monotonic() - started:.1f} s")
    return 0


def summary(dataset: Dataset) -> str:
    """The data set in a few lines for a person."""
    lines = [f"{dataset.name}: seq_len {dataset.seq_len}, vocab_size {dataset.vocab_size:,}"]
    for name in SPLITS:
        size = getattr(dataset, name)
        lines.append(
            f"  {name:8} {size.documents:>9,} documents {size.bytes / 1e6:>9,.2f} MB "
            f"{size.tokens:>13,} tokens {size.rows:>10,} rows {size.bytes / size.tokens:>6.3f} bytes per token"
        )
    return "\n".join([*lines, f"  fingerprint {dataset.fingerprint}", f"  folder      {dataset.folder}"])


def _say(line: str) -> None:
    STDERR.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
