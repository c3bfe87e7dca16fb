"""From results to decisions: discard, advance, keep, drop. Pure functions, no clock, no store, no texts.

Two levels. The frontier moves on expected gain: a child's J below the frontier's estimate m by half a standard
deviation, and one replicate below m; m becomes the mean of the replicate and m + 0.5 (y - m), so that luck counts half.
The best moves on proof alone: replicates of a frontier and of the best side by side, until the posterior probability
passes 0.99 (keep), falls below 0.2 or six replicates are spent (drop). A proof's runs are probed at full strength: no
keep without, and one that fails a probe is dropped at once. What the slots do next is in `plan.py`.
"""

import math
from collections.abc import Callable
from dataclasses import replace

from autoresearch_ray.decide.noise import Comparison
from autoresearch_ray.decide.proof import Judgement, failure, judged, mean, objective, with_result
from autoresearch_ray.decide.state import REMEMBERED_FRONTIERS, Contender, Outcome, Proof, SearchState, Settled
from autoresearch_ray.records import Decision, Standing, Step, StepKind, Verdict
from autoresearch_ray.settings import Rules

Merge = Callable[[str, str, str], tuple[str, int] | None]
"""(base, ours, theirs) as shas -> the merged source's sha and its code lines, or None if they conflict."""


def decide(state: SearchState, outcome: Outcome, rules: Rules, merge: Merge, now: float) -> Settled:
    """What follows from one finished trial; `now` (UTC seconds) is written into the records."""
    if outcome.purpose == "baseline":
        return _baseline(state, outcome, rules, merge, now)
    if state.best is None:
        return Settled(replace(state, waiting=(*state.waiting, outcome)))
    if outcome.purpose == "screen":
        return _screened(state, outcome, rules, now)
    if outcome.purpose == "confirm":
        return _confirmed(state, outcome, rules, merge, now)
    if outcome.purpose == "prove":
        return _proved(state, outcome, rules, now)
    return _measured(state, outcome, rules, now)


def _baseline(state: SearchState, outcome: Outcome, rules: Rules, merge: Merge, now: float) -> Settled:
    if outcome.status != "ok":
        state = replace(state, baseline_failures=(*state.baseline_failures, failure(outcome)))
        return Settled(state, (_decision(state, outcome, "discard", failure(outcome), now),))
    state = replace(state, noise=state.noise.with_value(outcome.source_sha, objective(outcome, rules)))
    group = state.noise.group(outcome.source_sha)
    if state.best is not None or group.n < rules.baseline_trials:
        reason = f"baseline {group.n} of {rules.baseline_trials}"
        return Settled(state, (_decision(state, outcome, "measure", reason, now),))
    return _started(state, outcome, rules, merge, now)


def _started(state: SearchState, outcome: Outcome, rules: Rules, merge: Merge, now: float) -> Settled:
    """The noise is known: the baseline is the best and the frontier, and what waited is decided."""
    group = state.noise.group(outcome.source_sha)
    val_bpb = group.mean - rules.complexity_price * outcome.code_lines
    start = Standing(outcome.source_sha, group.mean, val_bpb, outcome.code_lines, 1, now)
    reason = f"baseline {val_bpb:.4f}, sd {state.noise.sd:.4f} over {group.n} seeds"
    waiting = state.waiting
    state = replace(state, best=start, frontiers=(start,), frontier_weight=float(group.n), waiting=(), steps=1)
    decisions = (_decision(state, outcome, "measure", reason, now),)
    settled = Settled(state, decisions, (_step(state, "start", start, outcome, reason, now),))
    for early in waiting:
        later = decide(settled.state, early, rules, merge, now)
        settled = Settled(later.state, settled.decisions + later.decisions, settled.steps + later.steps)
    return settled


def _screened(state: SearchState, outcome: Outcome, rules: Rules, now: float) -> Settled:
    if outcome.status != "ok":
        return Settled(state, (_decision(state, outcome, "discard", failure(outcome), now),))
    bar = _parent(state, outcome.parent_sha).objective
    lead = (bar - objective(outcome, rules)) / _sd(state)
    if not lead > rules.advance_sd:
        reason = f"{_sds(lead)} its parent, an advance needs {rules.advance_sd} sd"
        return Settled(state, (_decision(state, outcome, "discard", reason, now),))
    state = replace(state, contenders=(*state.contenders, Contender(outcome, bar)))
    reason = f"{_sds(lead)} its parent, to be confirmed"
    return Settled(state, (_decision(state, outcome, "promising", reason, now),))


