"""All about one trial, for its panel on the page: what it changed, how it learned beside its parent, what followed.

Texts and numbers are ready to show; the page's script makes them text nodes. In the file stand the panels that fit; the
server of a live page has every one.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from autoresearch_ray.candidate.difference import diff_lines
from autoresearch_ray.common.text import one_line, visible
from autoresearch_ray.observe import facts
from autoresearch_ray.records.decisions import Decision, Step
from autoresearch_ray.records.history import History, TrialRow
from autoresearch_ray.records.trials import Candidate, Result, Trial
from autoresearch_ray.settings.score_words import ScoreWords

SHOWN_DIFF_LINES = 800
SHOWN_ERROR = 4_000  # characters, of its end
WORDS = 1_000  # characters of a text in one line
EMBEDDED = 300  # panels of the latest trials, in addition to every win's
EMBEDDED_BYTES = 2_000_000
MARKS = {"+": "p", "-": "m", "@": "h"}  # classes of a diff's lines

Pairs = list[tuple[str, str]]  # name, value
Points = list[tuple[float, float]]  # seconds, bits per byte


@dataclass(frozen=True, slots=True)
class TrialPanel:
    """The facts that a page shows about one trial."""

    trial: str
    hypothesis: str
    facts: Pairs
    decisions: list[Pairs]  # its own, then the step that it settled
    error: str
    diff: Pairs | None  # (class, line) against the parent; None where a text is not in the store
    parent: str  # the parent's trial whose curve is shown
    is_same_seed: bool  # whether the seed is that trial's
    curve: Points
    parent_curve: Points


def trial_panel(history: History, trial_id: str) -> TrialPanel | None:
    """The panel of a trial; None if there is no such trial."""
    row = next((row for row in history.rows if row.trial.trial_id == trial_id), None)
    if row is None:
        return None
    steps, runs = facts.steps_by_trial(history), _runs_with_curves(history)
    return _panel(history, row, steps, runs, facts.score_words(history))


def embed_panels(history: History) -> dict[str, dict[str, object]]:
    """The panels that go into the file: every win's and the latest, as many as fit into EMBEDDED_BYTES."""
    steps, runs, words = facts.steps_by_trial(history), _runs_with_curves(history), facts.score_words(history)
    kept = [step.trial_id for step in history.steps if step.kind == "keep"][::-1]
    latest = [row.trial.trial_id for row in history.rows[: -EMBEDDED - 1 : -1]]
    rows = {row.trial.trial_id: row for row in history.rows}
    found, size = dict[str, dict[str, object]](), 0
    for name in dict.fromkeys(kept + latest):
        if name not in rows:
            continue
        panel = asdict(_panel(history, rows[name], steps, runs, words))
        size += len(json.dumps(panel))
        if size > EMBEDDED_BYTES:
            break
        found[name] = panel
    return found


def diff_rows(before: str | None, after: str | None) -> Pairs | None:
    """(class, line) of what differs; None where a text is not in the store."""
    if before is None or after is None:
        return None
    lines = diff_lines(visible(before), visible(after))
    shown = [(MARKS.get(line[:1], ""), line) for line in lines[:SHOWN_DIFF_LINES]]
    more = len(lines) - len(shown)
    return [*shown, ("h", f"and {more:,} more lines")] if more else shown


def text_of(history: History, sha: str) -> str | None:
    """The text of a candidate; None where it is not in the store."""
    candidate: Candidate | None = history.candidates.get(sha)
    return candidate.text if candidate is not None else None


def _panel(
    history: History, row: TrialRow, steps: dict[str, Step], runs: dict[str, list[TrialRow]], words: ScoreWords
) -> TrialPanel:
    trial, result, proposal = row.trial, row.result, row.trial.proposal
    step = steps.get(trial.trial_id)
    parent = _parent_run(runs.get(proposal.parent_sha, []), trial)
    decisions = [list(_decision(row.decision, words))] if row.decision else []
    return TrialPanel(
        trial=one_line(trial.trial_id, 100),
        hypothesis=one_line(proposal.hypothesis, 4 * WORDS),
        facts=[(name, one_line(value, WORDS)) for name, value in _facts(row, words) if value],
        decisions=decisions + ([list(_step(step, history.commits.get(step.index, ""), words))] if step else []),
        error=visible(result.error[-SHOWN_ERROR:]) if result else "",
        diff=diff_rows(text_of(history, proposal.parent_sha), text_of(history, proposal.source_sha))
        if proposal.parent_sha
        else [],
        parent=one_line(parent.trial.trial_id, 100) if parent else "",
        is_same_seed=parent is not None and parent.trial.seed == trial.seed,
        curve=_curve(result),
        parent_curve=_curve(parent.result) if parent else [],
    )


