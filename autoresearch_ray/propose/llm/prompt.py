"""A prompt from a view of the search: pure, the same view gives the same prompt.

Three parts, from what changes least to what changes most, so that providers cache the beginning: the system text
(`contract.py`), the program with the experiment and the frontier's source, and the asking: numbers, history, task.
"""

import math
from collections.abc import Callable

from autoresearch_ray.errors import SettingsError
from autoresearch_ray.propose.llm.calls import Message, Prompt
from autoresearch_ray.propose.llm.contract import system_text
from autoresearch_ray.propose.llm.difference import difference
from autoresearch_ray.propose.llm.foreign import QUOTE, fenced, printable
from autoresearch_ray.propose.llm.history import history_text
from autoresearch_ray.propose.llm.tokens import token_count
from autoresearch_ray.propose.llm.view import ExperimentView, SearchView, StandingView

PROMPT_TOKENS = 24_000  # a fourth of it are contract, program and a frontier of 250 lines
HISTORY_TOKENS = 1_000  # at least, or a prompt is not worth sending
ANSWER_TOKENS = 16_000  # thinking included; a whole train.py of 300 lines takes 5,000


def build_prompt(
    view: SearchView,
    token_budget: int = PROMPT_TOKENS,
    *,
    answer_tokens: int = ANSWER_TOKENS,
    count: Callable[[str], int] = token_count,
) -> Prompt:
    """The prompt for the next ideas, at most `token_budget` tokens as `count` counts them.

    Contract, program and frontier are never cut; SettingsError if they leave the history less than 1,000 tokens.
    """
    system, context = system_text(view.complexity_price), context_text(view)
    numbers, task = standing_text(view), task_text(view)
    fixed = count(system) + count(context) + count(numbers) + count(task) + 8
    left = token_budget - fixed
    if left < HISTORY_TOKENS:
        raise SettingsError(
            f"a prompt of {token_budget} tokens: contract, program and frontier take {fixed} of them, expected at "
            f"least {HISTORY_TOKENS} for the history; allow {fixed + HISTORY_TOKENS} tokens or shorten the program"
        )
    asking = "\n\n".join(filter(None, (numbers, history_text(view, left, count), task)))
    return Prompt(system, context, (Message("user", asking),), answer_tokens)


def context_text(view: SearchView) -> str:
    """What changes with the frontier and with program.md alone."""
    return (
        f"# The program, by the owners of this search\n\n<program>\n{view.program.strip()}\n</program>\n\n"
        f"# The experiment\n\n{_experiment_text(view.experiment)}\n\n"
        f"# train.py, the frontier: every idea starts from exactly this text\n\n{fenced(view.frontier.text, 'python')}"
    )


def standing_text(view: SearchView) -> str:
    """Where the search stands, in numbers."""
    lines = ["# Where the search stands", "", f"Frontier: {_standing_text(view.frontier)}."]
    if view.best.text == view.frontier.text:
        lines.append("It is the proven best.")
    else:
        lines.append(f"Proven best: {_standing_text(view.best)}. The frontier differs from it by:")
        change = difference(view.best.text, view.frontier.text)
        lines += [QUOTE + printable(line) for line in (change.lines or (change.words(),))]
    if math.isnan(view.noise_sd):
        lines.append("Noise: not measured yet.")
    else:
        degrees = f"{view.noise_degrees} degrees of freedom"
        lines.append(f"Noise: the sd of one run's J is {view.noise_sd:.4f} ({degrees}).")
    lines.append(_tried_text(view))
    return "\n".join(lines)


def task_text(view: SearchView) -> str:
    """What is asked for."""
    ideas = "one idea" if view.ideas == 1 else f"{view.ideas} ideas, the most promising first"
    return (
        f"# Your task\n\nPropose {ideas}, in the format of the system text, for the train.py above. It may grow by at "
        f"most {max(0, view.lines_left)} lines, comments included."
    )


def _experiment_text(experiment: ExperimentView) -> str:
    return (
        f"{experiment.name}: text of {experiment.data}, sequences of {experiment.seq_len} tokens, vocabulary "
        f"{experiment.vocab_size}, {experiment.budget_seconds:g} s of training on one share of {experiment.device} "
        f"(amp {experiment.amp}), {experiment.slots} trials side by side."
    )


def _standing_text(standing: StandingView) -> str:
    if math.isnan(standing.val_bpb):
        return f"not measured yet, {standing.code_lines} code lines"
    words = f"val_bpb {standing.val_bpb:.4f}, J {standing.objective:.4f} with {standing.code_lines} code lines"
    usage = standing.usage
    if usage is None:
        return words
    return (
        f"{words}; {usage.steps} steps within the budget, {usage.tokens_per_second:,.0f} tokens/s, "
        f"{usage.parameters:,} parameters, {usage.peak_memory_mb:,.0f} MB at the peak"
    )


def _tried_text(view: SearchView) -> str:
    counts: dict[str, int] = {}
    for candidate in view.candidates:
        key = candidate.status if candidate.status != "ok" else (candidate.verdict or "not decided yet")
        counts[key] = counts.get(key, 0) + 1
    told = ", ".join(f"{number} {key}" for key, number in sorted(counts.items(), key=lambda item: -item[1]))
    return f"Tried so far: {len(view.candidates)} candidates" + (f" ({told})." if told else ".")
