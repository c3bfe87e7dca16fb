"""What all results of a run say together: pure statistics of a view of its past, no model needed.

Every screened candidate counts once, by its difference to its parent on equal seeds. Knobs: a ridge regression of these
differences on the moves of all knobs, so that a candidate that moved three says something of each. Subjects: means with
Student's t. Interactions: what merges came to beside the sum of their parts. Outlook: the screens of late as a Poisson
process of advances.
"""

import ast
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import geometric_mean

import numpy as np

from autoresearch_ray.candidate.knobs import Knob
from autoresearch_ray.candidate.ranges import Choice, Value
from autoresearch_ray.common.intervals import mean_interval
from autoresearch_ray.common.text import last_line, one_line
from autoresearch_ray.propose.director.subjects import subject_of, subjects_of
from autoresearch_ray.propose.llm.prompt.summary import failure_groups
from autoresearch_ray.propose.llm.prompt.view import CandidateView, SearchView
from autoresearch_ray.records.guidance import Advice, Findings, Interaction, KnobEffect, Outlook, SubjectRecord
from autoresearch_ray.settings.proposer_spec import ABLATION

LATEST = 2_000  # screened candidates that findings stand on
TYPICAL_MOVE = 0.25  # share of a knob's range
PRIOR_SD = 10.0  # pair sd that a typical move may be worth before anything is known: hardly a prior
RECENT, LEAST_RECENT = 40, 15  # screens that the outlook is judged by
NEXT_SCREENS = 20
INTERACTIONS = 8
WORDS = 160  # characters


@dataclass(slots=True)
class _Subject:
    gains: list[float] = field(default_factory=list)
    advanced: int = 0
    failed: list[CandidateView] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Move:
    """A candidate's change of one knob: which way, and how far in typical moves."""

    name: str
    way: str
    size: float


def find(view: SearchView, knobs: Sequence[Knob], pair_sd: float, now: float) -> Findings:
    """The findings of this past. `knobs` are the frontier's; `pair_sd` is the noise of a pair: candidate and parent."""
    screened = view.candidates[-LATEST:]
    effects = measure_knobs(screened, knobs, pair_sd)
    moved = {change.name for candidate in screened for change in candidate.constants}
    subjects, untried = _count_subjects(view, screened)
    outlook = judge_outlook(screened, view)
    untried_knobs = tuple(knob.name for knob in knobs if knob.name not in moved)
    advice, reason = _advise(view, outlook, untried_knobs, untried)
    return Findings(
        results=len(view.candidates),
        at=now,
        noise_sd=view.noise_sd,
        pair_sd=pair_sd,
        knobs=effects,
        untried_knobs=untried_knobs,
        subjects=subjects,
        untried_subjects=untried,
        interactions=_list_interactions(screened, pair_sd),
        outlook=outlook,
        advice=advice,
        reason=reason,
    )


def measure_knobs(screened: Iterable[CandidateView], knobs: Sequence[Knob], pair_sd: float) -> tuple[KnobEffect, ...]:
    """The gain of moving each knob each way, by candidates that changed only knobs; the surest first."""
    by_name = {knob.name: knob for knob in knobs}
    rows = list[tuple[list[_Move], float]]()
    for candidate in screened:
        read = (_read_move(by_name[c.name], c.before, c.after) for c in candidate.constants if c.name in by_name)
        told = [move for move in read if move is not None]
        pure = not candidate.places and len(told) == len(candidate.constants) and candidate.kind != "merge"
        if pure and told and math.isfinite(candidate.difference):
            rows.append((told, -candidate.difference))
    if not rows or not pair_sd > 0:
        return ()
    tried = Counter((move.name, move.way) for moves, _ in rows for move in moves)
    columns = {key: index for index, key in enumerate(tried)}
    design = np.zeros((len(rows), len(columns)))
    for row, (moves, _) in enumerate(rows):
        for move in moves:
            design[row, columns[move.name, move.way]] = move.size
    precision = design.T @ design / pair_sd**2 + np.eye(len(columns)) / (PRIOR_SD * pair_sd) ** 2
    covariance = np.linalg.inv(precision)
    gains = covariance @ design.T @ np.array([gain for _, gain in rows]) / pair_sd**2
    spread = np.sqrt(np.diag(covariance))
    found = [
        KnobEffect(*key, tried[key], float(gain), float(gain - 1.96 * sd), float(gain + 1.96 * sd))
        for key, gain, sd in zip(columns, gains, spread, strict=True)
    ]
    return tuple(sorted(found, key=lambda effect: -abs(effect.gain) / (effect.high - effect.low)))


