"""One asking of a language model, for people who tune program.md: what it is sent, and what it proposes.

The model is asked once, and asked again to mend what cannot be used. Nothing is queued and no result is changed.
"""

import asyncio
import difflib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from autoresearch_ray.benchmark.data.dataset import prepare
from autoresearch_ray.candidate.normal_form import code_lines, normal_sha
from autoresearch_ray.candidate.rules import check_for
from autoresearch_ray.common.errors import AutoresearchError, SettingsError
from autoresearch_ray.driver.new_run import new_run
from autoresearch_ray.observe.facts import noise
from autoresearch_ray.propose.llm.calls import Answer
from autoresearch_ray.propose.llm.conversation import Conversation, Gates, Idea
from autoresearch_ray.propose.llm.prices import Price
from autoresearch_ray.propose.llm.prompt.earlier_text import earlier_text
from autoresearch_ray.propose.llm.prompt.past import view_of
from autoresearch_ray.propose.llm.prompt.tokens import token_count
from autoresearch_ray.propose.llm.prompt.view import Moment, SearchView
from autoresearch_ray.propose.llm.providers.keys import Key
from autoresearch_ray.propose.llm.providers.retry import Retrying
from autoresearch_ray.propose.llm.window import Window
from autoresearch_ray.propose.own import OwnProposer, load_proposer
from autoresearch_ray.records.decisions import Standing, Step
from autoresearch_ray.records.history import History
from autoresearch_ray.records.proposers import dollars
from autoresearch_ray.records.trials import Candidate
from autoresearch_ray.search.models.access import AskedMind, Mind, Model, connect_model, model_keys, price_of
from autoresearch_ray.search.models.dry_runs import make_dry_runner
from autoresearch_ray.search.models.experiment_view import experiment_view
from autoresearch_ray.search.models.proposer import form_of
from autoresearch_ray.search.past_reader import start_standing
from autoresearch_ray.settings.experiment import Experiment
from autoresearch_ray.settings.proposer_spec import MODELS, OWN, PROVIDERS
from autoresearch_ray.settings.request import Request
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.connect import read_run


@dataclass(frozen=True, slots=True)
class Asking:
    """The settings and history that a request to a model is about."""

    settings: RunSettings
    history: History | None  # None: before the first trial
    program: str
    ideas: int


def asking(request: Request, run_dir: Path | None, ideas: int) -> Asking:
    """The question for the one model of this request, in the middle of that run. SettingsError."""
    run = new_run(request, "propose")
    if run.proposers[0].name not in MODELS:
        raise SettingsError(f"--proposer {run.proposers[0].label}: is no language model; expected NAME:MODEL")
    if ideas < 1:
        raise SettingsError(f"--ideas {ideas}: expected at least 1")
    history = read_run(run_dir) if run_dir is not None else None
    return Asking(run.settle(run.slots or 1), history, run.program, ideas)


def prompt_text(asking: Asking) -> str:
    """The whole prompt, and its number of tokens."""
    prompt = Window(asking.settings.context_tokens or 0).prompt(_view(asking))
    texts = [prompt.system, prompt.context, *(message.text for message in prompt.messages)]
    tokens = sum(map(token_count, texts))
    return "\n\n".join([*texts, f"[{tokens} tokens; an answer may take {prompt.max_answer_tokens}]"]) + "\n"


def ask_model(asking: Asking, say: Callable[[str], None]) -> tuple[str, AutoresearchError | None]:
    """The model's ideas, each as a diff or with the reason for its refusal, and the error that ended it, if any."""
    view = _view(asking)
    conversation = _ask(asking, view, say)
    spec = asking.settings.proposers[0]
    price = price_of(spec, asking.settings) if spec.name in PROVIDERS else None
    return _outcome_text(conversation, view.frontier.text, price), conversation.error


