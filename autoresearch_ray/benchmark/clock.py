"""The training clock: how much of a trial's budget is used up. The harness owns it; a candidate may only read it."""

import time
from collections.abc import Callable


class Clock:
    """Runs from the first training batch on. One thread; `now` is kept from construction, so no later patch counts."""

    def __init__(self, budget_seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        assert budget_seconds > 0, budget_seconds
        self.budget_seconds = budget_seconds
        self._now = now
        self._started_at: float | None = None

    def start(self) -> None:
        """Starts the clock; a second call changes nothing."""
        if self._started_at is None:
            self._started_at = self._now()

    def __reduce__(self) -> tuple[object, ...]:
        """In another process it stands still."""
        return _stopped, (self.budget_seconds, self.elapsed)

    @property
    def started(self) -> bool:
        return self._started_at is not None

    @property
    def elapsed(self) -> float:
        """Seconds since the start; 0 before it."""
        return 0.0 if self._started_at is None else self._now() - self._started_at

    @property
    def seconds_left(self) -> float:
        """Seconds of budget that are left, from `budget_seconds` down to 0."""
        return max(0.0, self.budget_seconds - self.elapsed)

    @property
    def progress(self) -> float:
        """Share of the budget that is used up, in [0, 1]: what a learning-rate schedule is a function of."""
        return min(1.0, self.elapsed / self.budget_seconds)


def _stopped(budget_seconds: float, elapsed: float) -> Clock:
    clock = Clock(budget_seconds, lambda: elapsed)
    clock._started_at = 0.0
    return clock