def _confirmed(state: SearchState, outcome: Outcome, rules: Rules, merge: Merge, now: float) -> Settled:
    contender = next((c for c in state.contenders if c.outcome.source_sha == outcome.source_sha), None)
    if contender is None:  # decided by an earlier replicate
        return _measured(state, outcome, rules, now)
    state = replace(state, contenders=tuple(c for c in state.contenders if c is not contender))
    if outcome.status != "ok":
        return Settled(state, (_decision(state, outcome, "discard", failure(outcome), now),))
    lead = (contender.parent_objective - objective(outcome, rules)) / _sd(state)
    if not lead > 0:
        reason = f"not confirmed: its replicate is {_sds(lead)} the parent"
        return Settled(state, (_decision(state, outcome, "discard", reason, now),))
    return _advanced(state, outcome, contender, rules, merge, now)


def _advanced(
    state: SearchState, outcome: Outcome, contender: Contender, rules: Rules, merge: Merge, now: float
) -> Settled:
    """The frontier takes the contender; beside a frontier that moved meanwhile, by three-way merge."""
    assert state.frontier is not None
    screen, bar = objective(contender.outcome, rules), contender.parent_objective
    gain = bar - (objective(outcome, rules) + bar + 0.5 * (screen - bar)) / 2
    source_sha, lines, base = outcome.source_sha, outcome.code_lines, bar
    reason = f"confirmed, expected gain {gain:.4f}"
    if contender.outcome.parent_sha != state.frontier.source_sha:
        merged = merge(contender.outcome.parent_sha, state.frontier.source_sha, outcome.source_sha)
        if merged is None:
            reason = "confirmed, but conflicts with the frontier: what merges is tested again"
            decision = _decision(state, outcome, "discard", reason, now)
            return Settled(state, (decision,), retries=(contender.outcome,))
        (source_sha, lines), base = merged, state.frontier.objective
        reason += ", merged onto the frontier"
    estimate = base - gain
    frontier = Standing(
        source_sha, estimate, estimate - rules.complexity_price * lines, lines, state.frontier.version + 1, now
    )
    frontiers = (*state.frontiers, frontier)[-REMEMBERED_FRONTIERS:]
    decision = _decision(state, outcome, "advance", reason, now)
    state = _tidied(replace(state, frontiers=frontiers, frontier_weight=1.5, steps=state.steps + 1))
    step = _step(state, "advance", frontier, contender.outcome, reason, now, trial_id=outcome.trial_id)
    return Settled(state, (decision,), (step,))


def _proved(state: SearchState, outcome: Outcome, rules: Rules, now: float) -> Settled:
    assert state.best is not None
    is_best = outcome.source_sha == state.best.source_sha
    target_sha, best_sha = (
        (outcome.parent_sha, outcome.source_sha) if is_best else (outcome.source_sha, outcome.parent_sha)
    )
    proof = state.proof or _proof_of(state, target_sha)
    if proof is None or (proof.target.source_sha, proof.best_sha) != (target_sha, best_sha):
        return _measured(state, outcome, rules, now)  # that proof is over
    if outcome.status == "ok":
        state = replace(state, noise=state.noise.with_value(outcome.source_sha, objective(outcome, rules)))
    proof = with_result(proof, outcome, rules)
    state, judgement = replace(state, proof=proof), judged(proof, outcome, state.noise, rules)
    if judgement.verdict == "keep":
        return _kept(state, proof, outcome, judgement, now)
    if judgement.verdict == "drop":
        return _outgrown(state, proof, outcome, judgement, rules, now) or _dropped(state, outcome, judgement, now)
    return Settled(state, (_decision(state, outcome, "measure", judgement.words, now),))


def _proof_of(state: SearchState, target_sha: str) -> Proof | None:
    assert state.best is not None
    target = state.on_stack(target_sha)
    return None if target is None else Proof(target, state.best.source_sha)


def _kept(state: SearchState, proof: Proof, outcome: Outcome, judgement: Judgement, now: float) -> Settled:
    """The target is the best; a frontier that moved on meanwhile shifts by what the proof taught."""
    assert state.best is not None and state.frontier is not None
    target = proof.target
    value = mean(proof.target_values)
    shift = value - target.objective
    best = replace(target, objective=value, val_bpb=target.val_bpb + shift, version=state.best.version + 1, since=now)
    frontiers = _shifted(state.frontiers, shift, target.version)
    weight = float(len(proof.target_values)) if state.frontier.version == target.version else state.frontier_weight
    decision = replace(_decision(state, outcome, "keep", judgement.words, now), checks=proof.checks)
    state = replace(
        state, best=best, frontiers=frontiers, frontier_weight=weight, proof=None, disproven=(), steps=state.steps + 1
    )
    step = replace(_step(state, "keep", best, outcome, judgement.words, now, seen=judgement.seen), checks=proof.checks)
    return Settled(_tidied(state), (decision,), (step,))


