"""A prompt from a view of the search: pure, the same view gives the same prompt.

Three parts, from what changes least to what changes most, so that providers cache the beginning: the system text
(`contract.py`), the program with the experiment and the frontier's source, and the asking: numbers, history, task.
"""

import math
from collections import Counter
from collections.abc import Callable

from autoresearch_ray.candidate.difference import difference
from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.common.text import one_line, printable
from autoresearch_ray.propose.llm.calls import Message, Prompt
from autoresearch_ray.propose.llm.prompt.contract import system_text
from autoresearch_ray.propose.llm.prompt.guidance_text import guidance_text
from autoresearch_ray.propose.llm.prompt.past_text import VERDICTS, history_text
from autoresearch_ray.propose.llm.prompt.rebase_text import rebase_text
from autoresearch_ray.propose.llm.prompt.script_contract import script_system_text
from autoresearch_ray.propose.llm.prompt.script_parts import (
    SCRIPT_HEADING,
    fence_language,
    score_origin,
    script_experiment_text,
    script_noise_text,
    script_standing_text,
)
from autoresearch_ray.propose.llm.prompt.tokens import token_count
from autoresearch_ray.propose.llm.prompt.untrusted import QUOTE, fence_source
from autoresearch_ray.propose.llm.prompt.view import CandidateView, ExperimentView, ScriptView, SearchView, StandingView
from autoresearch_ray.settings.score_words import ScoreWords

PROMPT_TOKENS = 24_000  # contract, program and a frontier of 250 lines take a fourth of it
TASK_HEADING = "# Your task"
HISTORY_TOKENS = 1_000  # least history: a prompt with less is not worth sending
CURVE = (0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1.0)  # parts of the budget
ANSWER_TOKENS = 16_000  # thinking included; a whole train.py of 300 lines takes 5,000
ANSWER_LEAST = 1_000  # least answer: two ideas as short edits
FRONTIER_HEADING = "# train.py, the frontier: every idea starts from exactly this text"
RESERVE = 64  # tokens of a window for what servers put around messages
WINDOW_SHARE = 1 / 3  # the answer's share of a small window


def build_prompt(
    view: SearchView,
    token_budget: int = PROMPT_TOKENS,
    *,
    answer_tokens: int = ANSWER_TOKENS,
    window_tokens: int = 0,
    count: Callable[[str], int] = token_count,
) -> Prompt:
    """The prompt for the next ideas, at most `token_budget` tokens as `count` counts them.

    With the answer it stays within `window_tokens` (0: no limit). Contract, program and frontier are never cut;
    SettingsError if they leave the history less than 1,000 tokens, or as much for the answer.
    """
    system, context = contract_text(view), context_text(view)
    numbers, guidance, task = numbers_text(view), guidance_text(view), task_text(view)
    fixed = count(system) + count(context) + count(numbers) + count(guidance) + count(task) + 8
    if window_tokens:
        tokens_left = window_tokens - RESERVE - fixed - HISTORY_TOKENS
        if tokens_left < ANSWER_LEAST:
            raise SettingsError(
                f"a model's window of {window_tokens} tokens: contract, program and frontier take {fixed} of them, "
                f"expected at least {HISTORY_TOKENS} for the history and {ANSWER_LEAST} for the answer; give the model "
                f"a window of {window_tokens + ANSWER_LEAST - tokens_left} tokens, take another, or shorten the program"
            )
        answer_tokens = min(answer_tokens, tokens_left, max(ANSWER_LEAST, int(window_tokens * WINDOW_SHARE)))
        token_budget = min(token_budget, window_tokens - RESERVE - answer_tokens)
    left = token_budget - fixed
    if left < HISTORY_TOKENS:
        raise SettingsError(
            f"a prompt of {token_budget} tokens: contract, program and frontier take {fixed} of them, expected at "
            f"least {HISTORY_TOKENS} for the history; allow {fixed + HISTORY_TOKENS} tokens or shorten the program"
        )
    earlier = "" if view.rebase or count(view.earlier) > left - HISTORY_TOKENS else view.earlier
    left -= count(earlier) + 1 if earlier else 0
    history = "" if view.rebase else history_text(view, left, count)  # a rebase needs the two texts alone
    asking = "\n\n".join(filter(None, (numbers, earlier, history, guidance, task)))
    return Prompt(system, context, (Message("user", asking),), answer_tokens)


def contract_text(view: SearchView) -> str:
    """The part of the prompt that never changes within a run."""
    if isinstance(view.experiment, ScriptView):
        return script_system_text(view.experiment, view.complexity_price, view.form)
    experiment = view.experiment
    return system_text(view.complexity_price, view.form, experiment.scoring, experiment.metric_words)


