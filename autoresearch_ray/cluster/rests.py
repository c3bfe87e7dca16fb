"""What an idle slot runs: a placeholder Tune trial, until there is a trial for it.

Without a placeholder Tune would end the slot's actor, or give it at once to a trial whose own slot is about to have
started. What Tune suggests, starts and ends is the affair of `tune_searcher.py`.
"""

import time
from collections.abc import Callable
from typing import Any

from autoresearch_ray.records.trials import Trial
from autoresearch_ray.search.search import Finished

REST_SECONDS = 0.1  # of a step of a placeholder, after which it is asked whether its slot goes on resting
RESTS_A_SECOND = 20  # of all slots together: each takes the driver some milliseconds
YIELD_SECONDS = 2.0  # of rest, after which a slot takes a trial whose own slot still starts


class Rests:
    """The slots that rest, by Tune's ids of their placeholders. What happens to one:

                      begin             is_enough, asked after each step
        slot is free -------> rests --+-- a trial is claimed -----------------> end; it is suggested next and runs here
                                ^     |
                                |     +-- 2 s are over, and the own slot of --> end; nothing is suggested, and Tune
                                |     |   another trial still starts            runs that trial here
                                +-----+-- neither

    At most one trial is claimed ahead, for the first placeholder to be asked. A slot whose run is over ends as well:
    that is the searcher's to say. The actor of a placeholder may die: `end` in any state.
    """

    def __init__(
        self, next_trial: Callable[[], Trial | Finished | None], now: Callable[[], float] = time.monotonic
    ) -> None:
        """`next_trial` is `Search.next`: it claims what it gives."""
        self._next_trial, self._now = next_trial, now
        self._since: dict[str, float] = {}
        self._claimed: Trial | None = None

    def __len__(self) -> int:
        return len(self._since)

    def __contains__(self, trial_id: str) -> bool:
        return trial_id in self._since

    def begin(self, trial_id: str) -> dict[str, Any]:
        """A slot begins to rest; what the config of its placeholder says."""
        self._since[trial_id] = self._now()
        return {"trial": "", "rest_seconds": max(REST_SECONDS, len(self) / RESTS_A_SECOND)}

    def claim_ahead(self) -> None:
        """Claim a trial for the slot that ends its rest next, if one is ready and none is claimed."""
        if self._claimed is None:
            trial = self._next_trial()
            self._claimed = trial if isinstance(trial, Trial) else None

    @property
    def has_claimed(self) -> bool:
        """Whether a trial is claimed that was not suggested yet."""
        return self._claimed is not None

    def take_claimed(self) -> Trial | None:
        """The trial that is claimed, to be suggested now."""
        trial, self._claimed = self._claimed, None
        return trial

    def is_enough(self, trial_id: str, others_start: bool) -> bool:
        """Whether this slot has something to run; `others_start`: some trial's own slot has not started yet."""
        return self.has_claimed or (others_start and self._now() - self._since[trial_id] > YIELD_SECONDS)

    def end(self, trial_id: str) -> bool:
        """This trial of Tune's is over. True: it rested, and its slot takes a trial that still waits for its own."""
        return self._since.pop(trial_id, None) is not None and not self.has_claimed
