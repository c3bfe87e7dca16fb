"""A trial as a record before it is claimed: its id, its seed, and of a replicate the proposal that says why it runs."""

import hashlib

from autoresearch_ray.decide.plan import Replicate
from autoresearch_ray.decide.state import SearchState
from autoresearch_ray.records.trials import OWN_SEED, Proposal, Purpose, Trial
from autoresearch_ray.settings.run_settings import RunSettings


def make_trial(
    number: int,
    proposal: Proposal,
    purpose: Purpose,
    seed_number: int | None,
    settings: RunSettings,
    state: SearchState,
    now: float,
) -> Trial:
    """The trial with this number (from 1). `seed_number` None: a seed that no other trial has."""
    trial_id = f"t{number:05d}"
    which = trial_id if seed_number is None else f"panel {seed_number}"
    digest = hashlib.sha256(f"{settings.seed}:{which}".encode()).digest()
    return Trial(
        trial_id,
        proposal,
        purpose,
        seed=int.from_bytes(digest[:4], "big") >> 1,
        claimed_at=now,
        staleness=state.frontier.version - proposal.parent_version if state.frontier else 0,
        max_staleness=settings.max_staleness,
        seed_number=OWN_SEED if seed_number is None else seed_number,
    )


def propose_replicate(what: Replicate, number: int, state: SearchState, words: str = "") -> Proposal:
    """What the trial with this number runs again; `words` say why, in place of the usual ones."""
    return Proposal(
        proposal_id=f"r{number:05d}",
        kind="baseline" if what.purpose == "baseline" else "replicate",
        proposer="search",
        source_sha=what.source_sha,
        parent_sha=what.other_sha,
        parent_version=state.frontier.version if state.frontier else 1,
        hypothesis=words or _say_why(what, state),
    )


def _say_why(what: Replicate, state: SearchState) -> str:
    if what.purpose == "baseline":
        return "starting candidate"
    entry, best = state.ledger.get(what.source_sha), state.best
    if what.purpose == "remove":
        other = state.ledger.get(what.other_sha)
        removal = entry if entry and other and entry.code_lines < other.code_lines else other
        return f"{'with' if removal is entry else 'without'} the removal: {removal.hypothesis if removal else ''}"
    if what.purpose == "confirm" and entry is not None:
        return f"again: {entry.hypothesis}"
    side = "best" if best is not None and best.source_sha == what.source_sha else "frontier"
    return f"{side} again, {'for its proof' if what.purpose == 'prove' else 'the queue was empty'}"