def judge_outlook(screened: Sequence[CandidateView], view: SearchView) -> Outlook:
    """The expected gain of the next screens, if they are like the recent ones."""
    recent = [candidate for candidate in screened if candidate.verdict is not None][-RECENT:]
    gains = [max(0.0, -candidate.difference) for candidate in recent if _has_advanced(candidate)]
    bound = view.advance_sd * view.noise_sd
    typical = geometric_mean([max(gain, bound) for gain in gains]) if gains else bound  # one jump is no rule
    if not recent or math.isnan(bound):
        return Outlook(len(recent), len(gains), NEXT_SCREENS, math.nan, math.nan, bound, False)
    expected = NEXT_SCREENS * (len(gains) + 0.5) / (len(recent) + 1) * typical
    high = NEXT_SCREENS * _poisson_high(len(gains)) / len(recent) * typical
    return Outlook(
        screens=len(recent),
        advanced=len(gains),
        next_screens=NEXT_SCREENS,
        expected=expected,
        high=high,
        bound=bound,
        is_plateau=len(recent) >= LEAST_RECENT and expected < bound,
    )


def _poisson_high(count: int) -> float:
    """Upper 95 % bound of a Poisson mean after so many events (Wilson and Hilferty's cube of a normal)."""
    k = count + 1
    return float(k * (1 - 1 / (9 * k) + 1.645 / (3 * math.sqrt(k))) ** 3)


def _read_move(knob: Knob, before: str, after: str) -> _Move | None:
    """A change as a move of a knob; None if it is not one within the knob's range."""
    values = [value for value in map(_literal, (before, after)) if value is not None]
    if len(values) < 2 or before == after:
        return None
    if isinstance(knob.range, Choice):
        return _Move(knob.name, f"set to {after}", 1.0)
    if not all(knob.range.contains(value) for value in values):
        return None
    old, new = (knob.range.to_unit(value) for value in values)
    return _Move(knob.name, "raised" if new > old else "lowered", abs(new - old) / TYPICAL_MOVE)


def _literal(text: str) -> Value | None:
    try:
        value: Value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None
    return value


def _count_subjects(
    view: SearchView, screened: Sequence[CandidateView]
) -> tuple[tuple[SubjectRecord, ...], tuple[str, ...]]:
    found: defaultdict[str, _Subject] = defaultdict(_Subject)
    subjects = subjects_of(view.experiment)
    for candidate in screened:
        if candidate.kind != "code":
            continue
        subject = found[subject_of(candidate.hypothesis, candidate.change, subjects)]
        subject.advanced += _has_advanced(candidate)
        if math.isfinite(candidate.difference):
            subject.gains.append(-candidate.difference)
        elif candidate.status != "ok":
            subject.failed.append(candidate)
    for idea in view.rejected[-LATEST:]:
        if idea.hypothesis:
            found[subject_of(idea.hypothesis, subjects=subjects)].refusals.append(idea.refusal)
    records = [_record(subject, one) for subject, one in found.items()]
    records.sort(key=lambda record: -record.tried)
    return tuple(records), tuple(subject for subject in subjects if subject not in found)


def _record(subject: str, one: _Subject) -> SubjectRecord:
    mean, low, high = mean_interval(one.gains)
    tried = len(one.gains) + len(one.failed)
    return SubjectRecord(subject, tried, one.advanced, len(one.failed), len(one.refusals), mean, low, high, _why(one))


def _why(one: _Subject) -> str:
    """The most frequent way to fail, else to be refused."""
    if one.failed:
        latest = max(failure_groups(one.failed), key=len)[-1]
        return one_line(f"{latest.status}: {last_line(latest.error)}" if latest.error else latest.status, WORDS)
    return Counter(one.refusals).most_common(1)[0][0] if one.refusals else ""


def _list_interactions(screened: Sequence[CandidateView], pair_sd: float) -> tuple[Interaction, ...]:
    merges = [
        Interaction(
            one_line(candidate.hypothesis, WORDS),
            -candidate.expected,
            -candidate.difference,
            pair_sd * math.sqrt(1 + 1 / candidate.runs),
        )
        for candidate in screened
        if candidate.kind == "merge" and math.isfinite(candidate.difference) and math.isfinite(candidate.expected)
    ]
    return tuple(reversed(merges[-INTERACTIONS:]))


def _has_advanced(candidate: CandidateView) -> bool:
    return candidate.taken or candidate.verdict == "advance"


def _advise(
    view: SearchView, outlook: Outlook, untried_knobs: Sequence[str], untried_subjects: Sequence[str]
) -> tuple[Advice, str]:
    """The advice to a person, the director and the search, and the reason."""
    if outlook.screens < LEAST_RECENT:
        return "wait", f"{outlook.screens} screens are too few to tell"
    told = (
        f"{outlook.advanced} of the last {outlook.screens} screens advanced; the next {outlook.next_screens} should "
        f"bring {view.words.amount(outlook.expected)} (at most {view.words.amount(outlook.high)})"
    )
    if not outlook.is_plateau:
        return "refine", told
    open_gains = [c for c in view.candidates if c.verdict == "promising" and not c.taken]
    if open_gains:
        return "combine", f"{told}; {len(open_gains)} promising changes are not in the frontier yet"
    wins = sum(step.kind == "keep" for step in view.steps)
    if wins and not any(candidate.proposer == ABLATION for candidate in view.candidates):
        return "ablate", f"{told}; what the wins brought may be more than is needed"
    if untried_knobs or untried_subjects:
        return "explore", f"{told}; untried: {', '.join([*untried_subjects[:2], *untried_knobs[:4]])}"
    return "stop", f"{told}; every knob and subject was tried"
