"""All commands under one name: `autoresearch-ray launch ...` is `python -m autoresearch_ray.launch ...`."""

import importlib
import sys
from collections.abc import Sequence

from autoresearch_ray import __version__
from autoresearch_ray.common.output import STDERR, STDOUT

COMMANDS = {
    "launch": "search for a better train.py, and prove it",
    "train": "one trial, printed as upstream prints it",
    "prepare": "data and tokenizer into the cache",
    "report": "a run's table, picture and report, again; several runs side by side",
    "export": "tables of runs as CSV, parquet or JSON lines",
    "transfer": "does a run's win hold at another scale",
    "ablate": "what each part of a run's best is worth",
    "sample": "text from the trained model of a run's best",
    "direct": "what all results say, and where models are asked to look",
    "watch": "a run's page in a browser, alive while the run goes",
    "suggest": "an idea of your own into a run's queue",
    "propose": "ask a model for ideas, once",
    "simulate": "the same search on virtual slots, beside its peers",
    "init": "the experiments, notebooks and program.md that ship, written here to edit",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    name = arguments[0] if arguments else "--help"
    if name in ("-h", "--help"):
        lines = [f"  {command:<9} {meaning}" for command, meaning in COMMANDS.items()]
        STDOUT.write("usage: autoresearch-ray COMMAND ...; COMMAND --help tells its options\n")
        STDOUT.write("\n".join(lines) + "\n")
        return 0
    if name == "--version":
        STDOUT.write(f"autoresearch_ray {__version__}\n")
        return 0
    if name not in COMMANDS:
        STDERR.write(f"error: {name}: unknown command; expected one of {', '.join(COMMANDS)}\n")
        return 2
    module = "propose.__main__" if name == "propose" else name
    status: int = importlib.import_module(f"autoresearch_ray.{module}").main(arguments[1:])
    return status


if __name__ == "__main__":
    sys.exit(main())
