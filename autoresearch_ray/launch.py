"""The command line of a search.

    python -m autoresearch_ray.launch [EXPERIMENT] [--tag T] [--trials N] [--resume] ...

Its options are the fields of `request.Request`. Exit status: 0 done; 2 the request is wrong (one line on stderr); 130
interrupted, everything saved.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from autoresearch_ray.cluster.job import submit
from autoresearch_ray.common.errors import AutoresearchError, SettingsError
from autoresearch_ray.common.output import STDERR, STDOUT, open_standard_streams
from autoresearch_ray.driver.checkout.folder import write_experiment
from autoresearch_ray.driver.run import drive
from autoresearch_ray.settings.request import Request, ask, option_name


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message}; see python -m autoresearch_ray.launch --help")


def parse(arguments: Sequence[str]) -> Request:
    """The request of a command line; SettingsError if it is not one."""
    parser = _Parser(
        prog="python -m autoresearch_ray.launch", description="Search for a better train.py, and prove it."
    )
    for name, field in Request.model_fields.items():
        extra = field.json_schema_extra
        shown: dict[str, Any] = {"help": field.description} | (extra if isinstance(extra, dict) else {})
        if name == "experiment":
            parser.add_argument(name, nargs="?", **shown)
        elif isinstance(field.default, bool):
            parser.add_argument(option_name(name), dest=name, action="store_true", **shown)
        else:
            action = "append" if isinstance(field.default, tuple) else "store"
            parser.add_argument(option_name(name), dest=name, action=action, **shown)
    values = vars(parser.parse_args(arguments))
    return ask(**{name: value for name, value in values.items() if value is not None})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    open_standard_streams()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        request = parse(arguments)
        if request.submit is not None:
            return submit(request.submit, arguments, request.tag)
        if request.init_only:
            write_experiment(request.experiment, _say)
            return 0
        outcome = drive(request)
    except AutoresearchError as error:
        STDERR.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        STDERR.write("interrupted before the search had begun\n")
        return 130
    STDOUT.write("\n".join(outcome.summary) + "\n")
    if outcome.failure:
        STDERR.write(f"error: {outcome.failure}; see {outcome.run_dir}/trials\n")
        return 2
    return 130 if outcome.interrupted else 0


def _say(line: str) -> None:
    STDOUT.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
