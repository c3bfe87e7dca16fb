"""Which lines of a candidate its training time goes to: every few milliseconds the line that is running is noted.

A thread of the candidate's own process looks, some 400 times a trial, which takes a thousandth of a core. What it says
is the candidate's own word, like its learning curve: it is shown to whoever improves the script, and decides nothing.
On CUDA the lines run ahead of the work that they queue, so nothing is noted there.
"""

import sys
import threading
from collections import Counter
from types import FrameType

from autoresearch_ray.benchmark.trial.candidate_module import FILE
from autoresearch_ray.benchmark.trial.task import Clock

LOOKS = 400  # a budget
SHORTEST, LONGEST = 0.01, 0.5  # seconds between two
MOST_LINES = 12  # lines in the profile
LEAST_SHARE = 0.01

Profile = tuple[tuple[int, float], ...]  # (line, its share of the time)


class LineProfile:
    """Samples the thread that makes it, while the clock runs."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._seen, self._over = clock, Counter[int](), threading.Event()
        self._watched = threading.get_ident()
        self._thread = threading.Thread(target=self._look, name="line-profile", daemon=True)

    def start(self) -> None:
        """Begin to look; nothing is counted before the clock starts."""
        self._thread.start()

    def stop(self) -> Profile:
        """The lines that took most time, largest first, each with its share of it."""
        self._over.set()
        self._thread.join()
        total = self._seen.total()
        shares = ((line, count / total) for line, count in self._seen.most_common(MOST_LINES))
        return tuple((line, round(share, 3)) for line, share in shares if share >= LEAST_SHARE)

    def _look(self) -> None:
        every = min(max(self._clock.budget_seconds / LOOKS, SHORTEST), LONGEST)
        while not self._over.wait(every):
            frame = sys._current_frames().get(self._watched)
            if self._clock.started and (line := _line_of(frame)):
                self._seen[line] += 1


def _line_of(frame: FrameType | None) -> int:
    """The innermost line of the candidate; 0 if it is not running."""
    while frame is not None and frame.f_code.co_filename != FILE:
        frame = frame.f_back
    return frame.f_lineno if frame is not None else 0
