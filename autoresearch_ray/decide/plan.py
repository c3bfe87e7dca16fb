"""What a free slot does next: pure, from the decisions' state and what is in flight.

In this order: measure the baseline, run a frontier that has one run once more, run the likeliest contender once more,
replicate for a proof that is open or due, run a proposal. Where nothing is ready, or the frontier has not moved for
long: replicate for the proof of a removal. Where nothing is ready at all: the best. None: there is nothing to do now.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from autoresearch_ray.decide import panel
from autoresearch_ray.decide.estimate import Estimate
from autoresearch_ray.decide.ledger import Entry
from autoresearch_ray.decide.proof import chance_to_win, pair_gains, pairs_needed
from autoresearch_ray.decide.removal import anchor_of, choose_removal
from autoresearch_ray.decide.state import SearchState
from autoresearch_ray.records.trials import Purpose, Trial
from autoresearch_ray.settings.decision_rules import Rules

LIKELY = 0.5  # probability of a worthwhile step, above which a contender comes before a last proof
ATTEMPTS = 2  # at another run of a candidate, before it is let be
FAR = 2.0  # sd above the frontier, from which nobody is looked at


@dataclass(frozen=True, slots=True)
class Replicate:
    """Run this source again. `other_sha` is the other side of a proof, else the same source."""

    purpose: Purpose
    source_sha: str
    other_sha: str
    seed_number: int | None = None  # see panel.py; None: a seed of its own


@dataclass(frozen=True, slots=True)
class Screen:
    """Run the next proposal of the queue, on a seed that its parent was run on (`panel.screen_seed`)."""


def plan(
    state: SearchState,
    estimate: Estimate | None,
    rules: Rules,
    in_flight: Sequence[Trial],
    *,
    baseline_sha: str,
    trials_left: float,
    slots: int,
    ready: bool,
    idle: bool,
) -> Replicate | Screen | None:
    """The next thing for a free slot; `estimate` is that of the state's ledger, None before the baseline is measured.

    `trials_left` counts those not yet started (infinite for an endless run), `ready` says that a proposal is queued,
    `idle` that nothing was ready for longer than is worth waiting.
    """
    if state.best is None:
        return _before_noise(state, rules, in_flight, baseline_sha, ready)
    assert estimate is not None
    last = _last_proof(state, estimate, rules, trials_left)
    proof = _for_proof(state, estimate, rules, in_flight, slots, trials_left, is_last=last or idle)
    has_time = trials_left >= 2 * rules.min_pairs + 2
    bar = LIKELY if last else rules.contender_probability
    again = _contender(state, estimate, bar, rules, in_flight) if has_time or not last else None
    if again is not None:
        number = panel.next_panel_seed(state.ledger, again, in_flight)
        return Replicate("confirm", again.source_sha, again.source_sha, number)
    if proof is not None:
        return proof
    if (idle and not ready) or (not last and _is_plateau(state, rules, in_flight, slots)):
        removal = _for_removal(state, estimate, rules, in_flight, trials_left)
        if removal is not None:
            return removal
    if ready:
        return Screen()
    return Replicate("idle", state.best.source_sha, state.best.source_sha) if idle else None


def plan_overtime(
    state: SearchState,
    estimate: Estimate | None,
    rules: Rules,
    in_flight: Sequence[Trial],
    *,
    trials_left: int,
) -> Replicate | None:
    """The next run of a last proof, after all of a run's trials; None where so many more would hardly settle it.

    The proof is the open one, or the frontier's as soon as nothing runs that could still move it.
    """
    if estimate is None or state.best is None or state.frontier is None:
        return None
    running = [trial for trial in in_flight if trial.purpose == "prove"]
    target_sha = _open_target(state, running)
    if target_sha is None:
        target_sha = state.frontier.source_sha
        if in_flight or not state.unproven or target_sha in (*state.failed, *state.replaced):
            return None
    target, best = state.ledger.by_sha[target_sha], state.ledger.by_sha[state.best.source_sha]
    done = len(pair_gains(state, target, best)[0])
    affordable = min(rules.max_pairs, done + (trials_left + len(running)) // 2)
    if affordable < rules.min_pairs or done >= affordable:
        return None
    if chance_to_win(state, estimate, target_sha, affordable, rules) <= rules.overtime_chance:
        return None
    limit = min(affordable, max(done + 1, pairs_needed(state, estimate, target_sha, rules)))
    return _missing_side("prove", state, target, best, running, limit)


def _is_plateau(state: SearchState, rules: Rules, in_flight: Sequence[Trial], slots: int) -> bool:
    """Whether nothing has moved the proven frontier for so long that a part of the slots may prove removals."""
    assert state.frontier is not None
    frontier = state.ledger.get(state.frontier.source_sha)
    if state.unproven or frontier is None:
        return False
    still = state.ledger.entries[-1].number - frontier.number
    removing = sum(trial.purpose == "remove" for trial in in_flight)
    return still >= rules.plateau_trials and removing < max(1, slots // 4)


def _last_proof(state: SearchState, estimate: Estimate, rules: Rules, trials_left: float) -> bool:
    """Whether what is left is needed for a last proof of the frontier."""
    assert state.best is not None and state.frontier is not None
    if not state.unproven:
        return False
    target = state.frontier.source_sha
    pairs = pairs_needed(state, estimate, target, rules)
    return trials_left <= 2 * pairs + rules.reserve_trials


def _before_noise(
    state: SearchState, rules: Rules, in_flight: Sequence[Trial], baseline_sha: str, ready: bool
) -> Replicate | Screen | None:
    known = state.ledger.get(baseline_sha)
    seeds = [trial.seed_number for trial in in_flight if trial.purpose == "baseline"]
    seeds += [run.seed_number for run in known.runs] if known else []
    if len(seeds) < rules.baseline_trials:
        number = next(number for number in panel.baseline_seeds(rules.baseline_trials) if number not in seeds)
        return Replicate("baseline", baseline_sha, "", number)
    return Screen() if ready else None


def _contender(
    state: SearchState, estimate: Estimate, bar: float, rules: Rules, in_flight: Sequence[Trial]
) -> Entry | None:
    """Who is run once more: a frontier with one run, else who may beat the frontier by a worthwhile step."""
    assert state.frontier is not None
    running = {trial.proposal.source_sha for trial in in_flight if trial.purpose in ("confirm", "screen")}
    frontier = state.ledger.get(state.frontier.source_sha)
    assert frontier is not None
    if len(panel.panel_seeds(frontier)) < 2 and frontier.source_sha not in running and frontier.failures < ATTEMPTS:
        return frontier
    ahead = estimate.mean(frontier.source_sha) + FAR * estimate.scale
    likely = [
        (
            estimate.chance(entry.source_sha, frontier.source_sha, rules.worthwhile_sd * estimate.scale),
            entry.number,
            entry,
        )
        for entry in state.ledger.entries
        if entry is not frontier
        and estimate.mean(entry.source_sha) < ahead
        and entry.source_sha not in running
        and entry.failures < ATTEMPTS
        and 0 < len(panel.panel_seeds(entry)) < rules.most_runs
        and entry.source_sha not in estimate.path(frontier.source_sha)
    ]
    chance, _, entry = max(likely, default=(0.0, 0, frontier), key=lambda one: one[:2])
    return entry if chance > bar else None


def _for_proof(
    state: SearchState,
    estimate: Estimate,
    rules: Rules,
    in_flight: Sequence[Trial],
    slots: int,
    trials_left: float,
    *,
    is_last: bool,
) -> Replicate | None:
    assert state.best is not None and state.frontier is not None
    best_sha = state.best.source_sha
    running = [trial for trial in in_flight if trial.purpose == "prove"]
    target_sha = _open_target(state, running)
    if target_sha is None:
        if not _due(state, estimate, rules, trials_left, is_last=is_last):
            return None
        target_sha = state.frontier.source_sha
    if len(running) >= (slots if is_last else max(2, slots // 4)):
        return None
    target, best = state.ledger.by_sha[target_sha], state.ledger.by_sha[best_sha]
    done = len(pair_gains(state, target, best)[0])
    limit = min(rules.max_pairs, max(done + 1, pairs_needed(state, estimate, target_sha, rules)))
    return _missing_side("prove", state, target, best, running, limit)


def _for_removal(
    state: SearchState, estimate: Estimate, rules: Rules, in_flight: Sequence[Trial], trials_left: float
) -> Replicate | None:
    """A run for the proof of a removal: of the open one, else of the one that is worth most."""
    running = [trial for trial in in_flight if trial.purpose == "remove"]
    if state.proof is not None and not state.proof.removes:
        return None
    if state.proof is not None:
        target = state.ledger.by_sha[state.proof.target_sha]
    else:
        chosen = choose_removal(state, estimate, rules)
        if chosen is None or trials_left < 2 * rules.min_removal_pairs - len(chosen.runs):
            return None
        target = chosen
    anchor = state.ledger.by_sha[anchor_of(state).source_sha]
    return _missing_side("remove", state, target, anchor, running, rules.max_removal_pairs)


def _missing_side(
    purpose: Purpose, state: SearchState, target: Entry, best: Entry, running: Sequence[Trial], limit: int
) -> Replicate | None:
    """The next run that a proof's first `limit` pairs lack, of either side."""
    has = {
        entry.source_sha: {run.seed_number for run in entry.runs}
        | {trial.seed_number for trial in running if trial.proposal.source_sha == entry.source_sha}
        for entry in (target, best)
    }
    for number in islice(panel.proof_seeds(state.ledger, target, best), limit):
        for side, other in ((target, best), (best, target)):
            if number not in has[side.source_sha]:
                return Replicate(purpose, side.source_sha, other.source_sha, number)
    return None