def context_text(view: SearchView) -> str:
    """The part of the prompt that changes only with the frontier and program.md."""
    experiment = view.experiment
    if isinstance(experiment, ScriptView):
        told, heading, language = script_experiment_text(experiment), SCRIPT_HEADING, fence_language(experiment)
    else:
        told, heading, language = _experiment_text(experiment), FRONTIER_HEADING, "python"
    return (
        f"# The program, by the owners of this search\n\n<program>\n{view.program.strip()}\n</program>\n\n"
        f"# The experiment\n\n{told}\n\n"
        f"{heading}\n\n{fence_source(view.frontier.text, language)}"
    )


def numbers_text(view: SearchView) -> str:
    """The search's state in numbers."""
    lines = ["# Where the search stands", "", f"Frontier: {_describe(view, view.frontier)}."]
    if isinstance(view.experiment, ExperimentView):
        lines += _curve_text(view.frontier)
        lines += _profile_text(view.frontier)
        lines += _describe_learned(view.frontier)
    if view.rebase is not None:
        return "\n".join(lines)
    if view.best.text == view.frontier.text:
        lines.append("It is the start." if math.isnan(view.best.val_bpb) else "It is the proven best.")
    else:
        change = difference(view.best.text, view.frontier.text).words()
        lines.append(f"Proven best: {_describe(view, view.best)}. The frontier differs from it by: {change}.")
    if math.isnan(view.noise_sd):
        lines.append("Noise: not measured yet.")
    else:
        lines.append(script_noise_text(view) if isinstance(view.experiment, ScriptView) else _noise_text(view))
    lines.append(_attempts_text(view))
    return "\n".join(lines)


def task_text(view: SearchView) -> str:
    """The request at the end of the prompt."""
    if view.rebase is not None:
        limit = view.lines_left if isinstance(view.experiment, ExperimentView) else None
        asked = rebase_text(view.rebase, view.frontier.text, limit, view.form, view.subject)
        return f"{TASK_HEADING}\n\n{asked}"
    if view.form == "folder":
        the = "the files" if view.subject == "files" else view.subject
        asked = f"Make one change to {the}, the most promising that you find."
    else:
        ideas = "one idea" if view.ideas == 1 else f"{view.ideas} ideas, the most promising first"
        asked = f"Propose {ideas}, in the format of the system text, for the {view.subject} above."
    text = f"{TASK_HEADING}\n\n{asked}"
    if isinstance(view.experiment, ExperimentView):
        text += (
            f" It has {len(view.frontier.text.splitlines())} lines now and may grow by at most "
            f"{max(0, view.lines_left)} more, comments and blank lines included."
        )
    if view.direction:
        yours = "Make it one" if view.form == "folder" or view.ideas == 1 else "Make them ideas"
        text += (
            f" {yours} of direction {view.direction} above. Leave it only if the results show that nothing is left "
            "there, or that another direction is clearly worth more."
        )
    if view.siblings:
        others = "Another is" if view.siblings == 1 else f"{view.siblings} others are"
        text += f" {others} asked the same at this moment: leave them the idea that comes to mind first."
    if view.focus:
        yours = "yours" if view.form == "folder" else "one of yours"
        text += f" Others are asked the same at this moment; so that ideas differ, make {yours} about {view.focus}."
    return text


def _describe(view: SearchView, standing: StandingView) -> str:
    if isinstance(view.experiment, ScriptView):
        return script_standing_text(view, standing)
    return _standing_text(standing, view.experiment.budget_seconds, view.experiment.train_tokens)


def _experiment_text(experiment: ExperimentView) -> str:
    threads = f"{experiment.threads} CPU thread" + ("s" if experiment.threads > 1 else "")
    share = f"{experiment.gpus:g} GPU and {threads}" if experiment.gpus else threads
    beside = f"{experiment.slots} trials side by side" if experiment.slots > 1 else "one trial at a time"
    limit = experiment.startup_seconds
    startup = f" Start-up and warm-up, before the first batch, may take {limit:g} s." if limit else ""
    return (
        f"{experiment.name}: text of {experiment.data}, sequences of {experiment.seq_len} tokens, vocabulary "
        f"{experiment.vocab_size}, {experiment.budget_seconds:g} s of training on {share} of {experiment.device} "
        f"(amp {experiment.amp}), {beside}. torch {experiment.torch or 'as installed'}.{startup}"
        f"{_data_text(experiment)}"
    )


def _data_text(experiment: ExperimentView) -> str:
    if not experiment.train_tokens:
        return ""
    return (
        f" There are {experiment.train_tokens:,} tokens to train on, of {experiment.bytes_per_token:.2f} bytes each on "
        f"average, in documents of {experiment.document_tokens:,} on average: "
        f"{experiment.train_tokens // max(1, experiment.seq_len):,} rows of {experiment.seq_len}. "
        "A row is the document token and what "
        "follows in the text, over the ends of documents; the rows of a document come apart, in a random order that "
        "is drawn from the seed, and none comes twice before all have come. A batch lies in memory: pulling "
        "one takes microseconds, however it is used, and there is no limit to its rows but memory and the clock."
        f"{_reference_text(experiment)}"
    )


