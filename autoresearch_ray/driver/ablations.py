"""What a run's best is made of: every change that led to it is taken out alone, and measured beside the whole.

A part is a constant that has another value than at the start, or what one advance of the lineage changed in the code.
Code is taken out by a merge: from after the change to before it, onto the best. Where later changes build on it, that
conflicts.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from autoresearch_ray.benchmark.data.dataset import prepare
from autoresearch_ray.benchmark.trial.dryrun import DryRunner
from autoresearch_ray.candidate.difference import compare_constants, difference
from autoresearch_ray.candidate.knobs import constants, set_constants
from autoresearch_ray.candidate.merge import three_way
from autoresearch_ray.candidate.normal_form import code_lines, normal_sha
from autoresearch_ray.candidate.rules import check_candidate
from autoresearch_ray.driver.side_by_side import run_side_by_side
from autoresearch_ray.driver.transfers import FIRST_SEED, Proven
from autoresearch_ray.errors import CandidateError
from autoresearch_ray.experiment import Experiment
from autoresearch_ray.observe.ablations import AblatedPart, Ablation
from autoresearch_ray.observe.pairs import Pair
from autoresearch_ray.records import History, Isolation
from autoresearch_ray.text import one_line

CONFLICT = "cannot go alone: later changes build on it"
LOST = "cannot go alone: the best fails without it"
HYPOTHESIS = 120  # characters


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the best."""

    what: str
    without: str | None  # the best without it; None where it cannot go alone
    code_lines: int = 0  # that go with it
    fault: str = ""


def find_parts(proven: Proven) -> list[Part]:
    """The parts of the best, oldest first; two that leave the same program are one, and what is gone is none."""
    best = proven.text(proven.best_sha)
    seen, parts = {normal_sha(best)}, list[Part]()
    found = [*_constants(proven.text(proven.start_sha), best)]
    for before_sha, after_sha, hypothesis in _changes(proven.history, proven.best_sha):
        found += _code(proven.text(before_sha), proven.text(after_sha), best, hypothesis)
    for part in found:
        normal = normal_sha(part.without) if part.without is not None else part.what
        if normal not in seen:
            seen.add(normal)
            parts.append(part)
    return parts


def check_parts(
    parts: list[Part], experiment: Experiment, isolation: Isolation, say: Callable[[str], None]
) -> list[Part]:
    """The same, those that fail a dry run as parts that cannot go alone."""
    prepare(experiment, say)
    runner = DryRunner(experiment, isolation)
    try:
        return [
            Part(part.what, None, part.code_lines, LOST)
            if part.without is not None and asyncio.run(runner.run(part.without)) is not None
            else part
            for part in parts
        ]
    finally:
        runner.close()


def measure_ablation(
    proven: Proven, parts: list[Part], isolation: Isolation, pairs: int, say: Callable[[str], None]
) -> Iterator[Ablation]:
    """After every seed what is known by then. Errors as of `run_side_by_side`."""
    texts = [proven.text(proven.best_sha), *(part.without for part in parts if part.without is not None)]
    seeds = range(FIRST_SEED, FIRST_SEED + pairs)
    found: dict[str, list[Pair]] = {text: [] for text in texts[1:]}
    for seed, (whole, *others) in run_side_by_side(proven.settings.experiment, isolation, texts, seeds, say):
        for text, other in zip(texts[1:], others, strict=True):
            found[text].append(Pair(seed, other.val_bpb, whole.val_bpb))
        told = tuple(AblatedPart(p.what, p.code_lines, tuple(found.get(p.without or "", ())), p.fault) for p in parts)
        yield Ablation(proven.best_sha, proven.settings.rules.complexity_price, told, time.time())


def _changes(history: History, best_sha: str) -> list[tuple[str, str, str]]:
    """(before, after, hypothesis) of every advance between the start and this best, oldest first."""
    found: list[tuple[str, str, str]] = []
    best, proven = "", 0  # what the latest keep or start stands at, and how many changes led there
    for step in history.steps:
        if step.kind == "start":
            best = step.source_sha
        elif step.kind == "advance":
            found.append((found[-1][1] if len(found) > proven else best, step.source_sha, step.hypothesis))
        elif step.kind == "drop":
            del found[proven:]
        else:
            ends = [place for place, change in enumerate(found) if change[1] == step.source_sha]
            if not ends or ends[-1] < proven:  # a best that came beside the frontier
                found.insert(proven, (best, step.source_sha, step.hypothesis))
            proven = 1 + [change[1] for change in found].index(step.source_sha, proven)
            best = step.source_sha
            if best == best_sha:
                return found[:proven]
    return found[:proven]


def _constants(start: str, best: str) -> list[Part]:
    """Each constant of both that has another value now, back at its start."""
    before = constants(start)
    return [
        Part(
            f"{change.name} {change.before} -> {change.after}", set_constants(best, {change.name: before[change.name]})
        )
        for change in compare_constants(start, best)
        if change.before and change.after and change.name in before and change.name in constants(best)
    ]


def _code(before: str, after: str, best: str, hypothesis: str) -> list[Part]:
    """What an advance changed in the code, if it did; values of constants are parts of their own."""
    change = difference(before, after)
    if not change.places:
        return []
    words = f"{one_line(hypothesis, HYPOTHESIS)} [{one_line(change.words(), HYPOTHESIS)}]"
    try:
        kept = {name: value for name, value in constants(after).items() if name in constants(before)}
        merged = three_way(after, best, set_constants(before, kept))
        if merged.clean:
            check_candidate(merged.source)
            return [Part(words, merged.source, code_lines(best) - code_lines(merged.source))]
    except CandidateError:
        pass
    return [Part(words, None, 0, CONFLICT)]
