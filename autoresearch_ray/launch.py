"""The command line of a search.

    python -m autoresearch_ray.launch [EXPERIMENT] [--tag T] [--trials N] [--resume] ...

Exit status: 0 done; 2 the request is wrong (one line on stderr); 130 interrupted, everything saved.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from autoresearch_ray.cluster.job import submit
from autoresearch_ray.driver.run import run
from autoresearch_ray.errors import AutoresearchError, SettingsError
from autoresearch_ray.settings import AUTO, EARLY_STOP, ISOLATION, Request


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message}; see python -m autoresearch_ray.launch --help")


def _share(text: str) -> float | str:
    try:
        return text if text == AUTO else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a share of one GPU, 0 to 1, or {AUTO}") from None


def parse(arguments: Sequence[str]) -> Request:
    """The request of a command line; SettingsError if it is not one."""
    parser = _Parser(
        prog="python -m autoresearch_ray.launch", description="Search for a better train.py, and prove it."
    )
    parser.add_argument("experiment", nargs="?", type=Path, help="YAML file (default: what fits the hardware)")
    parser.add_argument("--tag", help="name of the run (default: day and time)")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"), help="where runs live (default: runs)")
    parser.add_argument("--trials", type=int, help="trials in all, replicates included (default: the experiment's)")
    parser.add_argument("--hours", type=float, help="wall-clock limit of this launch")
    parser.add_argument("--budget-seconds", type=float, help="training time of a trial (default: the experiment's)")
    parser.add_argument("--slots", type=int, help="trials at once (default: as many as fit)")
    parser.add_argument("--gpus-per-trial", type=_share, help="share of a GPU, 0 to 1, or auto: measure what is best")
    parser.add_argument("--cpus-per-trial", type=float, help="CPUs of a trial, also its threads")
    parser.add_argument(
        "--proposer",
        action="append",
        default=[],
        metavar="NAME[:MODEL][=WEIGHT]",
        help="who proposes: tpe, random, anthropic:MODEL, gemini:MODEL, openai:MODEL; repeatable (default: tpe)",
    )
    parser.add_argument("--program", type=Path, help="what steers the search (default: program.md)")
    parser.add_argument("--seed", type=int, help="seed of the search and of its trials (default: 0)")
    parser.add_argument("--resume", action="store_true", help="continue the run of --tag")
    parser.add_argument("--address", help="join this Ray cluster (default: start Ray here)")
    parser.add_argument("--early-stop", help=f"Tune's scheduler: {', '.join(EARLY_STOP)} (default: none)")
    parser.add_argument("--llm-base-url", help="of a vLLM, Ollama or llama.cpp server, for openai:MODEL")
    parser.add_argument("--max-cost-usd", type=float, help="what all model calls of the run may cost")
    parser.add_argument("--isolation", help=f"of candidates: {', '.join(ISOLATION)} (default: best that can be had)")
    parser.add_argument("--state", help="where the state is: sqlite or etcd://host:2379[,host2:2379] (default: sqlite)")
    parser.add_argument("--push-to", metavar="REMOTE", help="push every win to this git remote")
    parser.add_argument(
        "--storage",
        metavar="URL",
        help="keep a copy of everything there, and resume from it: s3://, gs://, a mounted folder; none ends it",
    )
    parser.add_argument(
        "--submit", metavar="URL", help="run as a job of the cluster whose dashboard this is, and follow it"
    )
    parser.add_argument("--plain", action="store_true", help="one line a decision instead of a live screen")
    values = vars(parser.parse_args(arguments))
    values["proposers"] = tuple(values.pop("proposer"))
    return Request(**values)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        request = parse(arguments)
        if request.submit is not None:
            return submit(request.submit, arguments, request.tag)
        outcome = run(request)
    except AutoresearchError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted before the search had begun\n")
        return 130
    sys.stdout.write("\n".join(outcome.summary) + "\n")
    if outcome.failure:
        sys.stderr.write(f"error: {outcome.failure}; see {outcome.run_dir}/trials\n")
        return 2
    return 130 if outcome.interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
