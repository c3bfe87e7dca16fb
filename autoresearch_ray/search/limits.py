"""How many trials a launch may still start, by the run's number of trials and by the launch's hours."""

from collections import deque
from collections.abc import Callable

from autoresearch_ray.settings.run_settings import RunSettings

TYPICAL_TRIALS = 32  # the last ones, whose mean length is a trial's


class Limits:
    """The limits of one launch, which begins now."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now, self._began_at = now, now()
        self._trial_seconds: deque[float] = deque(maxlen=TYPICAL_TRIALS)

    def note_trial(self, seconds: float) -> None:
        """A trial has ended after so many seconds."""
        self._trial_seconds.append(seconds)

    def trials_left(self, settings: RunSettings, started: int) -> float:
        """Trials that may still be started after so many; infinite without a limit."""
        left = settings.trials - started if settings.trials else float("inf")
        seconds = self._seconds_left(settings)
        if seconds is not None:
            typical = sum(self._trial_seconds) / len(self._trial_seconds) if self._trial_seconds else 0.0
            typical = max(typical, settings.experiment.budget_seconds)
            left = min(left, 0 if seconds <= 0 else max(1, int(settings.slots * seconds / typical)))
        return left

    def overtime_left(self, settings: RunSettings, started: int) -> int:
        """Trials of overtime that may still be started after so many trials in all."""
        seconds = self._seconds_left(settings)
        if not settings.trials or (seconds is not None and seconds <= 0):
            return 0
        return max(0, settings.trials + settings.experiment.overtime_trials - max(started, settings.trials))

    def _seconds_left(self, settings: RunSettings) -> float | None:
        return None if settings.hours is None else settings.hours * 3600 - (self._now() - self._began_at)
