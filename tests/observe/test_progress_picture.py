"""progress.png: read back as pixels where a claim is about what is seen."""

import math
import random
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from histories import SOURCE, Writer, empty, long, realistic, with_text

from autoresearch_ray.observe.pictures.progress import progress_png, score_limits
from autoresearch_ray.records.history import History


def test_a_diverged_trial_does_not_flatten_the_picture() -> None:
    noise = random.Random(0)
    scores = [1.76 + noise.gauss(0, 0.01) for _ in range(60)] + [1.71 + noise.gauss(0, 0.01) for _ in range(40)]
    calm = score_limits(scores, [1.76, 1.71], 0.01)
    wild = score_limits([*scores, 8.1, 8.3, 1e9, 0.0001, math.nan], [1.76, 1.71], 0.01)
    assert wild.high - wild.low < 1.2 * (calm.high - calm.low)
    assert wild.low < 1.71 - 0.01 and wild.high > 1.76 + 0.01


def test_half_of_the_trials_going_wrong_does_not_flatten_the_picture() -> None:
    limits = score_limits([1.76, 1.75, 1.74, 1.72] * 5 + [2.0, 3.0, 4.0, 5.0, 6.0] * 4, [1.76, 1.72], 0.005)
    assert limits.high < 1.9


def test_every_level_is_within_the_limits() -> None:
    levels = [1.76, 1.2, 1.1]
    limits = score_limits([1.76] * 50, levels, math.nan)
    assert limits.low < 1.1 and limits.high > 1.76


@pytest.mark.parametrize("scores", [[], [1.7], [1.7, 1.7, 1.7], [math.nan]])
def test_limits_are_an_interval_whatever_is_known(scores: list[float]) -> None:
    limits = score_limits(scores, [math.nan], math.nan)
    assert math.isfinite(limits.low) and limits.low < limits.high


@pytest.mark.parametrize("history", [empty(), realistic(), long(200)], ids=["empty", "realistic", "long"])
def test_the_picture_is_1200_by_600_and_the_same_again(history: History, tmp_path: Path) -> None:
    progress_png(history, tmp_path / "a.png")
    progress_png(history, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert matplotlib.image.imread(tmp_path / "a.png").shape[:2] == (600, 1200)


def test_the_best_is_drawn_as_falling_steps(tmp_path: Path) -> None:
    progress_png(realistic(), tmp_path / "a.png")
    pixels = matplotlib.image.imread(tmp_path / "a.png")[..., :3]
    near = abs(pixels - [0x1A / 255, 0x7F / 255, 0x37 / 255]) < 0.02
    green = np.asarray(near.all(axis=2))[100:520]
    heights = [green[:, column].argmax() for column in (200, 900, 1125)]  # rows from the top
    assert 0 < heights[0] < heights[1] < heights[2]


def test_any_text_is_drawn_without_a_warning(hostile: str, tmp_path: Path) -> None:
    progress_png(with_text(realistic(), hostile), tmp_path / "a.png")


def test_only_failures_make_a_picture(tmp_path: Path) -> None:
    run = Writer()
    for _ in range(4):
        run.trial(SOURCE, "baseline", "baseline", "start", "crash", error="x")
    progress_png(run.history(), tmp_path / "a.png")


def test_a_hundred_thousand_trials_are_drawn(hundred_thousand: History, tmp_path: Path) -> None:
    progress_png(hundred_thousand, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size < 1_000_000
