"""How much of each score is the seed's, common to all candidates: least squares over all runs of a history."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.linalg import lsmr

from autoresearch_ray.records.history import TrialRow


def seed_effects(rows: Sequence[TrialRow]) -> list[float]:
    """What each trial's seed adds to its val_bpb, in bits per byte; NaN without a score or a numbered seed.

    The additive model score = candidate + seed, with a mean of 0 over all these trials. Candidates that ran on several
    seeds tell the seeds apart; where none did, the solution of least norm puts little on the seed.
    """
    effects = [math.nan] * len(rows)
    scored = [
        (index, row.trial.proposal.source_sha, row.trial.seed_number, row.result.val_bpb)
        for index, row in enumerate(rows)
        if row.result is not None and row.result.status == "ok" and row.trial.seed_number >= 0
    ]
    if not scored:
        return effects
    indices, sources, seeds, scores = zip(*scored, strict=True)
    names, candidate = np.unique(sources, return_inverse=True)
    numbers, seed = np.unique(seeds, return_inverse=True)
    row = np.arange(len(scored))
    design = coo_array(
        (np.ones(2 * len(row)), (np.tile(row, 2), np.concatenate([candidate, len(names) + seed]))),
        shape=(len(row), len(names) + len(numbers)),
    )
    centred = np.asarray(scores) - np.mean(scores)
    of_seeds = lsmr(design.tocsr(), centred, atol=1e-9, btol=1e-9)[0][len(names) :]
    found = of_seeds[seed] - np.mean(of_seeds[seed])
    for index, value in zip(indices, found, strict=True):
        effects[index] = float(value)
    return effects