def _outgrown(
    state: SearchState, proof: Proof, outcome: Outcome, judgement: Judgement, rules: Rules, now: float
) -> Settled | None:
    """The target failed, but a newer frontier leads the best even less what the proof taught: that one stays."""
    assert state.best is not None and state.frontier is not None
    if judgement.seen is None or state.frontier.version == proof.target.version:
        return None
    shift = mean(proof.target_values) - proof.target.objective
    lead = (mean(proof.best_values) - state.frontier.objective - shift) / _sd(state)
    if not lead > rules.advance_sd:
        return None
    frontiers = _shifted(state.frontiers, shift, proof.target.version)
    disproven = (*state.disproven, proof.target.source_sha)
    words = f"{judgement.words}; the frontier since then stays, {_sds(lead)} the best"
    decision = _decision(state, outcome, "drop", words, now)
    return Settled(_tidied(replace(state, frontiers=frontiers, proof=None, disproven=disproven)), (decision,))


def _shifted(frontiers: tuple[Standing, ...], shift: float, since: int) -> tuple[Standing, ...]:
    """The frontiers, with the estimates from this version on moved by what a proof taught of it."""
    return tuple(
        replace(f, objective=f.objective + shift, val_bpb=f.val_bpb + shift) if f.version >= since else f
        for f in frontiers
    )


def _dropped(state: SearchState, outcome: Outcome, judgement: Judgement, now: float) -> Settled:
    """The frontier returns to the best, whose estimate is now all its replicates."""
    assert state.best is not None and state.frontier is not None
    group = state.noise.group(state.best.source_sha)
    shift = (group.mean if group.n else state.best.objective) - state.best.objective
    frontier = replace(
        state.best,
        objective=state.best.objective + shift,
        val_bpb=state.best.val_bpb + shift,
        version=state.frontier.version + 1,
        since=now,
    )
    decision = _decision(state, outcome, "drop", judgement.words, now)
    frontiers = (*state.frontiers, frontier)[-REMEMBERED_FRONTIERS:]
    weight = float(max(1, group.n))
    state = replace(state, frontiers=frontiers, frontier_weight=weight, proof=None, disproven=(), steps=state.steps + 1)
    step = _step(state, "drop", frontier, outcome, judgement.words, now, seen=judgement.seen)
    return Settled(_tidied(state), (decision,), (step,), dropped=True)


def _measured(state: SearchState, outcome: Outcome, rules: Rules, now: float) -> Settled:
    """A replicate that settles nothing sharpens the noise and, where it is the frontier's, its estimate."""
    if outcome.status != "ok":
        return Settled(state, (_decision(state, outcome, "measure", failure(outcome), now),))
    assert state.frontier is not None and state.best is not None
    value = objective(outcome, rules)
    if outcome.source_sha in _in_play(state):
        state = replace(state, noise=state.noise.with_value(outcome.source_sha, value))
    frontier = state.frontier
    assert frontier is not None
    if outcome.source_sha == frontier.source_sha:
        weight = state.frontier_weight + 1
        shift = (value - frontier.objective) / weight
        sharper = replace(frontier, objective=frontier.objective + shift, val_bpb=frontier.val_bpb + shift)
        state = replace(state, frontiers=(*state.frontiers[:-1], sharper), frontier_weight=weight)
    return Settled(state, (_decision(state, outcome, "measure", "replicate", now),))


def _in_play(state: SearchState) -> set[str]:
    assert state.best is not None and state.frontier is not None
    target = {state.proof.target.source_sha} if state.proof else set()
    return {state.best.source_sha, state.frontier.source_sha} | target


def _tidied(state: SearchState) -> SearchState:
    return replace(state, noise=state.noise.keeping(_in_play(state)))


def _parent(state: SearchState, parent_sha: str) -> Standing:
    """The frontier that had this source last; the oldest that is remembered for one that is forgotten."""
    return next((f for f in reversed(state.frontiers) if f.source_sha == parent_sha), state.frontiers[0])


def _sd(state: SearchState) -> float:
    return max(state.noise.sd, 1e-9)


def _sds(lead: float) -> str:
    return f"{abs(lead):.1f} sd {'below' if lead > 0 else 'above'}"


def _decision(state: SearchState, outcome: Outcome, verdict: Verdict, reason: str, now: float) -> Decision:
    version = state.frontier.version if state.frontier else 0
    return Decision(outcome.trial_id, verdict, reason, version, now)


def _step(
    state: SearchState,
    kind: StepKind,
    standing: Standing,
    outcome: Outcome,
    reason: str,
    now: float,
    *,
    trial_id: str = "",
    seen: Comparison | None = None,
) -> Step:
    return Step(
        index=state.steps,
        kind=kind,
        source_sha=standing.source_sha,
        trial_id=trial_id or outcome.trial_id,
        proposal_id=outcome.proposal_id,
        hypothesis=outcome.hypothesis,
        proposer=outcome.proposer,
        val_bpb=standing.val_bpb,
        reason=reason,
        at=now,
        probability=seen.probability if seen else math.nan,
        gain=seen.gain if seen else math.nan,
        gain_low=seen.low if seen else math.nan,
        gain_high=seen.high if seen else math.nan,
    )
