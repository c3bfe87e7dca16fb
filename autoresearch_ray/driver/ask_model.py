"""One asking of a language model, for people who tune program.md: what it is sent, and what it proposes.

    python -m autoresearch_ray.propose EXPERIMENT --proposer anthropic:MODEL [--run RUN_DIR] [--dry-run]

`--dry-run` prints the prompt and sends nothing; without it the model is asked once (and asked again to mend what
cannot be used), and each idea is printed as a diff, or with the reason why it is none. Nothing is queued and no
result is changed.
"""

import argparse
import asyncio
import difflib
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autoresearch_ray.benchmark.data.dataset import prepare
from autoresearch_ray.benchmark.trial.dryrun import DryRunner
from autoresearch_ray.candidate.normal_form import code_lines, normal_sha
from autoresearch_ray.candidate.rules import check_candidate
from autoresearch_ray.decide.state import Rules
from autoresearch_ray.driver.resolve import fresh_settings
from autoresearch_ray.errors import AutoresearchError, SettingsError
from autoresearch_ray.observe.facts import noise
from autoresearch_ray.propose.llm.calls import Prompt
from autoresearch_ray.propose.llm.prompt.past import Moment, view_of
from autoresearch_ray.propose.llm.prompt.prompt import build_prompt
from autoresearch_ray.propose.llm.prompt.tokens import token_count
from autoresearch_ray.propose.llm.prompt.view import SearchView
from autoresearch_ray.propose.llm.providers.connect import connect
from autoresearch_ray.propose.llm.providers.keys import Key
from autoresearch_ray.propose.llm.providers.provider import Provider
from autoresearch_ray.propose.llm.providers.retry import Retrying
from autoresearch_ray.propose.llm.session import Conversation, Gates, Idea, propose
from autoresearch_ray.records import History, Standing, Step
from autoresearch_ray.search.model_access import base_url, model_keys
from autoresearch_ray.search.model_proposers import experiment_view, unmeasured
from autoresearch_ray.settings import PROVIDERS, SQLITE, Request, RunSettings, checked
from autoresearch_ray.store.connect import read_run


