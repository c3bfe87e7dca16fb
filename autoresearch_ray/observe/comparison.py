"""What policies found over time in the same simulated worlds, side by side: medians and quartiles, as a table.

A policy reports a candidate, with a gain over the start that it believes in; the simulation knows the true one. All
gains are in sd of the noise. `comparison_picture.py` draws the same.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CSV_COLUMNS = ("policy", "world", "slots", "trials", "hours", "gpu_hours", "gain_sd", "believed_gain_sd")


@dataclass(frozen=True, slots=True)
class Moment:
    """The moment from which a policy reports another candidate."""

    hours: float  # virtual, since the search began
    gain: float  # true gain over the start
    believed: float  # gain as the policy reports it


@dataclass(frozen=True, slots=True)
class Course:
    """One policy in one world, to the end."""

    policy: str
    world: int
    slots: int
    trials: int  # trials started
    hours: float  # virtual, of all slots side by side
    moments: tuple[Moment, ...]  # oldest first; before the first the start is reported

    @property
    def gpu_hours(self) -> float:
        """GPU hours for which slots were reserved."""
        return self.hours * self.slots

    @property
    def last(self) -> Moment:
        """The moment of the candidate that is reported at the end."""
        return self.moments[-1] if self.moments else Moment(0.0, 0.0, 0.0)

    def gains_at(self, gpu_hours: np.ndarray) -> np.ndarray:
        """The true gain of what was reported at each of these, which ascend."""
        times = np.array([moment.hours * self.slots for moment in self.moments])
        gains = np.array([0.0, *(moment.gain for moment in self.moments)])
        return np.asarray(gains[np.searchsorted(times, gpu_hours, side="right")])


def by_policy(courses: Sequence[Course]) -> dict[str, list[Course]]:
    """The courses of each policy, in the order in which policies come first."""
    found: dict[str, list[Course]] = {}
    for course in courses:
        found.setdefault(course.policy, []).append(course)
    return found


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """First quartile, median, third."""
    low, median, high = np.percentile(values, [25, 50, 75])
    return float(low), float(median), float(high)


def comparison_table(courses: Sequence[Course]) -> str:
    """A line a policy: median (first to third quartile) over worlds."""
    head = ("policy", "true gain, sd", "believed gain, sd", "believed too much", "trials", "hours")
    rows = [head]
    for policy, runs in by_policy(courses).items():
        last = [run.last for run in runs]
        rows.append(
            (
                policy,
                _cell([moment.gain for moment in last]),
                _cell([moment.believed for moment in last]),
                _cell([moment.believed - moment.gain for moment in last]),
                f"{quartiles([run.trials for run in runs])[1]:.0f}",
                f"{quartiles([run.hours for run in runs])[1]:.2f}",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def comparison_csv(courses: Sequence[Course]) -> str:
    """A row for each policy in each world, as it ended."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for course in courses:
        numbers = (course.hours, course.gpu_hours, course.last.gain, course.last.believed)
        writer.writerow([course.policy, course.world, course.slots, course.trials, *(f"{n:.4f}" for n in numbers)])
    return text.getvalue()


def _cell(values: Sequence[float]) -> str:
    low, median, high = quartiles(values)
    return f"{median:+.1f} ({low:+.1f} to {high:+.1f})"