def _runs_with_curves(history: History) -> dict[str, list[TrialRow]]:
    """The runs with a learning curve, keyed by candidate, the latest first."""
    found = defaultdict[str, list[TrialRow]](list)
    for row in reversed(history.rows):
        if row.result is not None and row.result.curve:
            found[row.trial.proposal.source_sha].append(row)
    return found


def _parent_run(runs: list[TrialRow], trial: Trial) -> TrialRow | None:
    """The parent's run on the trial's own seed, or else the latest; none where the trial is the parent's itself."""
    others = [row for row in runs if row.trial.trial_id != trial.trial_id]
    same = (row for row in others if row.trial.seed == trial.seed)
    return next(same, others[0] if others else None)


def _curve(result: Result | None) -> Points:
    points = result.curve if result else ()
    return [
        (round(point.seconds, 2), round(point.train_bpb, 4))
        for point in points
        if math.isfinite(point.seconds) and math.isfinite(point.train_bpb)
    ]


def _facts(row: TrialRow, words: ScoreWords) -> Iterator[tuple[str, str]]:
    trial, proposal = row.trial, row.trial.proposal
    yield "status", facts.status(row)
    yield "kind", f"{proposal.kind}, to {trial.purpose}"
    yield "proposer", proposal.proposer
    yield "direction", proposal.direction
    yield words.name, words.score(facts.score(row), "")
    if row.result:
        yield from _list_measurements(row.result, words)
    yield "expected effect", words.gain(words.shown(proposal.expected_effect), "")
    yield "lines", f"+{proposal.lines_added} -{proposal.lines_removed}"
    yield "staleness", str(trial.staleness) if trial.staleness else ""
    yield "dollars", f"{proposal.dollars:.4f}" if proposal.dollars else ""
    yield "seed", f"{trial.seed} (number {trial.seed_number})" if trial.seed_number >= 0 else f"{trial.seed}, its own"
    yield "parent", proposal.parent_sha[:10]
    yield "candidate", proposal.source_sha[:10]


def _list_measurements(result: Result, words: ScoreWords) -> Iterator[tuple[str, str]]:
    yield "held out", words.score(result.holdout_bpb, "")
    yield "its curve promised", words.score(result.expected_bpb, "")
    yield "seconds", f"{result.training_seconds:.1f} training, {result.eval_seconds:.1f} scoring"
    if words.is_ours or result.steps:  # a script counts none
        yield "steps", f"{result.steps:,}, {result.tokens_per_second:,.0f} tokens/s"
    yield "parameters", f"{result.parameters:,}" if result.parameters else ""
    yield "memory", f"{result.peak_memory_mb:,.0f} MB"
    yield "place", f"slot {result.slot}, {result.device_name or 'device not known'}, {result.node or 'one machine'}"
    yield "walls", result.isolation
    yield "checks", f"{', '.join(result.checks)} ({result.strength or 'strength not noted'})" if result.checks else ""


def _decision(decision: Decision, words: ScoreWords) -> Iterator[tuple[str, str]]:
    gain, sd = words.gain(decision.expected_gain, ""), words.amount(decision.expected_sd, "")
    named: Sequence[tuple[str, str]] = (
        ("decision", decision.verdict),
        ("reason", one_line(decision.reason, WORDS)),
        ("expected gain", f"{gain}, sd {sd}" if gain and sd else gain),
        ("sd of a pair", words.amount(decision.pair_sd, "")),
        ("held-out gain", words.gain(decision.holdout_gain, "")),
        ("code lines", str(decision.code_lines) if decision.code_lines else ""),
        ("frontier's version", str(decision.frontier_version)),
    )
    yield from ((name, value) for name, value in named if value)


def _step(step: Step, commit: str, words: ScoreWords) -> Iterator[tuple[str, str]]:
    gain = words.gain(step.gain, "")
    if gain and math.isfinite(step.gain_low):
        gain += f" (95 %: {words.bounds(step.gain_low, step.gain_high)})"
    named = (
        ("step", f"{step.index}, {step.kind}"),
        ("reason", one_line(step.reason, WORDS)),
        (words.name, words.score(step.val_bpb, "")),
        ("gain", gain),
        ("P(better)", f"{step.probability:.4f}" if math.isfinite(step.probability) else ""),
        ("held-out gain", words.gain(step.holdout_gain, "")),
        ("commit", one_line(commit, 40)[:10]),
    )
    yield from ((name, value) for name, value in named if value)
