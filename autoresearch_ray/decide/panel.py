"""Which seed a trial runs on: pure.

With the same seed two candidates see the same batches and draw the same initial numbers, so most of the noise is common
to both and their difference tells more (common random numbers). Candidates are screened and confirmed on the panel: a
few seeds that the frontier has been run on. Proofs have seeds of their own, on which nothing was selected.

Seeds are numbered; `search.py` makes a run's seed of a number. A trial without a number has a seed of its own.
"""

from collections.abc import Iterator, Sequence
from itertools import count

from autoresearch_ray.decide.ledger import Entry, Ledger
from autoresearch_ray.records.trials import Trial

PROOFS = 1 << 20  # the first number of a proof's seeds; those of the panel are below
MOST_PAIRS = 64  # of one proof


def screen_seed(ledger: Ledger, parent_sha: str) -> int | None:
    """The number of the seed that a child of this candidate is screened on; None if the parent has no run."""
    parent = ledger.get(parent_sha)
    if not ledger.entries:
        return 0  # of the first run of the start
    known = [] if parent is None else panel_seeds(parent)
    return known[-2:][0] if known else None


def panel_seeds(entry: Entry) -> list[int]:
    """The numbers of the panel's seeds that a candidate has been run on, in order of time."""
    return [run.seed_number for run in entry.runs if 0 <= run.seed_number < PROOFS]


def next_panel_seed(ledger: Ledger, entry: Entry, in_flight: Sequence[Trial]) -> int:
    """Where a candidate is run once more: where its parent has been, or else another ancestor; or on a new seed."""
    used = {run.seed_number for run in entry.runs}
    used |= {trial.seed_number for trial in in_flight if trial.proposal.source_sha == entry.source_sha}
    for ancestor in list(ledger.path(entry.source_sha))[1:]:
        free = [number for number in panel_seeds(ancestor) if number not in used]
        if free:
            return free[-1]
    return next(number for number in count(0) if number not in used)


def proof_seeds(ledger: Ledger, target: Entry, best: Entry) -> Iterator[int]:
    """The numbers for the pairs of a proof, in order.

    First those of the best's own proof, as far as no ancestor of the target since then was proven on them; then the
    target's own.
    """
    spent: set[int] = set()
    for ancestor in list(ledger.path(target.source_sha))[1:]:
        if ancestor.source_sha == best.source_sha:
            break
        spent |= {run.seed_number for run in ancestor.runs}
    of_best = range(first_proof_seed(best), first_proof_seed(best) + MOST_PAIRS)
    yield from (run.seed_number for run in best.runs if run.seed_number in of_best and run.seed_number not in spent)
    yield from (first_proof_seed(target) + index for index in range(MOST_PAIRS))


def baseline_seeds(runs: int) -> list[int]:
    """Where the starting candidate is measured: one of its runs is one side of the first proof's first pair."""
    return [*range(runs - 1), PROOFS]


def first_proof_seed(entry: Entry) -> int:
    """The first of a candidate's own seeds for proofs."""
    return PROOFS + MOST_PAIRS * entry.number if entry.parent_sha else PROOFS
