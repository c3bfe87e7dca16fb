"""From results to decisions: discard, advance, keep, drop. Pure functions, no clock, no store, no texts.

Two levels. The frontier moves on expected gain: a child's J below that of its parent on the same seed by half a
standard deviation, and below it on a second seed (`panel.py`; a parent without runs on numbered seeds stands in with
its estimate). Of the two gains the first, which selected it, counts half. A child whose frontier has moved meanwhile is
merged with the new one, and the merge is tried: nothing untested is the frontier. One run below its parent's on the
same seed is enough for it, since its parts were confirmed before.
The best moves on proof alone: replicates of a frontier and of the best on the same fresh seeds, until the posterior
probability passes 0.99 (keep), falls below 0.2 or six replicates are spent (drop). A proof's runs are probed at full
strength: no keep without, and one that fails a probe is dropped at once. What the slots do next is in `plan.py`.
"""

import math
from dataclasses import replace

from autoresearch_ray.decide.noise import Comparison
from autoresearch_ray.decide.panel import is_renewed, with_runs
from autoresearch_ray.decide.proof import Judgement, failure, judged, mean, objective, with_result
from autoresearch_ray.decide.state import (
    REMEMBERED_FRONTIERS,
    REMEMBERED_RUNS,
    Contender,
    Outcome,
    PanelRun,
    Proof,
    SearchState,
    Settled,
)
from autoresearch_ray.records import Decision, Standing, Step, StepKind, Verdict
from autoresearch_ray.settings import Rules

MERGE, MERGE_SHARE = "merge", 0.75  # who proposes merges; how much of the one gain that is measured of it is expected


def decide(state: SearchState, outcome: Outcome, rules: Rules, now: float) -> Settled:
    """What follows from one finished trial; `now` (UTC seconds) is written into the records."""
    if outcome.purpose == "baseline":
        return _baseline(state, outcome, rules, now)
    if state.best is None:
        return Settled(replace(state, waiting=(*state.waiting, outcome)))
    if outcome.purpose == "screen":
        return _screened(state, outcome, rules, now)
    if outcome.purpose == "confirm":
        return _confirmed(state, outcome, rules, now)
    if outcome.purpose == "prove":
        return _proved(state, outcome, rules, now)
    return _measured(state, outcome, rules, now)


def _baseline(state: SearchState, outcome: Outcome, rules: Rules, now: float) -> Settled:
    if outcome.status != "ok":
        state = replace(state, baseline_failures=(*state.baseline_failures, failure(outcome)))
        return Settled(state, (_decision(state, outcome, "discard", failure(outcome), now),))
    value = objective(outcome, rules)
    runs = with_runs(state, [PanelRun(outcome.source_sha, outcome.seed_number, value)])
    state = replace(state, noise=state.noise.with_value(outcome.source_sha, value), runs=runs)
    group = state.noise.group(outcome.source_sha)
    if state.best is not None or group.n < rules.baseline_trials:
        reason = f"baseline {group.n} of {rules.baseline_trials}"
        return Settled(state, (_decision(state, outcome, "measure", reason, now),))
    return _started(state, outcome, rules, now)


def _started(state: SearchState, outcome: Outcome, rules: Rules, now: float) -> Settled:
    """The noise is known: the baseline is the best and the frontier, and what waited is decided."""
    group = state.noise.group(outcome.source_sha)
    val_bpb = group.mean - rules.complexity_price * outcome.code_lines
    start = Standing(outcome.source_sha, group.mean, val_bpb, outcome.code_lines, 1, now)
    reason = f"baseline {val_bpb:.4f}, sd {state.noise.sd:.4f} over {group.n} seeds"
    waiting = state.waiting
    next_seed = max((run.seed_number + 1 for run in state.runs), default=0)
    state = replace(state, best=start, frontiers=(start,), frontier_weight=float(group.n), waiting=(), steps=1)
    state = replace(state, next_seed=next_seed)
    decisions = (_decision(state, outcome, "measure", reason, now),)
    settled = Settled(state, decisions, (_step(state, "start", start, outcome, reason, now),))
    for early in waiting:
        later = decide(settled.state, early, rules, now)
        settled = Settled(later.state, settled.decisions + later.decisions, settled.steps + later.steps)
    return settled


def _screened(state: SearchState, outcome: Outcome, rules: Rules, now: float) -> Settled:
    state = replace(state, screens=state.screens + 1)
    if outcome.status != "ok":
        return Settled(state, (_decision(state, outcome, "discard", failure(outcome), now),))
    bar, where = _bar(state, outcome.parent_sha, outcome.seed_number)
    gain = bar - objective(outcome, rules)
    lead = gain / _sd(state)
    if outcome.proposer == MERGE and gain > 0:  # each of its parts was confirmed
        return _advanced(state, outcome, Contender(outcome, bar), MERGE_SHARE * gain, rules, now)
    if not lead > rules.advance_sd:
        reason = f"{_sds(lead)} its parent{where}, an advance needs {rules.advance_sd} sd"
        return Settled(state, (_decision(state, outcome, "discard", reason, now),))
    state = replace(state, contenders=(*state.contenders, Contender(outcome, bar)))
    reason = f"{_sds(lead)} its parent{where}, to be confirmed"
    return Settled(state, (_decision(state, outcome, "promising", reason, now),))


