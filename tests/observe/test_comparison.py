"""Policies side by side: the table, the CSV and the picture say what the courses say."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from autoresearch_ray.observe.comparison import Course, Moment, comparison_csv, comparison_table
from autoresearch_ray.observe.pictures.comparison import comparison_png


def course(policy: str, world: int, *gains: float) -> Course:
    """On two slots for four hours, with these gains after one hour, two ..., believed to be one more."""
    moments = tuple(Moment(hour, gain, gain + 1) for hour, gain in enumerate(gains, start=1))
    return Course(policy, world, slots=2, trials=40 + world, hours=4.0, moments=moments)


COURSES = [course(name, world, *(float(g * world) for g in gains))
           for world in (1, 2, 3) for name, gains in (("ours", (1, 4)), ("theirs", (0, 2)))]  # fmt: skip


def test_the_table_has_medians_and_quartiles_of_what_is_true_and_what_is_believed() -> None:
    head, ours, theirs = comparison_table(COURSES).splitlines()
    assert head.split("  ")[0] == "policy" and theirs.startswith("theirs")
    assert ours.split("  ")[:1] == ["ours"] and "+8.0 (+6.0 to +10.0)" in ours and "+9.0 (+7.0 to +11.0)" in ours
    assert "+1.0 (+1.0 to +1.0)" in ours and ours.split()[-2:] == ["42", "4.00"]


def test_the_csv_has_a_row_for_each_policy_in_each_world() -> None:
    rows = list(csv.DictReader(io.StringIO(comparison_csv(COURSES))))
    assert len(rows) == 6 and rows[4] == {
        "policy": "ours", "world": "3", "slots": "2", "trials": "43", "hours": "4.0000", "gpu_hours": "8.0000",
        "gain_sd": "12.0000", "believed_gain_sd": "13.0000",
    }  # fmt: skip


def test_before_anything_is_reported_the_gain_is_none() -> None:
    assert course("ours", 2, 3.0, 5.0).gains_at(np.array([0.0, 1.9, 2.0, 3.0, 4.0, 8.0])).tolist() == [0, 0, 3, 3, 5, 5]
    assert course("ours", 2).last == Moment(0.0, 0.0, 0.0)


@pytest.mark.parametrize("courses", [COURSES, [course("ours", 0)], [course("one", 0, 1.0), course("two", 0, 1.0)]])
def test_the_picture_is_drawn_whole_and_equal_for_equal_courses(tmp_path: Path, courses: list[Course]) -> None:
    comparison_png(courses, tmp_path / "a.png")
    comparison_png(courses, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert imread(tmp_path / "a.png").shape == (600, 1200, 4)
    comparison_png([*courses[:-1], course("another", 0, 9.0)], tmp_path / "c.png")
    assert (tmp_path / "c.png").read_bytes() != (tmp_path / "a.png").read_bytes()
