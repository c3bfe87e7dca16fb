"""The past in a prompt: chosen to teach the most within a number of tokens, never cut off in the middle.

Each section takes a share of the tokens that the sections before it left. So a short past is told whole. A long one is
told by its steps, its best and latest results, its failures by kind, and two tables that count everything. Pure; a past
of 10,000 candidates takes some 100 ms.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from autoresearch_ray.candidate.rules.imports import ALLOWED
from autoresearch_ray.common.text import one_line
from autoresearch_ray.propose.llm.prompt.summary import area_lines, failure_groups, knob_lines, rejection_groups
from autoresearch_ray.propose.llm.prompt.untrusted import QUOTE, quote_end
from autoresearch_ray.propose.llm.prompt.view import CandidateView, SearchView, StepView
from autoresearch_ray.records.decisions import Verdict
from autoresearch_ray.records.proposers import Refusal, RejectedIdea
from autoresearch_ray.settings.score_words import ScoreWords

HYPOTHESIS, CHANGE, REASON, DETAIL = 300, 240, 120, 240  # characters that are shown
ERROR_LINES, ERROR_CHARACTERS = 4, 500
BEST = 24  # results at most
VERDICTS: dict[Verdict | None, str] = {
    "measure": "measured",
    "promising": "promising",
    "discard": "discarded",
    "advance": "taken by the frontier",
    "keep": "kept",
    "drop": "dropped",
}
REFUSALS: dict[Refusal, str] = {
    "rule": "a rule refused it",
    "dry_run": "it failed the dry run",
    "duplicate": "it was not new",
    "alike": "it was described like another, and not sent again",
    "edit": "its edits did not apply (the idea is open)",
    "answer": "it could not be read (the idea is open)",
    "moved": "the frontier moved on while it was made, and it did not fit there (the idea is open)",
}
LONG_STEPS = 12  # the others are told shortly
TITLE = """\
# What was tried

Candidates are told as: trial [proposer] val_bpb (difference to its parent on equal seeds; what its proposer expected),
training steps within the budget, what followed: hypothesis [change]."""
SCRIPT_TITLE = """\
# What was tried

Candidates are told as: trial [proposer] {name} (change from its parent on equal seeds; the change that its proposer
expected), what followed: hypothesis [change]. {better}."""
LEAD = r"J is expected (\S+) {} the frontier's"  # matches a decision's reason, where lower is better
NOTHING = "## In flight: nothing else is being tried at this moment"
WHOLE_DIFFS = 8  # so many of the best and of the latest show their diff

Count = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the history: its entries by importance, and what share of the tokens that are left it may take."""

    title: str
    share: float
    entries: Iterator[tuple[float, str]]  # (place in the telling, text)


def history_text(view: SearchView, budget: int, count: Count) -> str:
    """What was tried and what came of it, in at most `budget` tokens; "" while there is nothing to tell."""
    shown: set[str] = set()  # trial ids, so that nothing is told twice
    told = []
    title = _title(view)
    budget -= count(title) + 2 + (0 if view.in_flight else count(NOTHING) + 1)
    for section in _sections(view, shown):
        text = _fill(section, int(section.share * budget), count)
        budget -= count(text) + 1 if text else 0
        told.append(text)
    flights, steps, constants, places, failures, rejected, best, code, knobs = told
    if not any(told):
        return ""
    texts = (steps, best, code, knobs, constants, places, failures, rejected, flights or NOTHING)
    return "\n\n".join([title, *filter(None, texts)])


def _title(view: SearchView) -> str:
    if view.words.scoring.is_ours:
        return TITLE
    return SCRIPT_TITLE.format(name=view.words.name, better=view.words.way.capitalize())


def _sections(view: SearchView, shown: set[str]) -> Iterator[Section]:
    """The sections in the order in which they take their tokens; the last takes the rest."""
    flights = (f"- {one_line(_idea(one.hypothesis, one.change), HYPOTHESIS + CHANGE)}" for one in view.in_flight)
    yield Section("## In flight: being tried now, do not propose them again", 0.15, enumerate(flights))
    yield Section("## Steps of the search, oldest first", 0.3, _steps(view.steps, view.words))
    yield Section("## Constants that were tried", 0.15, _list(knob_lines(view)))
    yield Section("## Code that was tried, by function", 0.15, _list(area_lines(view)))
    yield Section("## Failures, by kind", 0.25, _failures(view, shown))
    yield Section("## Ideas that took no slot: do not send them again as they were", 0.15, _rejections(view.rejected))
    yield Section("## Largest gains that the frontier did not take, lucky runs among them", 0.4, _best(view, shown))
    code = [candidate for candidate in view.candidates if candidate.places]
    yield Section("## Latest changes of code, oldest first", 0.75, _latest(code, shown, view.words))
    knobs = [candidate for candidate in view.candidates if not candidate.places]
    yield Section("## Latest changes of constants, oldest first", 1.0, _latest(knobs, shown, view.words))


def _fill(section: Section, budget: int, count: Count) -> str:
    """The title and as many entries as fit, in the order of telling; "" without any."""
    left = budget - count(section.title) - 2
    chosen = []
    for rank, text in section.entries:
        left -= count(text) + 1
        if left < 0:
            break
        chosen.append((rank, text))
    if not chosen:
        return ""
    return "\n".join([section.title, *(text for _, text in sorted(chosen, key=lambda entry: entry[0]))])