def _confirmed(state: SearchState, outcome: Outcome, rules: Rules, now: float) -> Settled:
    contender = next((c for c in state.contenders if c.outcome.source_sha == outcome.source_sha), None)
    if contender is None:  # decided by an earlier replicate
        return _measured(state, outcome, rules, now)
    state = replace(state, contenders=tuple(c for c in state.contenders if c is not contender))
    if outcome.status != "ok":
        return Settled(state, (_decision(state, outcome, "discard", failure(outcome), now),))
    bar, where = _bar(state, contender.outcome.parent_sha, outcome.seed_number)
    gain = bar - objective(outcome, rules)
    if not gain > 0:
        reason = f"not confirmed: its replicate is {_sds(gain / _sd(state))} the parent{where}"
        return Settled(state, (_decision(state, outcome, "discard", reason, now),))
    expected = (gain + (contender.parent_objective - objective(contender.outcome, rules)) / 2) / 2
    return _advanced(state, outcome, contender, expected, rules, now)


def _advanced(
    state: SearchState, outcome: Outcome, contender: Contender, gain: float, rules: Rules, now: float
) -> Settled:
    """The frontier takes the contender; where it has moved meanwhile, their merge is to be tested."""
    assert state.frontier is not None
    reason = f"confirmed, expected gain {gain:.4f}"
    if contender.outcome.parent_sha != state.frontier.source_sha:
        reason += "; the frontier has moved: their merge is tried"
        return Settled(state, (_decision(state, outcome, "promising", reason, now),), retries=(contender.outcome,))
    estimate = state.frontier.objective - gain
    frontier = Standing(
        outcome.source_sha,
        estimate,
        estimate - rules.complexity_price * outcome.code_lines,
        outcome.code_lines,
        state.frontier.version + 1,
        now,
    )
    frontiers = (*state.frontiers, frontier)[-REMEMBERED_FRONTIERS:]
    decision = _decision(state, outcome, "advance", reason, now)
    runs = with_runs(state, [_panel_run(contender.outcome, rules), _panel_run(outcome, rules)])
    state = _tidied(replace(state, frontiers=frontiers, frontier_weight=1.5, steps=state.steps + 1, runs=runs))
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
    runs = with_runs(state, _proof_runs(target.source_sha, proof.target_seeds, proof.target_values))
    is_frontier = state.frontier.version == target.version
    weight = float(len(proof.target_values)) if is_frontier else state.frontier_weight
    decision = replace(_decision(state, outcome, "keep", judgement.words, now), checks=proof.checks)
    state = replace(
        state, best=best, frontiers=frontiers, frontier_weight=weight, proof=None, disproven=(), steps=state.steps + 1
    )
    state = replace(state, runs=runs, screens=0 if is_frontier else state.screens)
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
    proof = state.proof
    assert proof is not None
    runs = with_runs(state, _proof_runs(proof.best_sha, proof.best_seeds, proof.best_values))
    state = replace(state, frontiers=frontiers, frontier_weight=weight, proof=None, disproven=(), steps=state.steps + 1)
    state = replace(state, runs=runs, screens=0)
    step = _step(state, "drop", frontier, outcome, judgement.words, now, seen=judgement.seen)
    return Settled(_tidied(state), (decision,), (step,), dropped=True)


def _measured(state: SearchState, outcome: Outcome, rules: Rules, now: float) -> Settled:
    """A replicate that settles nothing sharpens the noise and, where it is the frontier's, its estimate."""
    if outcome.status != "ok":
        return Settled(state, (_decision(state, outcome, "measure", failure(outcome), now),))
    assert state.frontier is not None and state.best is not None
    value = objective(outcome, rules)
    if outcome.source_sha in _in_play(state):
        runs = with_runs(state, [_panel_run(outcome, rules)])
        state = replace(state, noise=state.noise.with_value(outcome.source_sha, value), runs=runs)
    if is_renewed(state):
        reason = "the frontier has been run on new seeds"
        state = replace(state, next_seed=state.next_seed + 2, screens=0)
        return Settled(state, (_decision(state, outcome, "measure", reason, now),))
    frontier = state.frontier
    assert frontier is not None
    if outcome.source_sha == frontier.source_sha and outcome.seed_number < 0:
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
    """Without what nothing can be compared with any more: the state stays small however long the run."""
    assert state.best is not None
    started_from = {state.best.source_sha, *(frontier.source_sha for frontier in state.frontiers)}
    runs = tuple(run for sha in started_from for run in state.runs_of(sha)[-REMEMBERED_RUNS:])
    runs = tuple(run for run in state.runs if run in runs)
    return replace(state, noise=state.noise.keeping(_in_play(state)), runs=runs)


def _panel_run(outcome: Outcome, rules: Rules) -> PanelRun:
    return PanelRun(outcome.source_sha, outcome.seed_number, objective(outcome, rules))


def _proof_runs(source_sha: str, seeds: tuple[int, ...], values: tuple[float, ...]) -> list[PanelRun]:
    """One side of a proof, as runs that others are compared with: nothing was selected on its seeds before."""
    return [
        PanelRun(source_sha, seed, value) for seed, value in zip(seeds, values[len(values) - len(seeds) :], strict=True)
    ]


def _bar(state: SearchState, parent_sha: str, seed_number: int) -> tuple[float, str]:
    """What a child must be below, and in words where that was measured: J of its parent on the same seed, if known."""
    on_seed = state.on_seed(parent_sha, seed_number) if seed_number >= 0 else None
    return (_parent(state, parent_sha).objective, "") if on_seed is None else (on_seed, " on the same seed")


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