@dataclass(frozen=True, slots=True)
class Asking:
    """What the model is asked about."""

    settings: RunSettings
    history: History | None  # None: before the first trial
    program: str
    ideas: int


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 done, 2 the request is wrong or the model cannot be asked."""
    parser = argparse.ArgumentParser(
        prog="python -m autoresearch_ray.propose", description="Ask a model for ideas, once."
    )
    parser.add_argument("experiment", type=Path, help="an experiment's YAML file")
    parser.add_argument("--proposer", required=True, metavar="NAME:MODEL", help="anthropic, gemini or openai")
    parser.add_argument("--llm-base-url", help="of a vLLM, Ollama or llama.cpp server, for openai:MODEL")
    parser.add_argument("--program", type=Path, help="what steers the search (default: program.md)")
    parser.add_argument("--run", type=Path, help="ask as in the middle of this run (default: before the first trial)")
    parser.add_argument("--ideas", type=int, default=3, help="how many to ask for (default: 3)")
    parser.add_argument("--dry-run", action="store_true", help="print the prompt and send nothing")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("autoresearch_ray").setLevel(logging.INFO)  # and not the SDKs' own news
    try:
        asking = _asking(options)
        view = _view(asking)
        if options.dry_run:
            sys.stdout.write(_prompt_text(build_prompt(view)))
            return 0
        conversation = _asked(asking, view)
        sys.stdout.write(_outcome_text(conversation, view.frontier.text))
        if conversation.error is not None:
            raise conversation.error
    except AutoresearchError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


def _asking(options: argparse.Namespace) -> Asking:
    request = Request(
        experiment=options.experiment,
        proposers=(options.proposer,),
        program=options.program,
        llm_base_url=options.llm_base_url,
    )
    settings = fresh_settings(checked(request), "propose", SQLITE)
    if settings.proposers[0].name not in PROVIDERS:
        raise SettingsError(f"--proposer {options.proposer}: is no language model; expected NAME:MODEL")
    if options.ideas < 1:
        raise SettingsError(f"--ideas {options.ideas}: expected at least 1")
    history = read_run(options.run) if options.run is not None else None
    return Asking(settings, history, settings.program, options.ideas)


def _view(asking: Asking) -> SearchView:
    start = unmeasured(asking.settings.baseline)
    history = asking.history or History(asking.settings.model_dump(), (), (), {}, {})
    frontier, best = standings(history) or (start, start)
    sd, degrees = noise(history)
    moment = Moment(
        program=asking.program,
        experiment=experiment_view(asking.settings),
        complexity_price=Rules().complexity_price,
        advance_sd=Rules().advance_sd,
        frontier=frontier,
        best=best,
        noise_sd=sd,
        noise_degrees=degrees,
        queued=(),
        ideas=asking.ideas,
    )
    sources = {start.source_sha: asking.settings.baseline} | history.sources
    return view_of(replace(history, sources=sources), moment)


def standings(history: History) -> tuple[Standing, Standing] | None:
    """Frontier and best as the steps left them; None before the start."""
    frontier = best = None
    for step in history.steps:
        standing = _standing(step, history.sources[step.source_sha])
        if step.kind in ("start", "keep"):
            best = standing
        frontier = standing if step.kind in ("start", "advance") else best if step.kind == "drop" else frontier
    return None if frontier is None or best is None else (frontier, best)


def _standing(step: Step, text: str) -> Standing:
    lines = code_lines(text)
    objective = step.val_bpb + Rules().complexity_price * lines
    return Standing(step.source_sha, objective, step.val_bpb, lines, step.index, step.at)


def _asked(asking: Asking, view: SearchView) -> Conversation:
    settings, spec = asking.settings, asking.settings.proposers[0]
    with model_keys(settings) as keys:
        prepare(settings.experiment, _say)
        provider = connect(spec.name, spec.model, Key(keys[spec.label]), base_url(spec, settings))
        return asyncio.run(_conversation(asking, view, provider))


async def _conversation(asking: Asking, view: SearchView, provider: Provider) -> Conversation:
    history = asking.history
    rows, sources = (history.rows, history.sources) if history else ((), {})
    tried = {normal_sha(sources[row.trial.proposal.source_sha]): row.trial.trial_id for row in rows}
    dry_runner = DryRunner(asking.settings.experiment, asking.settings.isolation)
    gates = Gates(
        check=lambda text: check_candidate(text, len(asking.program.splitlines())),
        known=lambda text: tried.get(normal_sha(text)),
        dry_run=dry_runner.run,
    )

    async def accept(idea: Idea) -> None:
        _say(f"idea {idea.number} passed every gate")

    try:
        return await propose(Retrying(provider), build_prompt(view), view.frontier.text, gates, accept)
    finally:
        dry_runner.close()
        await provider.close()


def _prompt_text(prompt: Prompt) -> str:
    texts = [prompt.system, prompt.context, *(message.text for message in prompt.messages)]
    tokens = sum(map(token_count, texts))
    return "\n\n".join([*texts, f"[{tokens} tokens; an answer may take {prompt.max_answer_tokens}]"]) + "\n"


def _outcome_text(conversation: Conversation, source: str) -> str:
    parts = []
    for outcome in conversation.outcomes:
        parts.append(f"idea {outcome.number}: {outcome.hypothesis}")
        if isinstance(outcome, Idea):
            lines = difflib.unified_diff(
                source.splitlines(), outcome.text.splitlines(), "frontier", "idea", lineterm=""
            )
            parts.append("\n".join(lines))
        else:
            parts.append(f"rejected ({outcome.reason}): {outcome.detail}")
    answers = [exchange.answer for exchange in conversation.exchanges]
    given, made = sum(a.input_tokens for a in answers), sum(a.output_tokens for a in answers)
    seconds = sum(answer.seconds for answer in answers)
    calls = f"{len(answers)} call{'s' if len(answers) > 1 else ''}"
    parts += [f"{calls}, {given} tokens in, {made} out, {seconds:.1f} s"] if answers else []
    return "\n\n".join(parts) + "\n" if parts else ""


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