def _view(asking: Asking) -> SearchView:
    start = start_standing(asking.settings.baseline)
    history = asking.history or History(asking.settings.model_dump(), (), (), {}, {})
    frontier, best = standings(history, asking.settings.rules.complexity_price) or (start, start)
    sd, degrees = noise(history)
    moment = Moment(
        program=asking.program,
        experiment=experiment_view(asking.settings),
        complexity_price=asking.settings.rules.complexity_price,
        advance_sd=asking.settings.rules.worthwhile_sd,
        frontier=frontier,
        best=best,
        noise_sd=sd,
        noise_degrees=degrees,
        queued=(),
        ideas=asking.ideas,
    )
    candidates = {start.source_sha: Candidate.of(asking.settings.baseline)} | history.candidates
    view = view_of(replace(history, candidates=candidates), moment)
    return replace(view, form=form_of(asking.settings.proposers[0]), earlier=earlier_text(history.earlier))


def standings(history: History, price: float) -> tuple[Standing, Standing] | None:
    """Frontier and best as the steps left them, at this price of a code line; None before the start."""
    frontier = best = None
    for step in history.steps:
        standing = _standing(step, history.candidates[step.source_sha].text, price)
        if step.kind in ("start", "keep"):
            best = standing
        frontier = standing if step.kind != "keep" else frontier
    return None if frontier is None or best is None else (frontier, best)


def _standing(step: Step, text: str, price: float) -> Standing:
    lines = code_lines(text)
    objective = step.val_bpb + price * lines
    return Standing(step.source_sha, objective, step.val_bpb, lines, step.index, step.at)


def _ask(asking: Asking, view: SearchView, say: Callable[[str], None]) -> Conversation:
    settings, spec = asking.settings, asking.settings.proposers[0]
    with model_keys(settings) as keys:
        if isinstance(settings.experiment, Experiment):
            prepare(settings.experiment, say)
        if spec.name == OWN:
            return asyncio.run(_conversation(asking, view, OwnProposer(load_proposer(spec.model)), say))
        return asyncio.run(_ask_by_calls(asking, view, connect_model(spec, Key(keys[spec.label]), settings), say))


async def _ask_by_calls(asking: Asking, view: SearchView, model: Model, say: Callable[[str], None]) -> Conversation:
    window = Window(asking.settings.context_tokens or 0)
    try:
        return await _conversation(asking, view, AskedMind(Retrying(model), window), say)
    finally:
        if window.remark:
            say(f"{model.who}: {window.remark}")
        await model.close()


async def _conversation(asking: Asking, view: SearchView, mind: Mind, say: Callable[[str], None]) -> Conversation:
    history = asking.history
    rows, candidates = (history.rows, history.candidates) if history else ((), {})
    tried = {normal_sha(candidates[row.trial.proposal.source_sha].text): row.trial.trial_id for row in rows}
    dry_runner = make_dry_runner(asking.settings)
    gates = Gates(
        check=lambda text: check_for(asking.settings)(text, len(asking.program.splitlines())),
        find_duplicate=lambda text: tried.get(normal_sha(text)),
        dry_run=dry_runner.run,
    )

    async def accept(idea: Idea) -> None:
        say(f"idea {idea.number} passed every gate")

    try:
        return await mind.converse(view, gates, accept)
    finally:
        dry_runner.close()


def _outcome_text(conversation: Conversation, source: str, price: Price | None) -> str:
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
    parts += [f"{calls}, {given} tokens in, {made} out, {_cost(answers, price)}, {seconds:.1f} s"] if answers else []
    return "\n\n".join(parts) + "\n" if parts else ""


def _cost(answers: list[Answer], price: Price | None) -> str:
    """The cost by the calls' own account, else by the tokens' price."""
    told = [answer.micros for answer in answers if answer.micros is not None]
    if len(told) == len(answers):
        return dollars(sum(told))
    if price is None:
        return "cost not known"
    return dollars(
        sum(price.micros(a.input_tokens, a.cached_tokens, a.written_tokens, a.output_tokens) for a in answers)
    )