def _reference_text(experiment: ExperimentView) -> str:
    """What counting reaches on the validation text: a neural model's score says more beside it."""
    if not experiment.counted_bpb or not experiment.scoring.is_ours:
        return ""
    names = ("single tokens", "pairs", "triples")
    told = ", ".join(f"{name} {bpb:.2f}" for name, bpb in zip(names, experiment.counted_bpb, strict=False))
    return (
        f" The score is taken over {experiment.eval_tokens:,} tokens of other documents. For comparison, val_bpb of "
        f"smoothed counts of the training text alone: {told}."
    )


def _standing_text(standing: StandingView, budget_seconds: float, train_tokens: int) -> str:
    words = (
        f"not measured yet, {standing.code_lines} code lines"
        if math.isnan(standing.val_bpb)
        else f"val_bpb {standing.val_bpb:.4f} and J {standing.objective:.4f} with {standing.code_lines} code lines "
        f"({score_origin(standing.runs)})"
    )
    usage = standing.usage
    if usage is None:
        return words
    read = usage.tokens_per_second * budget_seconds
    milliseconds = f"{1000 * usage.step_seconds:{',.0f' if usage.step_seconds >= 0.1 else '.3g'}}"
    part = f" ({read / train_tokens:.0%} of the training text, trained on or not)" if train_tokens else ""
    return (
        f"{words}; in one run {usage.steps} steps within the budget "
        f"({milliseconds} ms each; the machine's speed varies), "
        f"{usage.tokens_per_second:,.0f} tokens/s pulled{part}, "
        f"{usage.parameters:,} parameters, {usage.peak_memory_mb:,.0f} MB at the peak"
    )


def _curve_text(standing: StandingView) -> list[str]:
    """How its training went, at the parts of the budget that are in CURVE."""
    curve = standing.usage.curve if standing.usage else ()
    if not curve:
        return []
    nearest = [min(curve, key=lambda point: abs(point[0] - wanted)) for wanted in CURVE]
    told = dict.fromkeys(f"{part:.0%} {bpb:.3f}" for part, bpb in nearest)
    return [f"Its bpb on training text at parts of the budget, each a mean since the last: {', '.join(told)}."]


def _describe_learned(standing: StandingView) -> list[str]:
    """What became of a candidate's gates and scales."""
    learned = standing.usage.learned if standing.usage else ()
    if not learned:
        return []
    told = (
        f"{QUOTE}{printable(one_line(name, 60))}: {', '.join(f'{number:.4g}' for number in numbers)}"
        for name, numbers in learned
    )
    return ["Its smallest parameters after that run:", *told]


def _profile_text(standing: StandingView) -> list[str]:
    """The lines that its training time goes to."""
    profile = standing.usage.profile if standing.usage else ()
    lines = standing.text.splitlines()
    told = [
        f"{QUOTE}{share:4.0%}  {printable(lines[line - 1].strip())}" for line, share in profile if line <= len(lines)
    ]
    if not told:
        return []
    return ["Where its training time goes, by the line that was running (samples of one run, largest first):", *told]


def _noise_text(view: SearchView) -> str:
    sd, least = view.noise_sd, view.advance_sd * view.noise_sd
    return (
        f"Noise: the sd of one run's J is {sd:.4f} ({view.noise_degrees} degrees of freedom), so a difference of one "
        f"run below {2 * sd:.4f} may be luck; {_pair_text(view)}. An idea whose first run is not "
        f"{least:.4f} or more below the frontier's J on the same seed is given up: look for ideas that are "
        f"worth several times that."
    )


def _pair_text(view: SearchView) -> str:
    if view.findings is None:
        return "runs with equal seeds differ by less"
    return f"a candidate and its parent on equal seeds differ by an sd of {view.findings.pair_sd:.4f} by chance"


def _attempts_text(view: SearchView) -> str:
    kinds = {"changes of code": [c for c in view.candidates if c.places]}
    no_code = "" if kinds["changes of code"] or not view.candidates else "no change of code yet; "
    kinds["changes of constants alone"] = [c for c in view.candidates if not c.places]
    told = "; ".join(f"{len(group)} {kind}{_counts(group, view.words)}" for kind, group in kinds.items() if group)
    refused = f"; {len(view.rejected)} ideas took no slot" if view.rejected else ""
    return f"Tried so far: {no_code}{told or 'nothing'}{refused}."


def _counts(candidates: list[CandidateView], words: ScoreWords) -> str:
    counts = Counter(c.status if c.status != "ok" else VERDICTS.get(c.verdict, "not decided yet") for c in candidates)
    told = ", ".join(f"{number} {key}" for key, number in counts.most_common())
    gains = [c.difference for c in candidates if not math.isnan(c.difference)]
    return f" ({told}; mean {words.change(sum(gains) / len(gains))})" if gains else f" ({told})"
