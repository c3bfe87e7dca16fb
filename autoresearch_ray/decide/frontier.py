"""Where the frontier moves, and where a candidate stands beside it, by what is known now.

The frontier moves to the candidate with the lowest expected J that is probably better: with probability 0.75 after two
runs, 0.9 after one.
"""

import math

from autoresearch_ray.decide.estimate import Estimate
from autoresearch_ray.decide.ledger import Entry
from autoresearch_ray.decide.state import Outcome, SearchState
from autoresearch_ray.records.decisions import Verdict
from autoresearch_ray.settings.decision_rules import Rules


def choose_frontier(state: SearchState, estimate: Estimate, rules: Rules) -> Entry | None:
    """Where the frontier moves: to the lowest expected J that is probably below its own; None if it stays.

    An ancestor, or anybody after a failed proof, need only be likelier to be the better one.
    """
    assert state.frontier is not None
    frontier = state.frontier.source_sha
    above = set(estimate.path(frontier)) | {state.ledger.entries[0].source_sha}
    removed = set[str]()  # from these the best took out what was not needed
    if state.anchor is not None and state.best is not None:
        removed = {entry.source_sha for entry in state.ledger.path(state.best.source_sha)} - {state.best.source_sha}
    mean, better = estimate.mean(frontier), list[tuple[float, int, Entry]]()
    for entry in state.ledger.entries:
        sha = entry.source_sha
        ahead = estimate.mean(sha)
        if ahead >= mean or sha == frontier or sha in removed:
            continue
        if sha in above or frontier in state.failed:
            needed = rules.return_probability
        else:
            needed = rules.advance_probability if len(entry.runs) > 1 else rules.advance_once_probability
        if estimate.chance(sha, frontier) > needed:
            better.append((ahead, entry.number, entry))
    return min(better, key=lambda one: one[:2])[2] if better else None


def compare_with_frontier(
    state: SearchState, estimate: Estimate, outcome: Outcome, rules: Rules
) -> tuple[str, Verdict]:
    """Where a candidate stands after this run, in words and as a verdict."""
    assert state.frontier is not None
    entry = state.ledger.get(outcome.source_sha)
    if outcome.purpose not in ("screen", "confirm") or entry is None:
        return "replicate", "measure"
    frontier = state.frontier.source_sha
    if entry.source_sha == frontier:
        return f"the frontier again, run {len(entry.runs)}", "measure"
    lead = -estimate.difference(entry.source_sha, frontier)[0]
    chance = estimate.chance(entry.source_sha, frontier, rules.worthwhile_sd * estimate.scale)
    size = state.words.amount(abs(lead))
    words = f"J is expected {size} {'below' if lead > 0 else 'above'} the frontier's"
    if state.words.rises:  # above would be read as better
        words = f"it is expected {size} {'better' if lead > 0 else 'worse'} than the frontier"
    words += f", P(worthwhile) {chance:.2f}"
    is_open = chance > rules.contender_probability and len(entry.runs) < rules.most_runs
    return words, "promising" if is_open else "discard"


def expect_gain(state: SearchState, estimate: Estimate, source_sha: str) -> tuple[float, float, float]:
    """Expected gain over the frontier, its sd, and a pair's; NaN for the frontier and for what is not in the ledger."""
    assert state.frontier is not None
    frontier = state.frontier.source_sha
    if source_sha == frontier or state.ledger.get(source_sha) is None:
        return math.nan, math.nan, math.nan
    mean, spread = estimate.difference(source_sha, frontier)
    variance = estimate.pair_variance(estimate.changes(source_sha, frontier))
    return -mean, spread**0.5, variance**0.5
