"""Removals: which code of the best can go without a loss that matters. Pure.

A removal stands on the best and has fewer lines of code. It hardly ever gains what a proof asks for, so what is tested
is that it costs at most `removal_margin` of the score (a test of non-inferiority). Its pairs are run against the last
best that was proven by a gain, not against what earlier removals left of it: all removals since then together stay
within one margin. A removal takes at least ten pairs, so its runs are made on slots that have nothing else to do.
"""

from dataclasses import replace

from autoresearch_ray.decide.estimate import Estimate
from autoresearch_ray.decide.ledger import Entry
from autoresearch_ray.decide.proof import Judgement, bar_of, chance_to_pass, compare, find_fault, holds, pair_gains
from autoresearch_ray.decide.state import Outcome, SearchState
from autoresearch_ray.records.decisions import Standing
from autoresearch_ray.settings.decision_rules import Rules

LIKELY = 0.5  # probability to pass, above which a removal is tried


def anchor_of(state: SearchState) -> Standing:
    """What removals are compared with: the last best that was proven by a gain."""
    assert state.best is not None
    return state.anchor or state.best


def choose_removal(state: SearchState, estimate: Estimate, rules: Rules) -> Entry | None:
    """The removal that is expected to take out most lines; None if none is likely to pass."""
    assert state.best is not None
    if not rules.removal_margin:
        return None
    best, found = state.best, list[tuple[float, int, Entry]]()
    for entry in state.ledger.entries:
        stands_on_best = any(ancestor.source_sha == best.source_sha for ancestor in state.ledger.path(entry.source_sha))
        if entry.code_lines < best.code_lines and stands_on_best and entry.source_sha not in state.needed:
            chance = _chance(state, estimate, entry, rules)
            if chance > LIKELY:
                found.append((chance * (best.code_lines - entry.code_lines), entry.number, entry))
    return max(found, key=lambda one: one[:2])[2] if found else None


def judge_removal(state: SearchState, estimate: Estimate, outcome: Outcome, rules: Rules) -> Judgement:
    """What follows from the open proof of a removal, now that its runs are in the ledger."""
    proof = state.proof
    assert proof is not None and proof.removes
    if reason := find_fault(proof, outcome, rules):
        return Judgement("drop", reason)
    target, anchor = state.ledger.by_sha[proof.target_sha], state.ledger.by_sha[proof.best_sha]
    gains, held_out = pair_gains(state, target, anchor)
    if _chance(state, estimate, target, rules) < rules.drop_probability:
        return Judgement("drop", "this removal is not expected to be proven")
    if len(gains) < rules.min_removal_pairs:
        return Judgement("measure", f"pair {len(gains)} of the proof of a removal")
    allowed = _allowance(target, anchor_of(state), rules)
    variance = estimate.pair_variance(estimate.changes(target.source_sha, anchor.source_sha))
    seen = compare([gain + allowed for gain in gains], [gain + allowed for gain in held_out], variance)
    is_proven = seen.probability > bar_of(rules, len(state.needed)) and holds(seen, rules)
    seen = replace(
        seen,
        gain=seen.gain - allowed,
        low=seen.low - allowed,
        high=seen.high - allowed,
        holdout_gain=seen.holdout_gain - allowed,
    )
    margin = f"{rules.removal_margin:g}{state.words.unit()}"
    words = (
        f"{anchor.code_lines - target.code_lines} lines fewer, P(costs less than {margin}) "
        f"{seen.probability:.4f} after {seen.pairs} pairs, gain {state.words.amount(seen.gain)}"
    )
    if is_proven and proof.checks:
        return Judgement("keep", words, seen)
    if seen.pairs >= rules.max_removal_pairs:
        return Judgement("drop", f"{words}: not enough", seen)
    return Judgement("measure", words, seen)


def _allowance(target: Entry, anchor: Standing, rules: Rules) -> float:
    """How far J of a removal may lie above the anchor's: the margin is one of val_bpb, and lines have a price."""
    return rules.removal_margin - rules.complexity_price * (anchor.code_lines - target.code_lines)


def _chance(state: SearchState, estimate: Estimate, target: Entry, rules: Rules) -> float:
    """The probability that the most pairs that there may be prove it, as far as the ledger knows the two."""
    anchor, bar = anchor_of(state), bar_of(rules, len(state.needed))
    allowed = _allowance(target, anchor, rules)
    return chance_to_pass(estimate, target.source_sha, anchor.source_sha, rules.max_removal_pairs, bar, allowed)
