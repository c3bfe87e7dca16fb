"""Which queued proposals are still worth a run, now that the frontier may have moved: pure."""

from autoresearch_ray.decide.estimate import Estimate
from autoresearch_ray.decide.state import SearchState
from autoresearch_ray.records.trials import Proposal

NEAR_SD = 1.0  # above the frontier, up to which a parent's children are still run as they are


def is_fresh(proposal: Proposal, state: SearchState, estimate: Estimate, oldest_parent: int) -> bool:
    """Whether the parent is the frontier or nearly as good, and no older than the run allows. A merge must be with the
    frontier itself.
    """
    assert state.frontier is not None
    frontier = state.frontier.source_sha
    if proposal.parent_version < oldest_parent or state.ledger.get(proposal.parent_sha) is None:
        return False
    if proposal.parent_sha == frontier:
        return True
    ahead = estimate.mean(proposal.parent_sha) - estimate.mean(frontier)
    return proposal.kind != "merge" and ahead <= NEAR_SD * estimate.scale
