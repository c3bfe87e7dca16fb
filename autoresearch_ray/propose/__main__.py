"""One asking of a language model, for people who tune program.md: what it is sent, and what it proposes.

    python -m autoresearch_ray.propose EXPERIMENT --proposer anthropic:MODEL [--run RUN_DIR] [--dry-run]

`--dry-run` prints the prompt and sends nothing; without it each idea is printed as a diff, or with the reason why it is
none. Nothing is queued and no result is changed. Exit status: 0 done; 2 the request is wrong or the model cannot be
asked.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from autoresearch_ray.common.errors import AutoresearchError
from autoresearch_ray.common.output import STDERR, STDOUT
from autoresearch_ray.driver.ask_model import ask_model, asking, prompt_text
from autoresearch_ray.settings.proposer_spec import KNOWN_PROPOSERS
from autoresearch_ray.settings.request import ask

PRICE_HELP = "dollars per million tokens, where they are not known or are others for you"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m autoresearch_ray.propose", description="Ask a model for ideas, once."
    )
    parser.add_argument("experiment", type=Path, help="an experiment's YAML file")
    parser.add_argument("--proposer", required=True, metavar="NAME:MODEL", help=KNOWN_PROPOSERS)
    parser.add_argument("--llm-base-url", help="of a vLLM, Ollama or llama.cpp server, for openai:MODEL")
    parser.add_argument("--context-tokens", type=int, help="window of the model (default: as a refusal names it)")
    parser.add_argument("--price", action="append", default=[], metavar="MODEL=IN,OUT[,CACHED]", help=PRICE_HELP)
    parser.add_argument("--program", type=Path, help="what steers the search (default: program.md)")
    parser.add_argument("--run", type=Path, help="ask as in the middle of this run (default: before the first trial)")
    parser.add_argument("--ideas", type=int, default=3, help="how many to ask for (default: 3)")
    parser.add_argument("--dry-run", action="store_true", help="print the prompt and send nothing")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("autoresearch_ray").setLevel(logging.INFO)  # the SDKs' own loggers stay quiet
    try:
        request = ask(
            experiment=options.experiment,
            proposers=(options.proposer,),
            program=options.program,
            llm_base_url=options.llm_base_url,
            context_tokens=options.context_tokens,
            prices=tuple(options.price),
        )
        asked = asking(request, options.run, options.ideas)
        if options.dry_run:
            STDOUT.write(prompt_text(asked))
            return 0
        answer, failure = ask_model(asked, _say)
        STDOUT.write(answer)
        if failure is not None:
            raise failure
    except AutoresearchError as error:
        _say(f"error: {error}")
        return 2
    return 0


def _say(line: str) -> None:
    STDERR.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
