"""A tuner's suggestion as a proposal."""

import hashlib

from autoresearch_ray.propose.knobs import set_constants
from autoresearch_ray.propose.normalise import line_diff
from autoresearch_ray.propose.tuner import Suggestion
from autoresearch_ray.records import Proposal


def knob_proposal(
    source: str, suggestion: Suggestion, proposal_id: str, proposer: str, parent_sha: str, parent_revision: int
) -> tuple[Proposal, str]:
    """The parent's text with the suggested values written in, and its record."""
    text = set_constants(source, suggestion.values)
    added, removed = line_diff(source, text)
    sha = hashlib.sha256(text.encode()).hexdigest()
    proposal = Proposal(
        proposal_id, "knobs", proposer, sha, parent_sha, parent_revision, suggestion.hypothesis, added, removed
    )
    return proposal, text