def _steps(steps: Sequence[StepView], words: ScoreWords) -> Iterator[tuple[float, str]]:
    """What leads from the best to the frontier first, then what was proven, then the others; the latest of each."""
    proven = max((step.index for step in steps if step.kind != "advance"), default=0)
    ordered = sorted(steps, key=lambda step: (step.index < proven, step.kind not in ("start", "keep"), -step.index))
    for rank, step in enumerate(ordered):
        yield step.index, _step_line(step, words, HYPOTHESIS + CHANGE if rank < LONG_STEPS else HYPOTHESIS // 2)


def _step_line(step: StepView, words: ScoreWords, limit: int) -> str:
    idea, score = one_line(_idea(step.hypothesis, step.change), limit), words.score(step.val_bpb)
    if step.kind == "start":
        return f"- start: {words.name} {score}, the first best"
    if step.kind == "advance":
        return f"- frontier advanced ({step.trial_id}), {words.name} about {score}: {idea}"
    odds = f"gain {words.amount(step.gain)}, P(better) {step.probability:.3f}"
    if step.kind == "keep":
        return f"- PROVEN, the new best ({odds}), {words.name} {score}: {idea}"
    return f"- not proven, taken back ({odds}): {idea}"


def _best(view: SearchView, shown: set[str]) -> Iterator[tuple[float, str]]:
    """The largest gains over the parent. They were lucky, too long, in conflict, or wait for their replicate."""
    scored = [c for c in view.candidates if c.difference < 0 and not c.taken]
    for rank, candidate in enumerate(sorted(scored, key=lambda c: c.difference)[:BEST]):
        if candidate.trial_id not in shown:
            yield rank, _candidate_text(candidate, view.words, rank < WHOLE_DIFFS)
            shown.add(candidate.trial_id)


def _latest(candidates: Sequence[CandidateView], shown: set[str], words: ScoreWords) -> Iterator[tuple[float, str]]:
    told = 0
    for index in range(len(candidates) - 1, -1, -1):
        if candidates[index].trial_id not in shown:
            yield index, _candidate_text(candidates[index], words, told < WHOLE_DIFFS)
            told += 1


def _failures(view: SearchView, shown: set[str]) -> Iterator[tuple[float, str]]:
    for rank, group in enumerate(failure_groups(view.candidates)):
        latest = group[-1]
        times = f"{len(group)} candidates" if len(group) > 1 else "1 candidate"
        idea = one_line(_idea(latest.hypothesis, latest.change), HYPOTHESIS)
        head = f"- {latest.status}, {times}, the latest {latest.trial_id}: {idea}"
        yield rank, "\n".join(filter(None, (head, quote_end(latest.error, ERROR_LINES, ERROR_CHARACTERS))))
        shown.add(latest.trial_id)


def _rejections(rejected: Iterable[RejectedIdea]) -> Iterator[tuple[float, str]]:
    """The latest of each group of rejected ideas, with the first line of the reason."""
    for rank, group in enumerate(rejection_groups(rejected)):
        latest = group[0]
        times = f"{len(group)} ideas, the latest: " if len(group) > 1 else ""
        head = f"- {REFUSALS[latest.refusal]}, {times}{one_line(latest.hypothesis, HYPOTHESIS)}"
        why = latest.detail.strip().split("\n")[0].replace(f" ({ALLOWED})", "")
        yield rank, f"{head}\n{QUOTE}{one_line(why, DETAIL)}"


def _list(lines: Iterable[str]) -> Iterator[tuple[float, str]]:
    for rank, line in enumerate(lines):
        yield rank, f"- {line}"


def _candidate_text(candidate: CandidateView, words: ScoreWords, whole: bool) -> str:
    """A result with its idea, and the lines of its diff where the words of the change leave the code out."""
    idea = one_line(_idea(candidate.hypothesis, candidate.change), HYPOTHESIS + CHANGE)
    lines = [f"- {candidate.trial_id} [{candidate.proposer}] {_outcome(candidate, words)}: {idea}"]
    if whole and candidate.places:
        lines += [QUOTE + (line if line.isprintable() else one_line(line, 160)) for line in candidate.lines]
    if candidate.error:
        lines.append(quote_end(candidate.error, ERROR_LINES, ERROR_CHARACTERS))
    return "\n".join(lines)


def _outcome(candidate: CandidateView, words: ScoreWords) -> str:
    is_ours = words.scoring.is_ours
    told: list[str] = [candidate.status]
    if candidate.runs:
        expected = "" if math.isnan(candidate.expected) else f"; expected {words.change(candidate.expected)}"
        told = [f"{words.score(candidate.val_bpb)} ({words.change(candidate.difference)}{expected})"]
        told += [f"mean of {candidate.runs} runs"] if candidate.runs > 1 else []
        told += [f"{candidate.steps} steps"] if is_ours or candidate.steps else []
    if candidate.taken:
        told.append(VERDICTS["advance"])
    elif candidate.verdict is not None:
        reason = candidate.reason
        if not is_ours:
            for direction, word in (("below", "better"), ("above", "worse")):
                reason = re.sub(LEAD.format(direction), rf"expected \1 {word} than the frontier", reason)
        told.append(": ".join(filter(None, (VERDICTS[candidate.verdict], one_line(reason, REASON)))))
    return ", ".join(told)


def _idea(hypothesis: str, change: str) -> str:
    """The hypothesis and the change; once if they say the same, as a tuner's do."""
    hypothesis, change = one_line(hypothesis, HYPOTHESIS), one_line(change, CHANGE)
    said = hypothesis.replace(";", ",")
    if not change or all(part.strip() in said for part in change.replace(";", ",").split(",")):
        return hypothesis
    return f"{hypothesis} [{change}]"
