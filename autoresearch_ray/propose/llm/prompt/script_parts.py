"""What a prompt says of a script's experiment, and of where the search on it stands: in its own metric."""

import math
from pathlib import PurePosixPath

from autoresearch_ray.propose.llm.prompt.view import ScriptView, SearchView, StandingView

SCRIPT_HEADING = "# What may change, the frontier: every idea starts from exactly this text"


def script_experiment_text(experiment: ScriptView) -> str:
    """The experiment in a few sentences."""
    threads = f"{experiment.threads} CPU thread" + ("s" if experiment.threads > 1 else "")
    share = f"{experiment.gpus:g} GPU and {threads}" if experiment.gpus else threads
    beside = f"{experiment.slots} trials side by side" if experiment.slots > 1 else "one trial at a time"
    unit = f" in {experiment.scoring.unit}" if experiment.scoring.unit else ""
    return (
        f"{experiment.name}: `{experiment.command}` on {share} of {experiment.device}, {beside}. A run takes about "
        f"{experiment.budget_seconds:g} s. Its score is {experiment.scoring.name}{unit}, and "
        f"{experiment.scoring.direction} is better."
    )


def script_standing_text(view: SearchView, standing: StandingView) -> str:
    """Frontier or best: its score, size, time and memory."""
    words, lines = view.words, f"{standing.code_lines} code lines"
    if math.isnan(standing.val_bpb):
        told = f"not measured yet, {lines}"
    else:
        price = f" and J {words.score(standing.objective)}" if view.complexity_price else ""
        origin = score_origin(standing.runs)
        told = f"{words.name} {words.score(standing.val_bpb)}{price} with {lines} ({origin})"
    usage = standing.usage
    if usage is None:
        return told
    measured = [f"{usage.seconds:.3g} s"] if usage.seconds else []
    measured += [f"{usage.steps} steps"] if usage.steps else []
    measured += [f"{usage.parameters:,} parameters"] if usage.parameters else []
    measured += [f"{usage.peak_memory_mb:,.0f} MB at the peak"] if usage.peak_memory_mb else []
    return f"{told}; one run took {', '.join(measured)}" if measured else told


def script_noise_text(view: SearchView) -> str:
    """How far scores differ by chance, and what an idea must be worth."""
    words, sd, least = view.words, view.noise_sd, view.advance_sd * view.noise_sd
    what = "J" if view.complexity_price else words.name
    if not sd > 0:
        return f"Noise: runs of the same files gave the same {what}. Whatever is better counts."
    pair = "runs with equal seeds differ by less"
    if view.findings is not None:
        pair_sd = words.amount(view.findings.pair_sd)
        pair = f"a candidate and its parent on equal seeds differ by an sd of {pair_sd} by chance"
    return (
        f"Noise: the sd of one run's {what} is {words.amount(sd)} ({view.noise_degrees} degrees of freedom), so a "
        f"difference of one run below {words.amount(2 * sd)} may be luck; {pair}. An idea whose first run is not "
        f"better than the frontier on the same seed by {words.amount(least)} or more is given up: look for ideas that "
        f"are worth several times that."
    )


def score_origin(runs: int) -> str:
    """How a standing's score was measured."""
    if runs:
        return f"of {runs} run{'s' if runs > 1 else ''} so far"
    return "an estimate for all seeds, by pairs with what it came from: the mean of its own few runs may differ"


def fence_language(experiment: ScriptView) -> str:
    """The language of a code block with the files; "" for several languages, or an unknown one."""
    suffixes = {PurePosixPath(path).suffix for path in experiment.editable}
    return "python" if suffixes == {".py"} else ""
