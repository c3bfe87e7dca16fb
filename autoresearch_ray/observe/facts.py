"""What a run's history amounts to: baseline, best, improvement with its interval, wins, noise, utilisation.

Pure functions of `History`, shared by table, picture, report and summary so that they never disagree. They describe
a run; the decisions were made elsewhere (`decide/`) and are read here, not made again.
"""

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from autoresearch_ray.records.decisions import Decision, Step
from autoresearch_ray.records.history import History, TrialRow
from autoresearch_ray.records.trials import HELD, MAY_BE_BEST
from autoresearch_ray.records.unproven import Unproven
from autoresearch_ray.settings.score_words import ScoreWords
from autoresearch_ray.settings.scoring import OURS, Scoring
from autoresearch_ray.settings.script_experiment import ScriptExperiment

UNSELECTED = frozenset({*MAY_BE_BEST, "idle"})  # purposes whose scores were not picked for being good


@dataclass(frozen=True, slots=True)
class Level:
    """The score of best or frontier from this trial on."""

    trial_number: int  # 1 for the first trial; 0 before any
    val_bpb: float
    step: Step


@dataclass(frozen=True, slots=True)
class Win:
    """A proven improvement and what it was measured against."""

    number: int  # 1, 2, 3 ...
    step: Step
    hypothesis: str  # hypotheses of all its advances; a replicate settled the step itself
    parent_sha: str  # the best before it
    commit: str  # "" while git has not been told
    trial_number: int


@dataclass(frozen=True, slots=True)
class Lead:
    """What the frontier has ahead of the best, and no proof has settled yet."""

    hypothesis: str  # of all its unproven advances
    reason: str  # how far its proof is, or why it is the frontier
    trial_id: str  # whose decision says so


@dataclass(frozen=True, slots=True)
class ModelCost:
    """The cost of one language model's calls, over all launches of the run."""

    name: str
    calls: int
    tokens: int
    micros: int  # millionths of a dollar; calls of unknown cost count with the most they could cost
    priced: bool  # False: no price of it is known


def score(row: TrialRow) -> float:
    """The number that decisions read, lower is better; NaN for a failure or a trial without result."""
    return row.result.val_bpb if row.result is not None and row.result.status == "ok" else math.nan


def status(row: TrialRow) -> str:
    """The result's status, or "running"."""
    return "running" if row.result is None else row.result.status


def find_held(history: History) -> list[str]:
    """The trials whose results were too good to be true; what is older says it in words alone."""
    failed = ((row.trial.trial_id, row.result) for row in history.rows if row.result is not None)
    return [
        trial_id for trial_id, result in failed if result.held or (result.status == "invalid" and HELD in result.error)
    ]


def model_costs(history: History) -> tuple[ModelCost, ...]:
    """Every model that was asked, the dearest first."""
    found = []
    for name in sorted({charge.who for charge in history.charges}):
        own = [charge for charge in history.charges if charge.who == name]
        tokens = sum(charge.input_tokens + charge.output_tokens for charge in own)
        micros = sum(charge.micros for charge in own)
        found.append(ModelCost(name, len(own), tokens, micros, any(charge.priced for charge in own)))
    return tuple(sorted(found, key=lambda cost: -cost.micros))


def isolation(history: History) -> str:
    """The layers that the trials ran behind, most frequent first; "" while none has ended."""
    levels = Counter(row.result.isolation for row in history.rows if row.result is not None and row.result.isolation)
    return ", ".join(level for level, _ in levels.most_common())


def setting(history: History, name: str, default: Any) -> Any:
    """A value of settings.json by its name, at the top or one level down."""
    nested = [value for value in history.settings.values() if isinstance(value, dict)]
    return next((section[name] for section in [history.settings, *nested] if name in section), default)


def complexity_price(history: History) -> float:
    """The price of a code line by the run's rules: an experiment may leave it to them, or be overruled."""
    rules = history.settings.get("rules")
    told = rules.get("complexity_price") if isinstance(rules, dict) else setting(history, "complexity_price", None)
    return float(told or 0.0)


def scoring(history: History) -> Scoring:
    """How the run's candidates are scored."""
    experiment = history.settings.get("experiment")
    if not isinstance(experiment, dict) or experiment.get("contract") != "script":
        return OURS
    return ScriptExperiment.model_construct(**experiment).scoring  # it was validated when the run began


def score_words(history: History) -> ScoreWords:
    """How its scores are written."""
    own = scoring(history)
    return ScoreWords(own) if own.is_ours else ScoreWords(own, noise(history)[0])


def best_levels(history: History) -> tuple[Level, ...]:
    """The proven best, from the start on."""
    return tuple(level for level in _levels(history) if level.step.kind in ("start", "keep"))


def frontier_levels(history: History) -> tuple[Level, ...]:
    """The frontier from the start on; a keep tells anew what it is worth, unless it was found beside it."""
    found = list[Level]()
    for level in _levels(history):
        if level.step.kind != "keep" or level.step.source_sha == found[-1].step.source_sha:
            found.append(level)
    return tuple(found)


def wins(history: History) -> tuple[Win, ...]:
    """Every keep in order, each with the best before it and the advances that led there."""
    found: list[Win] = []
    parent, unproven = start_sha(history), Unproven()
    for level in _levels(history):
        step = level.step
        proven, unproven = unproven.judged_by(step), unproven.after(step)
        if step.kind == "keep":
            hypothesis = "; ".join(advance.hypothesis for advance in proven) or step.hypothesis
            commit = history.commits.get(step.index, "")
            found.append(Win(len(found) + 1, step, hypothesis, parent, commit, level.trial_number))
        if step.kind in ("start", "keep"):
            parent = step.source_sha
    return tuple(found)


