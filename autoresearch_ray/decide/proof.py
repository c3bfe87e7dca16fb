"""A proof: pairs of the target and the best on seeds that neither was selected on, until the question is settled. Pure.

A pair is one difference of J. Their mean is compared with its error by Student's t; the variance is that of the pairs
themselves, shrunk to the one that the ledger expects of candidates so many changes apart. Looking after every pair is
paid for by a higher bar. The runs of a proof are probed at full strength. The target is kept for nothing less, and one
run of it that is invalid ends the proof: what cheats now and then, cheats.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

from scipy.special import stdtr, stdtrit  # Student's t; scipy.stats has it too and takes a second to import

from autoresearch_ray.decide.effects import normal_cdf
from autoresearch_ray.decide.estimate import Estimate
from autoresearch_ray.decide.ledger import Entry
from autoresearch_ray.decide.panel import proof_seeds
from autoresearch_ray.decide.state import Outcome, Proof, SearchState
from autoresearch_ray.records.decisions import Verdict
from autoresearch_ray.settings.decision_rules import Rules

PRIOR_DEGREES = 4.0  # what the expected variance of pairs weighs, in degrees of freedom
LOOKS_PRICE = (
    4.0  # the error that is allowed is divided by it: for 7 looks Pocock's bound allows 0.0021 to 0.0026 a look
)

ENOUGH = 0.8  # probability to pass with so many pairs, for which a proof first waits


@dataclass(frozen=True, slots=True)
class Comparison:
    """Target against best: a positive gain means that the target's J is lower."""

    pairs: int
    gain: float
    low: float  # 95 % interval of the gain
    high: float
    probability: float  # that the target is better
    holdout_gain: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """Keep, drop, or measure on."""

    verdict: Verdict
    words: str
    seen: Comparison | None = None


def objective(outcome: Outcome, rules: Rules) -> float:
    """J = val_bpb + complexity_price * code_lines; lower is better."""
    return outcome.val_bpb + rules.complexity_price * outcome.code_lines


def failure(outcome: Outcome) -> str:
    """How a trial failed, in words."""
    return f"{outcome.status}: {outcome.error}" if outcome.error else outcome.status


def with_outcome(proof: Proof, outcome: Outcome) -> Proof:
    """The proof with what one more run of either side says beside its score."""
    if outcome.source_sha == proof.best_sha:
        return proof if outcome.status == "ok" else replace(proof, best_failures=proof.best_failures + 1)
    if outcome.status != "ok":
        return replace(proof, failures=proof.failures + 1)
    if not outcome.checks:
        return proof
    passed = tuple(check for check in outcome.checks if not proof.probed or check in proof.checks)
    return replace(proof, probed=proof.probed + 1, checks=passed)


def judge(state: SearchState, estimate: Estimate, outcome: Outcome, rules: Rules) -> Judgement:
    """What follows from the open proof, now that its runs are in the ledger."""
    proof = state.proof
    assert proof is not None
    if reason := find_fault(proof, outcome, rules):
        return Judgement("drop", reason)
    target, best = state.ledger.get(proof.target_sha), state.ledger.get(proof.best_sha)
    assert target is not None and best is not None
    gains, held_out = pair_gains(state, target, best)
    if len(gains) < rules.min_pairs:
        return Judgement("measure", f"pair {len(gains)} of the proof")
    variance = estimate.pair_variance(estimate.changes(target.source_sha, best.source_sha))
    seen = compare(gains, held_out, variance)
    words = f"P(better) {seen.probability:.4f} after {seen.pairs} pairs, gain {state.words.amount(seen.gain)}"
    proven = seen.probability > bar_of(rules, len(state.failed)) and holds(seen, rules)
    if proven and proof.checks:
        return Judgement("keep", words, seen)
    if proven:
        words += ", not probed at full strength"
    if seen.pairs >= rules.max_pairs:
        return Judgement("drop", f"{words}: not enough", seen)
    if chance_to_win(state, estimate, target.source_sha, rules.max_pairs, rules) < rules.drop_probability:
        return Judgement("drop", f"{words}: it is not expected to be proven", seen)
    return Judgement("measure", words, seen)


