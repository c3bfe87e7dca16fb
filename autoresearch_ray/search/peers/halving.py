"""Asynchronous successive halving: which running trial stops, by the rule of Ray Tune's AsyncHyperBandScheduler.

The rule of `ray/tune/schedulers/async_hyperband.py` (Ray 2.60, one bracket, lower is better), without Ray, which the
search does not import; a test holds the two against each other. See Li et al. 2018, https://arxiv.org/abs/1810.05934.
"""

import math

import numpy as np

GRACE, REDUCTION = 1 / 16, 4.0  # parts of the budget; Tune's own factor, its grace is one of a hundred reports


class Halving:
    """Rungs at grace, grace * reduction ... parts of the budget; whoever is above the best quarter of one stops."""

    def __init__(self, grace: float, reduction: float) -> None:
        assert 0 < grace <= 1 < reduction, (grace, reduction)
        self._percentile = (1 - 1 / reduction) * 100
        rungs = int(np.log(1 / grace) / np.log(reduction) + 1)
        self._rungs: list[tuple[float, dict[int, float]]] = [(grace * reduction**k, {}) for k in reversed(range(rungs))]

    def stops(self, trial: int, part: float, score: float) -> bool:
        """Take a trial's report after this part of its budget; whether it stops. A report counts in one rung."""
        for milestone, rewards in self._rungs:
            if part < milestone or trial in rewards:
                continue
            known = [reward for reward in rewards.values() if not math.isnan(reward)]
            rewards[trial] = -score
            return bool(known) and -score < float(np.percentile(known, self._percentile))
        return False
