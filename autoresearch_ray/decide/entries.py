"""What enters the ledger and what leaves it: runs and failures; candidates that cheat or matter no more. Pure."""

from dataclasses import replace

from autoresearch_ray.decide.estimate import Estimate
from autoresearch_ray.decide.ledger import Entry, Ledger, Run
from autoresearch_ray.decide.proof import objective
from autoresearch_ray.decide.state import Outcome, SearchState
from autoresearch_ray.settings.decision_rules import Rules

MOST_ENTRIES = 32  # in play beside those that the frontier and the best stand on


def with_run(ledger: Ledger, outcome: Outcome, rules: Rules) -> Ledger:
    """With a run that ended well, and its candidate where that is new; as it was if nothing can be compared with it."""
    value = objective(outcome, rules)
    run = Run(outcome.seed_number, value, value - outcome.val_bpb + outcome.holdout_bpb)
    known = ledger.get(outcome.source_sha)
    if known is not None:
        if run.seed_number >= 0 and known.on_seed(run.seed_number) is not None:
            return ledger
        return ledger.with_entry(replace(known, runs=(*known.runs, run)))
    if outcome.purpose not in ("baseline", "screen"):
        return ledger  # it left the ledger before this run ended
    if ledger.entries and ledger.get(outcome.parent_sha) is None:
        return ledger  # nothing is left that it could be compared with
    expected = sum(Estimate(ledger).effect(sha) for sha in outcome.merged) if outcome.merged else 0.0
    return ledger.with_entry(
        Entry(
            source_sha=outcome.source_sha,
            parent_sha=outcome.parent_sha,
            number=outcome.number,
            kind=outcome.kind,
            proposer=outcome.proposer,
            proposal_id=outcome.proposal_id,
            hypothesis=outcome.hypothesis,
            code_lines=outcome.code_lines,
            runs=(run,),
            merged=outcome.merged,
            expected=expected,
        )
    )


def with_failure(ledger: Ledger, source_sha: str) -> Ledger:
    """With one more failure of a candidate that is in the ledger."""
    entry = ledger.get(source_sha)
    return ledger if entry is None else ledger.with_entry(replace(entry, failures=entry.failures + 1))


def ban(state: SearchState, source_sha: str) -> SearchState:
    """Without a candidate that cheats, and without what stands on it; the frontier is then the best."""
    assert state.best is not None and state.frontier is not None
    gone = {source_sha}
    for entry in state.ledger.entries:  # parents come before their children
        if entry.parent_sha in gone:
            gone.add(entry.source_sha)
    if state.best.source_sha in gone:
        return state
    frontier = state.frontier
    if frontier.source_sha in gone:
        frontier = replace(state.best, version=frontier.version + 1)
    ledger = _without(state.ledger, Estimate(state.ledger), gone)
    proof = None if state.proof is not None and state.proof.target_sha in gone else state.proof
    return replace(state, ledger=ledger, frontier=frontier, proof=proof)


def tidy(state: SearchState, estimate: Estimate) -> SearchState:
    """The ledger without what matters no more: the state stays small however long the run."""
    assert state.best is not None and state.frontier is not None
    ledger, frontier = state.ledger, state.frontier.source_sha
    needed: set[str] = set()
    for sha in (frontier, state.best.source_sha, *([state.proof.target_sha] if state.proof else [])):
        _add_line(needed, ledger, sha)
    others = [entry for entry in ledger.entries if entry.source_sha not in needed]
    if len(others) <= MOST_ENTRIES:
        return state
    others.sort(key=lambda entry: estimate.mean(entry.source_sha))
    for entry in others[:MOST_ENTRIES]:
        _add_line(needed, ledger, entry.source_sha)
    gone = {entry.source_sha for entry in ledger.entries} - needed
    return replace(state, ledger=_without(ledger, estimate, gone))


def _add_line(needed: set[str], ledger: Ledger, source_sha: str) -> None:
    """The candidate and its ancestors; those of what is in already are in as well."""
    for entry in ledger.path(source_sha):
        if entry.source_sha in needed:
            return
        needed.add(entry.source_sha)


def _without(ledger: Ledger, estimate: Estimate, gone: set[str]) -> Ledger:
    """Without these; what they taught stays."""
    past = ledger.past
    for entry in ledger.entries:
        if entry.source_sha in gone:
            past = estimate.past_with(past, entry)
    return replace(ledger, entries=tuple(e for e in ledger.entries if e.source_sha not in gone), past=past)
