"""Findings and directions as a person reads them: lines for a terminal, rows for the report."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from autoresearch_ray.common.text import one_line
from autoresearch_ray.observe import facts
from autoresearch_ray.records.decisions import Decision
from autoresearch_ray.records.guidance import OPEN, Directives, Findings
from autoresearch_ray.records.history import History, TrialRow
from autoresearch_ray.settings.proposer_spec import ABLATION
from autoresearch_ray.settings.score_words import ScoreWords

# {unit}: see `ScoreWords.heads`
KNOB_HEADS = ("knob", "moved", "candidates", "gain of a typical move{unit}", "sure of its sign")
SUBJECT_HEADS = ("ideas about", "tried", "taken", "failed", "took no slot", "mean gain{unit}", "why not")
DIRECTION_HEADS = ("direction", "title", "tried", "taken", "mean gain{unit}", "slot hours", "dollars")
PART_HEADS = ("part of a best", "code lines", "runs", "worth{unit}", "what that says")
PROPOSER_HEADS = ("proposer", "tried", "taken", "failed", "mean gain{unit}", "gain a slot-hour", "dollars")
SHOWN_KNOBS, SHOWN_SUBJECTS = 16, 12
SHOWN_LINES = 10  # knobs in a terminal


def findings_lines(findings: Findings | None, words: ScoreWords) -> Iterator[str]:
    """The findings as lines for a terminal."""
    if findings is None:
        yield "too few results to say anything yet"
        return
    yield f"after {findings.results} candidates: {findings.advice}. {findings.reason}"
    one, pair = words.amount(findings.noise_sd, "nan"), words.amount(findings.pair_sd, "nan")
    yield f"noise: sd {one} of one run, {pair} of a pair; {_power(findings, words)}"
    yield from align(words.heads(KNOB_HEADS), knob_rows(findings, words)[:SHOWN_LINES])
    if findings.untried_knobs:
        yield f"never moved: {', '.join(findings.untried_knobs)}"
    yield from align(words.heads(SUBJECT_HEADS), subject_rows(findings, words))
    if findings.untried_subjects:
        yield f"no idea yet about: {'; '.join(findings.untried_subjects)}"
    for made in findings.interactions:
        yield f"together {words.gain(made.measured)}, as a sum {words.gain(made.expected)}: {one_line(made.what, 80)}"


def align(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table in columns, with an empty line before it; nothing without rows."""
    if not rows:
        return
    table = [tuple(heads), *(tuple(row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(heads))]
    yield ""
    for row in table:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def knob_rows(findings: Findings, words: ScoreWords) -> list[tuple[str, ...]]:
    """A row for each knob and way, the surest first, under KNOB_HEADS."""
    return [
        (
            one_line(effect.name, 60),
            one_line(effect.way, 60),
            str(effect.tried),
            words.gain_interval(effect.gain, effect.low, effect.high),
            "helps" if effect.low > 0 else "harms" if effect.high < 0 else "not certain",
        )
        for effect in findings.knobs[:SHOWN_KNOBS]
    ]


def subject_rows(findings: Findings, words: ScoreWords) -> list[tuple[str, ...]]:
    """A row for each subject of models' ideas, under SUBJECT_HEADS."""
    return [
        (
            record.subject,
            str(record.tried),
            str(record.advanced),
            str(record.failed),
            str(record.refused),
            words.gain_interval(record.gain, record.low, record.high),
            one_line(record.why, 120),
        )
        for record in findings.subjects[:SHOWN_SUBJECTS]
    ]


def direction_rows(history: History) -> list[tuple[str, ...]]:
    """The outcome of each direction, under DIRECTION_HEADS; [] where none was ever followed."""
    words = facts.score_words(history)
    titles = {OPEN: "anything that its model found best"}
    taken = facts.collect_taken(history)
    for directives in history.directives:
        titles |= {direction.name: direction.title for direction in directives.directions}
    found = list[tuple[str, ...]]()
    for name in sorted(titles, key=lambda name: (len(name), name)):
        rows = [row for row in _screens(history) if row.trial.proposal.direction == name]
        if rows:
            account = _account(rows, taken, words)
            found.append((name, one_line(titles[name], 120), *account[:2], *account[3:]))
    return found


def proposer_rows(history: History) -> list[tuple[str, ...]]:
    """The results of each proposer, under PROPOSER_HEADS."""
    taken, found, words = facts.collect_taken(history), list[tuple[str, ...]](), facts.score_words(history)
    for name in dict.fromkeys(row.trial.proposal.proposer for row in _screens(history)):
        rows = [row for row in _screens(history) if row.trial.proposal.proposer == name]
        tried, won, failed, mean, _, cost = _account(rows, taken, words)
        gained = sum(max(0.0, gain) for gain in _gains([row for row in rows if _is_in(row, taken)]))
        hours = _hours(rows)
        found.append(
            (one_line(name, 80), tried, won, failed, mean, words.amount(gained / hours) if hours > 0 else "–", cost)
        )
    return found


def part_rows(history: History) -> list[tuple[str, ...]]:
    """What the search found when it took its wins apart, the latest first, under PART_HEADS.

    A part is worth what the best without it is expected to lose, by the ledger at its last decision.
    """
    price, words = facts.complexity_price(history), facts.score_words(history)
    found: dict[str, tuple[str, ...]] = {}
    runs = Counter(row.trial.proposal.source_sha for row in history.rows if facts.status(row) == "ok")
    parts = {row.trial.proposal.source_sha: row.trial.proposal for row in _screens(history)}
    for row in history.rows:
        sha, decision = row.trial.proposal.source_sha, row.decision
        part = parts.get(sha)
        if part is None or part.proposer != ABLATION or decision is None:
            continue
        lines = part.lines_removed - part.lines_added
        worth = price * lines - decision.expected_gain  # in units of the score: J counts removed lines as a gain
        half = 1.96 * decision.expected_sd
        says = "failed" if math.isnan(worth) else "helps" if worth - half > 0 else "not certain"
        says = "can go" if worth + half < price * lines else says
        what = one_line(part.hypothesis.removeprefix("without "), 160)
        found[sha] = (what, str(lines), str(runs[sha]), words.gain_interval(worth, worth - half, worth + half), says)
    return list(found.values())[::-1]


def directives_rows(directives: Directives) -> list[tuple[str, str, str]]:
    """(title, reason, share) of each direction."""
    return [(one_line(d.title, 160), one_line(d.reason, 500), f"{d.share:g}") for d in directives.directions]


def _screens(history: History) -> list[TrialRow]:
    return [row for row in history.rows if row.trial.purpose == "screen" and row.result is not None]


def _account(rows: Sequence[TrialRow], taken: set[str], words: ScoreWords) -> tuple[str, str, str, str, str, str]:
    """Tried, taken, failed, mean gain, slot hours, dollars: of screens, as text."""
    won = sum(_is_in(row, taken) for row in rows)
    failed = sum(row.result.status != "ok" for row in rows if row.result is not None)
    gains = _gains(rows)
    mean = words.gain(sum(gains) / len(gains)) if gains else "–"
    cost = sum(row.trial.proposal.dollars for row in rows)
    return str(len(rows)), str(won), str(failed), mean, f"{_hours(rows):.2f}", f"{cost:.2f}" if cost else "–"


def _gains(rows: Sequence[TrialRow]) -> list[float]:
    """What each candidate was expected to gain over the frontier of its moment, where that is known."""
    decisions: list[Decision] = [row.decision for row in rows if row.decision is not None]
    return [decision.expected_gain for decision in decisions if math.isfinite(decision.expected_gain)]


def _hours(rows: Sequence[TrialRow]) -> float:
    return sum(row.result.total_seconds for row in rows if row.result is not None) / 3600


def _is_in(row: TrialRow, taken: set[str]) -> bool:
    return row.trial.proposal.source_sha in taken


def _power(findings: Findings, words: ScoreWords) -> str:
    bound = findings.outlook.bound
    pairs = findings.pairs_to_show(bound)
    return f"a gain of {words.amount(bound)} is seen after {pairs} pairs" if pairs else "too little is known of it"
