"""The picture of a comparison: what policies reported over GPU hours, true gains, one line each with its quartiles.

Drawn with matplotlib's Agg canvas and no global state. Equal courses give equal bytes.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from autoresearch_ray.common.paths import write_whole
from autoresearch_ray.observe.comparison import Course, by_policy
from autoresearch_ray.observe.pictures.style import DPI, HEIGHT_INCHES, INK, MUTED, WIDTH_INCHES

COLOURS = ("#1a7f37", "#d4762c", "#0969da", "#8250df", "#cf222e", "#57606a", "#bf8700")  # in the policies' order
POINTS = 1200  # points along the horizontal axis
GAP = 0.035  # least distance between the names of two lines, as a share of the vertical axis


def comparison_png(courses: Sequence[Course], path: Path) -> None:
    """Draw the courses into `path`, whole or not at all."""
    assert courses, "a comparison of nothing"
    figure = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.06, 0.1, 0.75, 0.78))
    grid = np.linspace(0, max(course.gpu_hours for course in courses), POINTS)
    ends = []
    for (policy, runs), colour in zip(by_policy(courses).items(), COLOURS, strict=False):
        low, median, high = np.percentile([run.gains_at(grid) for run in runs], [25, 50, 75], axis=0)
        if len(runs) > 1:
            axes.fill_between(grid, low, high, color=colour, alpha=0.07, linewidth=0)
            for edge in (low, high):
                axes.plot(grid, edge, color=colour, linewidth=0.7, alpha=0.3)
        axes.plot(grid, median, color=colour, linewidth=2.2)
        ends.append((float(median[-1]), policy, colour))
    _style(axes)
    _name_lines(axes, ends)
    worlds, slots = len({course.world for course in courses}), courses[0].slots
    words = f"True gain of what each policy reports, on {slots} slots"
    figure.text(0.06, 0.93, words, fontsize=14, color=INK, weight="bold")
    spread = f"median and quartiles of {worlds} simulated worlds" if worlds > 1 else "one simulated world"
    figure.text(0.06, 0.895, f"{spread}; sd of the noise of one run", fontsize=10, color=MUTED)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    write_whole(path, buffer.getvalue())


def _style(axes: Axes) -> None:
    axes.margins(x=0)
    axes.axhline(0, color=MUTED, linewidth=0.8)
    axes.grid(axis="y", color="#eaeef2", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelsize=10)
    axes.set_xlabel("virtual GPU hours", color=INK)
    axes.set_ylabel("gain over the start, sd", color=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _name_lines(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Names and medians beside the lines' ends, in their order, moved up where two would overlap."""
    bottom, top = axes.get_ylim()
    height = -1.0
    for gain, policy, colour in sorted(ends):
        height = max((gain - bottom) / (top - bottom), height + GAP)
        axes.text(1.01, height, f"{policy} {gain:+.1f}", transform=axes.transAxes, color=colour, fontsize=10.5,
                  va="center", weight="bold")  # fmt: skip
