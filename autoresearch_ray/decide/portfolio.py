"""Who gets the next slot when several proposers have something queued: by what they earned, with a floor for each.

A proposer's share grows with its weight and with the part of its trials that advanced the frontier, estimated with a
few pseudo-trials so that neither the first success nor the first failure decides. The slot goes to the proposer that
is furthest behind its share (smallest trials / share), as in a weighted fair queue.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoresearch_ray.records import Proposal

FLOOR = 0.25  # of an equal part: what every proposer keeps, however little it earned
PSEUDO_TRIALS = 8.0
PSEUDO_ADVANCES = 1.0  # among them: about what a trial of a fresh run earns


@dataclass(frozen=True, slots=True)
class Earned:
    """What became of a proposer's proposals so far."""

    trials: int = 0
    advances: int = 0


def shares(weights: Mapping[str, float], earned: Mapping[str, Earned]) -> dict[str, float]:
    """The part of the slots that each proposer should get; they sum to 1."""
    worth = {name: weight * _rate(earned.get(name, Earned())) for name, weight in weights.items()}
    total, floor = sum(worth.values()), FLOOR / len(weights)
    return {name: floor + (1 - FLOOR) * value / total for name, value in worth.items()}


def choose(queued: Sequence[Proposal], weights: Mapping[str, float], earned: Mapping[str, Earned]) -> Proposal:
    """The queued proposal that runs next: merges and a person's first, then the oldest of who is furthest behind."""
    assert queued, "nothing is queued"
    for proposal in queued:
        if proposal.proposer not in weights:
            return proposal  # the search's own, or a person's
    share = shares(weights, earned)
    return min(
        queued, key=lambda proposal: (earned.get(proposal.proposer, Earned()).trials + 1) / share[proposal.proposer]
    )


def _rate(earned: Earned) -> float:
    return (earned.advances + PSEUDO_ADVANCES) / (earned.trials + PSEUDO_TRIALS)