def find_lead(history: History) -> Lead | None:
    """The lead of the frontier; None where it is the best, or where its last proof failed."""
    unproven = Unproven()
    for step in history.steps:
        unproven = unproven.after(step)
    if not unproven.advances:
        return None
    *_, last = unproven.advances
    proof = [
        row.decision
        for row in history.rows
        if row.decision is not None
        and row.trial.purpose == "prove"
        and last.source_sha in (row.trial.proposal.source_sha, row.trial.proposal.parent_sha)
    ]
    hypothesis = "; ".join(advance.hypothesis for advance in unproven.advances)
    if not proof:
        return Lead(hypothesis, last.reason, last.trial_id)
    latest = max(proof, key=lambda decision: decision.decided_at)
    return None if latest.verdict == "drop" else Lead(hypothesis, latest.reason, latest.trial_id)


def count_overtime(history: History) -> int:
    """The trials of proofs that began after all that the run was to have."""
    asked = history.settings.get("trials")
    beyond = history.rows[asked:] if isinstance(asked, int) and asked > 0 else ()
    return sum(row.trial.purpose == "prove" for row in beyond)


def start_sha(history: History) -> str:
    """The starting candidate's hash; "" while nothing has run."""
    starts = [step.source_sha for step in history.steps if step.kind == "start"]
    baselines = [row.trial.proposal.source_sha for row in history.rows if row.trial.proposal.kind == "baseline"]
    return next(iter(starts + baselines), "")


def best_sha(history: History) -> str:
    """The best candidate's hash; the starting candidate's while nothing is proven."""
    levels = best_levels(history)
    return levels[-1].step.source_sha if levels else start_sha(history)


def frontier_sha(history: History) -> str:
    """The hash of what new proposals start from; the starting candidate's until it has moved."""
    levels = frontier_levels(history)
    return levels[-1].step.source_sha if levels else start_sha(history)


def trials_of(history: History, source_sha: str) -> list[TrialRow]:
    """The finished runs of one candidate that were not picked for their score."""
    return [
        row
        for row in history.rows
        if row.trial.proposal.source_sha == source_sha and row.trial.purpose in UNSELECTED and math.isfinite(score(row))
    ]


def steps_by_trial(history: History) -> dict[str, Step]:
    """Trial id -> the advance or keep that it settled; a keep goes before an advance."""
    return {step.trial_id: step for kind in ("advance", "keep") for step in history.steps if step.kind == kind}


def collect_taken(history: History) -> set[str]:
    """The candidates that were frontier or best, and those whose changes were merged into one."""
    taken = {step.source_sha for step in history.steps}
    merged = (row.trial.proposal for row in history.rows if row.trial.proposal.source_sha in taken)
    return taken | {part for proposal in merged for part in proposal.merged}


def describe_trials(history: History) -> list[str]:
    """What each trial tried, in words; of one that settled a win, what the win is (its own word is "again")."""
    won = {win.step.trial_id: win.hypothesis for win in wins(history)}
    return [won.get(row.trial.trial_id, row.trial.proposal.hypothesis) for row in history.rows]


def noise(history: History) -> tuple[float, int]:
    """Pooled standard deviation of runs of equal source, and its degrees of freedom; (NaN, 0) without replicates."""
    groups: defaultdict[str, list[float]] = defaultdict(list)
    for row in history.rows:
        if row.trial.purpose in UNSELECTED and math.isfinite(score(row)):
            groups[row.trial.proposal.source_sha].append(score(row))
    squares = math.fsum((value - _mean(group)) ** 2 for group in groups.values() for value in group)
    freedom = sum(len(group) - 1 for group in groups.values())
    return (math.sqrt(squares / freedom), freedom) if freedom else (math.nan, 0)


def reason_of(decision: Decision, words: ScoreWords) -> str:
    """Why, with what the held-out split says."""
    has_holdout = math.isfinite(decision.holdout_gain)
    held_out = f", held-out gain {words.amount(decision.holdout_gain)}" if has_holdout else ""
    return decision.reason + held_out


def measure_elapsed(history: History) -> list[float]:
    """For each trial, when it ended (or was claimed) after the run's first start; never decreasing."""
    moments = [row.result.finished_at if row.result else row.trial.claimed_at for row in history.rows]
    first = min(
        (
            (row.result.started_at if row.result and row.result.started_at else row.trial.claimed_at)
            for row in history.rows
        ),
        default=0.0,
    )
    found, latest = [], 0.0
    for moment in moments:
        latest = max(latest, moment - first)
        found.append(latest)
    return found


def _levels(history: History) -> list[Level]:
    numbers = {row.trial.trial_id: number for number, row in enumerate(history.rows, 1)}
    claims = [row.trial.claimed_at for row in history.rows]
    baseline = [score(row) for row in trials_of(history, start_sha(history))]
    found = []
    for step in history.steps:
        number = numbers.get(step.trial_id, bisect_right(claims, step.at))
        if step.kind == "start":
            number = 0
        value = step.val_bpb if math.isfinite(step.val_bpb) or step.kind != "start" else _mean(baseline)
        found.append(Level(number, value, step))
    return found


def _mean(values: Iterable[float], otherwise: float = math.nan) -> float:
    values = list(values)
    return math.fsum(values) / len(values) if values else otherwise
