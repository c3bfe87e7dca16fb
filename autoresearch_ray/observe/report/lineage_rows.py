"""The lineage as a tree of lines: start and wins are its trunk, advances and what took them back its branches."""

import math
from dataclasses import dataclass

from autoresearch_ray.common.text import one_line
from autoresearch_ray.observe import facts
from autoresearch_ray.records.decisions import Step
from autoresearch_ray.records.history import History
from autoresearch_ray.records.unproven import Unproven, disappointed
from autoresearch_ray.settings.score_words import ScoreWords

SHOWN_STEPS = 200  # the latest
WORDS = 240  # characters of a hypothesis


@dataclass(frozen=True, slots=True)
class LineageRow:
    """A step: `kind` is trunk or branch, `fate` of a branch says what became of it."""

    trial: str
    kind: str
    word: str  # start, win 1, advance, merge, failed proof, went back
    hypothesis: str
    numbers: str
    fate: str = ""  # "lost" for an advance that did not become a win


def lineage_rows(history: History) -> list[LineageRow]:
    """The latest steps in order."""
    merged = {row.trial.proposal.proposal_id for row in history.rows if row.trial.proposal.kind == "merge"}
    lost, rows, wins, words = _find_lost_steps(history), [], 0, facts.score_words(history)
    for step in history.steps:
        wins += step.kind == "keep"
        back = "went back" if disappointed(step) else "failed proof"
        word = {"start": "start", "keep": f"win {wins}", "drop": back}.get(step.kind, "advance")
        rows.append(
            LineageRow(
                one_line(step.trial_id, 100),
                "trunk" if step.kind in ("start", "keep") else "branch",
                "merge" if step.kind == "advance" and step.proposal_id in merged else word,
                one_line(step.hypothesis, WORDS),
                _numbers(step, history.commits.get(step.index, ""), words),
                "lost" if step.index in lost or step.kind == "drop" else "",
            )
        )
    return rows[-SHOWN_STEPS:]


def probability(value: float) -> str:
    """A probability with three digits; a near certainty is not rounded to certainty."""
    return "> 0.999" if value > 0.999 else f"{value:.3f}"


def _find_lost_steps(history: History) -> set[int]:
    """The advances that a failed proof, or a better earlier candidate, took back."""
    lost, unproven = set[int](), Unproven()
    for step in history.steps:
        if step.kind == "drop":
            lost |= {advance.index for advance in unproven.judged_by(step)}
        unproven = unproven.after(step)
    return lost


def _numbers(step: Step, commit: str, words: ScoreWords) -> str:
    parts = [f"{words.name} {words.score(step.val_bpb)}"] if math.isfinite(step.val_bpb) else []
    parts += [f"gain {words.gain(step.gain)}"] if math.isfinite(step.gain) else []
    parts += [f"P(better) {probability(step.probability)}"] if math.isfinite(step.probability) else []
    return " · ".join([*parts, one_line(step.trial_id, 40), *([one_line(commit, 40)[:7]] if commit else [])])
