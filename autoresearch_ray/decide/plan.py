"""What a free slot does next: pure, from the decisions' state and what is in flight.

In this order: measure the baseline, confirm a contender, replicate for a proof that is open or due, run the frontier on
new seeds when they are due, run a proposal, replicate the best when nothing is ready. None: there is nothing to do now.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from autoresearch_ray.decide import panel
from autoresearch_ray.decide.state import Proof, SearchState
from autoresearch_ray.records import Purpose, Trial
from autoresearch_ray.settings import Rules


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
    rules: Rules,
    in_flight: Sequence[Trial],
    *,
    baseline_sha: str,
    trials_left: float,
    slots: int,
    ready: bool,
    idle: bool,
) -> Replicate | Screen | None:
    """The next thing for a free slot.

    `trials_left` counts those not yet started (infinite for an endless run), `ready` says that a proposal is queued,
    `idle` that nothing was ready for longer than is worth waiting.
    """
    if state.best is None:
        return _before_noise(state, rules, in_flight, baseline_sha, ready)
    confirming = {trial.proposal.source_sha for trial in in_flight if trial.purpose == "confirm"}
    for contender in state.contenders:
        sha = contender.outcome.source_sha
        if sha not in confirming:
            seed = panel.confirm_seed(state, contender.outcome.parent_sha, contender.outcome.seed_number)
            return Replicate("confirm", sha, sha, seed)
    replicate = _for_proof(state, rules, in_flight, trials_left, slots, idle)
    if replicate is not None:
        return replicate
    renewal = panel.renewal_seed(state, rules, in_flight)
    if renewal is not None and trials_left > rules.reserve_trials:
        assert state.frontier is not None
        return Replicate("idle", state.frontier.source_sha, state.frontier.source_sha, renewal)
    if ready:
        return Screen()
    return Replicate("idle", state.best.source_sha, state.best.source_sha) if idle else None


def _before_noise(
    state: SearchState, rules: Rules, in_flight: Sequence[Trial], baseline_sha: str, ready: bool
) -> Replicate | Screen | None:
    running = sum(trial.purpose == "baseline" for trial in in_flight)
    if running + state.noise.group(baseline_sha).n < rules.baseline_trials:
        return Replicate("baseline", baseline_sha, "", panel.baseline_seed(state, in_flight))
    return Screen() if ready else None


def _for_proof(
    state: SearchState, rules: Rules, in_flight: Sequence[Trial], trials_left: float, slots: int, idle: bool
) -> Replicate | None:
    assert state.best is not None and state.frontier is not None
    best = state.best.source_sha
    running = [trial for trial in in_flight if trial.purpose == "prove"]
    open_target = _open_target(state, running)
    if open_target is None and not _due(state, rules, trials_left, idle):
        return None
    target = open_target or state.frontier.source_sha
    if len(running) >= max(2, min(4, slots // 4)):
        return None
    proof = state.proof or Proof(state.frontier, best)
    sides = {target: list(proof.target_seeds), best: list(proof.best_seeds)}
    for trial in running:
        sides.get(trial.proposal.source_sha, []).append(trial.seed_number)
    on_target = len(sides[target]) + len(proof.target_values) - len(proof.target_seeds)
    on_best = len(sides[best]) + len(proof.best_values) - len(proof.best_seeds)
    if min(on_target, on_best) >= rules.max_replicates:
        return None
    side, other = (target, best) if on_target <= on_best else (best, target)
    standing = state.on_stack(target) or proof.target
    return Replicate("prove", side, other, panel.proof_seed(standing.version, sides[side]))


def _open_target(state: SearchState, running: Sequence[Trial]) -> str | None:
    """The candidate of the proof under way, also when none of its replicates has ended yet."""
    assert state.best is not None
    if state.proof is not None:
        return state.proof.target.source_sha
    best = state.best.source_sha
    for trial in running:
        sides = (trial.proposal.source_sha, trial.proposal.parent_sha)
        target = sides[0] if sides[1] == best else sides[1]
        if best in sides and state.on_stack(target) is not None:
            return target
    return None


def _due(state: SearchState, rules: Rules, trials_left: float, idle: bool) -> bool:
    assert state.best is not None and state.frontier is not None
    if not state.unproven or trials_left < 2 * rules.min_replicates:
        return False
    lead = state.best.objective - state.frontier.objective
    return lead >= rules.lead_sd * state.noise.sd or trials_left <= rules.reserve_trials or idle