def holds(seen: Comparison, rules: Rules) -> bool:
    """Whether a gain is one on the held-out score too, where there is one."""
    return seen.holdout_gain > 0 or not rules.needs_holdout


def pair_gains(state: SearchState, target: Entry, best: Entry) -> tuple[list[float], list[float]]:
    """J of the best less J of the target on each seed of the proof that both have run on; the same held out."""
    gains, held_out = [], []
    for number in proof_seeds(state.ledger, target, best):
        ours, theirs = target.on_seed(number), best.on_seed(number)
        if ours is not None and theirs is not None:
            gains.append(theirs.objective - ours.objective)
            held_out.append(theirs.holdout - ours.holdout)
    return gains, held_out


def compare(gains: list[float], held_out: list[float], expected_variance: float) -> Comparison:
    """Student's t of the pairs, their variance shrunk to the expected one."""
    n = len(gains)
    gain = sum(gains) / n
    degrees = PRIOR_DEGREES + n - 1
    squares = sum((one - gain) ** 2 for one in gains)
    error = max(((PRIOR_DEGREES * expected_variance + squares) / degrees / n) ** 0.5, 1e-12)
    reach = _quantile(degrees, 0.975) * error
    return Comparison(
        n, gain, gain - reach, gain + reach, float(stdtr(degrees, gain / error)), sum(held_out) / len(held_out)
    )


def bar_of(rules: Rules, failed: int) -> float:
    """The probability that each look at a proof asks for, so that all proofs against one best together keep the bar.

    After `failed` proofs the next one may spend 6 / (pi (failed + 1))^2 of the error: these sum to 1.
    """
    return 1 - (1 - rules.keep_probability) * 6 / (math.pi * (failed + 1)) ** 2 / LOOKS_PRICE


def chance_to_win(state: SearchState, estimate: Estimate, target: str, pairs: int, rules: Rules) -> float:
    """The probability that the mean of so many pairs passes, as far as the ledger knows the two."""
    assert state.best is not None
    return chance_to_pass(estimate, target, state.best.source_sha, pairs, bar_of(rules, len(state.failed)))


def chance_to_pass(estimate: Estimate, target: str, best: str, pairs: int, bar: float, allowed: float = 0.0) -> float:
    """The probability that so many pairs say with probability `bar` that the target's J is below best's + allowed."""
    mean, spread = estimate.difference(target, best)
    error = estimate.pair_variance(estimate.changes(target, best)) / pairs
    needed = _quantile(PRIOR_DEGREES + pairs - 1, bar) * error**0.5
    return normal_cdf((allowed - mean - needed) / (spread + error) ** 0.5)


def pairs_needed(state: SearchState, estimate: Estimate, target: str, rules: Rules) -> int:
    """How many pairs will probably do; the most that there may be if none do."""
    for pairs in range(rules.min_pairs, rules.max_pairs):
        if chance_to_win(state, estimate, target, pairs, rules) > ENOUGH:
            return pairs
    return rules.max_pairs


def find_fault(proof: Proof, outcome: Outcome, rules: Rules) -> str:
    """Why one side of the proof cannot be measured; empty if it can."""
    if outcome.status == "invalid" and outcome.source_sha != proof.best_sha:
        return f"it did not hold in its proof: {failure(outcome)}"
    if proof.failures >= rules.min_pairs:
        return f"it failed {proof.failures} times: {failure(outcome)}"
    if proof.best_failures >= rules.max_pairs:
        return f"the best failed {proof.best_failures} times: {failure(outcome)}"
    return ""


@lru_cache(256)
def _quantile(degrees: float, probability: float) -> float:
    """Of Student's t."""
    return float(stdtrit(degrees, probability))
