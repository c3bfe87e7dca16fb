"""A proof: what one more result adds to it, and whether it is settled. Pure.

The runs of a proof are probed at full strength. The target is kept for nothing less, and one run of it that is invalid
ends the proof: what cheats now and then, cheats.
"""

from dataclasses import dataclass, replace

from autoresearch_ray.decide.noise import Comparison, Noise, compare, compare_pairs
from autoresearch_ray.decide.state import Outcome, Proof
from autoresearch_ray.records import Verdict
from autoresearch_ray.settings import Rules


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


def with_result(proof: Proof, outcome: Outcome, rules: Rules) -> Proof:
    """The proof with one more run of the target or of the best."""
    is_best = outcome.source_sha == proof.best_sha
    if outcome.status != "ok":
        if is_best:
            return replace(proof, best_failures=proof.best_failures + 1)
        return replace(proof, failures=proof.failures + 1)
    value = objective(outcome, rules)
    held_out = value - outcome.val_bpb + outcome.holdout_bpb
    if is_best:
        return replace(
            proof,
            best_values=(*proof.best_values, value),
            best_holdout=(*proof.best_holdout, held_out),
            best_seeds=(*proof.best_seeds, outcome.seed_number),
        )
    proof = replace(
        proof,
        target_values=(*proof.target_values, value),
        target_holdout=(*proof.target_holdout, held_out),
        target_seeds=(*proof.target_seeds, outcome.seed_number),
    )
    return _with_checks(proof, outcome)


def judged(proof: Proof, outcome: Outcome, noise: Noise, rules: Rules) -> Judgement:
    """What follows from the proof, now that it holds `outcome`."""
    if reason := _broken(proof, outcome, rules):
        return Judgement("drop", reason)
    fewest = min(len(proof.target_values), len(proof.best_values))
    if fewest < rules.min_replicates:
        counts = f"{len(proof.target_values)} frontier, {len(proof.best_values)} best"
        return Judgement("measure", f"replicate for the proof ({counts})")
    seen = _compared(proof, fewest, noise, rules)
    held_out = mean(proof.best_holdout) - mean(proof.target_holdout)
    words = f"P(better) {seen.probability:.3f}, gain {seen.gain:.4f}, held-out gain {held_out:.4f}"
    proven = seen.probability > rules.keep_probability and held_out > 0
    if proven and proof.checks:
        return Judgement("keep", words, seen)
    if proven:
        words += ", not probed at full strength"
    if seen.probability < rules.drop_probability:
        return Judgement("drop", words, seen)
    if fewest >= rules.max_replicates:
        return Judgement("drop", f"{words} after {fewest} replicates", seen)
    return Judgement("measure", words)


def mean(values: tuple[float, ...]) -> float:
    """The arithmetic mean of at least one value."""
    return sum(values) / len(values)


def _with_checks(proof: Proof, outcome: Outcome) -> Proof:
    if not outcome.checks:
        return proof
    passed = tuple(check for check in outcome.checks if not proof.probed or check in proof.checks)
    return replace(proof, probed=proof.probed + 1, checks=passed)


def _broken(proof: Proof, outcome: Outcome, rules: Rules) -> str:
    """Why one side of the proof cannot be measured; empty if it can."""
    if outcome.status == "invalid" and outcome.source_sha != proof.best_sha:
        return f"it did not hold in its proof: {failure(outcome)}"
    if proof.failures >= rules.min_replicates:
        return f"it failed {proof.failures} times: {failure(outcome)}"
    if proof.best_failures >= rules.max_replicates:
        return f"the best failed {proof.best_failures} times: {failure(outcome)}"
    return ""


def _compared(proof: Proof, fewest: int, noise: Noise, rules: Rules) -> Comparison:
    """Under the pooled noise or pair by pair, whichever speaks more for the target."""
    pooled = compare(proof.target_values, proof.best_values, noise)
    target, best = pairs_of(proof)
    if min(fewest, len(target)) < rules.pairs_from:
        return pooled
    return max(pooled, compare_pairs(target, best), key=lambda seen: seen.probability)


def pairs_of(proof: Proof) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The values of both sides on the seeds that they share; of runs without numbered seeds in order of arrival."""
    target = _by_seed(proof.target_seeds, proof.target_values)
    best = _by_seed(proof.best_seeds, proof.best_values)
    shared = [seed for seed in target if seed in best]
    return tuple(target[seed] for seed in shared), tuple(best[seed] for seed in shared)


def _by_seed(seeds: tuple[int, ...], values: tuple[float, ...]) -> dict[tuple[int, int], float]:
    """Values by seed number and, for those that have none, by their place."""
    known = (*(-1 for _ in range(len(values) - len(seeds))), *seeds)
    return {
        (seed, place if seed < 0 else 0): value for place, (seed, value) in enumerate(zip(known, values, strict=True))
    }