def _open_target(state: SearchState, running: Sequence[Trial]) -> str | None:
    """The candidate of the proof under way, also when none of its replicates has ended yet."""
    assert state.best is not None
    if state.proof is not None and not state.proof.removes:
        return state.proof.target_sha
    best = state.best.source_sha
    for trial in running:
        sides = (trial.proposal.source_sha, trial.proposal.parent_sha)
        target = sides[0] if sides[1] == best else sides[1]
        if best in sides and target not in (*state.failed, *state.replaced) and state.ledger.get(target) is not None:
            return target
    return None


def _due(state: SearchState, estimate: Estimate, rules: Rules, trials_left: float, *, is_last: bool) -> bool:
    """Whether the frontier is to be proven now: few pairs will do, or it is the last chance, or slots are idle."""
    assert state.best is not None and state.frontier is not None
    target, best = state.frontier.source_sha, state.best.source_sha
    if not state.unproven or target in (*state.failed, *state.replaced) or trials_left < 2 * rules.min_pairs:
        return False
    if is_last:
        return chance_to_win(state, estimate, target, rules.max_pairs, rules) > rules.last_chance
    lead = -estimate.difference(target, best)[0] / estimate.scale
    return lead > rules.lead_sd and pairs_needed(state, estimate, target, rules) <= rules.cheap_pairs
