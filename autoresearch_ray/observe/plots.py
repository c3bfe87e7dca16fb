"""progress.png: the scores of a run, trial by trial, with its proven wins.

Drawn with matplotlib's Agg canvas and no global state, so any thread may draw. Readable at 1200 x 600 pixels; equal
histories give equal bytes.
"""

import io
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from matplotlib.transforms import Bbox

from autoresearch_ray.observe import facts
from autoresearch_ray.paths import write_whole
from autoresearch_ray.records import History
from autoresearch_ray.text import one_line

WIDTH_INCHES, HEIGHT_INCHES, DPI = 12.0, 6.0, 100
LABELLED_WINS = 12  # the largest; all others are marked without words
LABEL_CHARACTERS = 46
INK, MUTED, DOT, BEST, FRONTIER, FAILED = "#24292f", "#6e7781", "#8fa3bf", "#1a7f37", "#d4762c", "#cf222e"
TICK_SECONDS = (10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800)


@dataclass(frozen=True, slots=True)
class Limits:
    """The part of the score axis that is worth showing."""

    low: float
    high: float


def score_limits(scores: Sequence[float], levels: Sequence[float], sd: float) -> Limits:
    """Limits that hold every level and the bulk of the scores; a few wild scores do not move them.

    `levels` are baseline, bests and frontiers; `sd` is the noise (NaN: unknown). Scores beyond 2.5 interquartile ranges
    are left out (Tukey's far-out fence is 3), and no more is shown above the levels than 0.8 of their own range and
    8 sd: trials that got worse are many, and how much worse they got is not the point.
    """
    held = [level for level in levels if math.isfinite(level)]
    finite = np.array([score for score in scores if math.isfinite(score)])
    sd = sd if math.isfinite(sd) else 0.0
    if len(finite):
        quarter, three_quarters = np.percentile(finite, [25, 75])
        fence = 2.5 * (three_quarters - quarter)
        inside = finite[(finite >= quarter - fence) & (finite <= three_quarters + fence)]
        low, high = float(inside.min()), float(inside.max())
        if held:
            reach = 0.8 * (max(held) - min(held)) + 8 * sd
            high = min(high, max(held) + reach) if reach > 0 else high
            low = max(low, min(held) - max(reach, fence)) if reach > 0 else low
        held += [low, high]
    held = held or [0.0, 1.0]
    low, high = min(held) - 0.5 * sd, max(held) + sd
    margin = 0.06 * (high - low) or 0.01 * abs(high) or 0.01
    return Limits(low - margin, high + margin)


def progress_png(history: History, path: Path) -> None:
    """Draw the run's progress into `path`, whole or not at all."""
    write_whole(path, draw_progress(history))


def draw_progress(history: History) -> bytes:
    """The run's progress as a PNG."""
    figure = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.075, 0.16, 0.905, 0.675))
    summary = facts.summarise(history)
    best, frontier = facts.best_levels(history), facts.frontier_levels(history)
    scores = [facts.score(row) for row in history.rows]
    levels = [level.val_bpb for level in (*best, *frontier)] + [summary.baseline]
    limits = score_limits(scores, levels, summary.noise_sd)
    wins = facts.wins(history)
    if wins:  # room for their words, below the best
        low = limits.low - (limits.high - limits.low) * (0.04 + 0.03 * min(len(wins), LABELLED_WINS))
        limits = Limits(low, limits.high)
    limits = Limits(limits.low, limits.high + 0.07 * (limits.high - limits.low))  # room for marks on the upper edge
    last = max(len(history.rows), 1)
    axes.set_xlim(0.0 if last < 3 else -0.012 * last, last * 1.012 + 0.5)
    axes.set_ylim(limits.low, limits.high)
    _style(axes)
    if not any(map(math.isfinite, [*scores, *levels])):
        axes.set_yticks([])
    _band(axes, summary)
    _trials(axes, history, scores, limits)
    _steps(axes, frontier, last, color=FRONTIER, linewidth=1.1, linestyle=(0, (5, 3)), label="frontier", zorder=4)
    _steps(axes, best, last, color=BEST, linewidth=2.4, label="best, proven", zorder=5)
    _titles(figure, summary)
    _hours(axes, history)
    _label_wins(figure, axes, wins)
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="lower center", bbox_to_anchor=(0.527, 0.0), ncols=len(handles),
                      frameon=False, fontsize=10, labelcolor=INK, handlelength=1.6, columnspacing=1.6)  # fmt: skip
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def drawable(text: str, limit: int) -> str:
    """One line of characters that the font has; others become question marks."""
    known = _font_characters()
    return "".join(character if ord(character) in known else "?" for character in one_line(text, limit))


@lru_cache
def _font_characters() -> frozenset[int]:
    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())


def _style(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#d0d7de")
    axes.grid(axis="y", color="#eaeef2", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelsize=11)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.set_xlabel("trial", fontsize=11, color=MUTED)
    axes.set_ylabel("val_bpb (lower is better)", fontsize=11, color=MUTED)


def _band(axes: Axes, summary: facts.Summary) -> None:
    if not math.isfinite(summary.baseline):
        return
    if math.isfinite(summary.noise_sd):
        low, high = summary.baseline - summary.noise_sd, summary.baseline + summary.noise_sd
        axes.axhspan(low, high, color="#57606a", alpha=0.11, linewidth=0, label="baseline ± 1 sd", zorder=1)
    axes.axhline(summary.baseline, color="#8c959f", linewidth=0.8, zorder=1)


def _trials(axes: Axes, history: History, scores: list[float], limits: Limits) -> None:
    """Dots for scores, hollow ones for replicates, and marks on the edges for what has no place on the axis."""
    shown: tuple[list[int], list[int]] = ([], [])  # trial numbers of screens, of replicates
    failed: list[int] = []
    stopped: list[int] = []
    above, below = [], []
    for number, (row, score) in enumerate(zip(history.rows, scores, strict=True), 1):
        if row.result is not None and row.result.status != "ok":
            (stopped if row.result.status == "stopped" else failed).append(number)
        elif score > limits.high:
            above.append(number)
        elif score < limits.low:
            below.append(number)
        elif math.isfinite(score):
            shown[row.trial.purpose != "screen"].append(number)
    size = 30 if len(scores) < 300 else 14 if len(scores) < 3000 else 5
    screens, replicates = shown
    if screens:
        axes.scatter(screens, [scores[n - 1] for n in screens], s=size, color=DOT, alpha=0.75, linewidths=0,
                     label="trial", zorder=3)  # fmt: skip
    if replicates:
        axes.scatter(replicates, [scores[n - 1] for n in replicates], s=size, facecolors="none", edgecolors=DOT,
                     linewidths=1.0, label="replicate", zorder=3)  # fmt: skip
    edge = axes.get_xaxis_transform()
    for numbers, marker, height, color, label in (
        (failed, "x", 0.985, FAILED, f"failed ({len(failed):,})"),
        (stopped, "+", 0.985, MUTED, f"ended early ({len(stopped):,})"),
        (above, "^", 0.955, MUTED, f"off the scale ({len(above) + len(below):,})"),
        (below, "v", 0.015, MUTED, "" if above else f"off the scale ({len(below):,})"),
    ):
        if numbers:
            axes.scatter(numbers, [height] * len(numbers), s=size, color=color, marker=marker, alpha=0.8,
                         linewidths=1.2, transform=edge, label=label or None, zorder=3)  # fmt: skip


def _steps(axes: Axes, levels: Sequence[facts.Level], last: int, **look: object) -> None:
    known = [level for level in levels if math.isfinite(level.val_bpb)]
    if not known:
        return
    numbers = [level.trial_number for level in known] + [last]
    values = [level.val_bpb for level in known] + [known[-1].val_bpb]
    axes.step(numbers, values, where="post", **look)  # type: ignore[arg-type]  # line properties, by name


def _titles(figure: Figure, summary: facts.Summary) -> None:
    name = " · ".join(part for part in (drawable(summary.tag, 40), drawable(summary.experiment, 30)) if part)
    figure.text(0.012, 0.972, name or "autoresearch", fontsize=15, fontweight="bold", color=INK, va="top",
                parse_math=False)  # fmt: skip
    figure.text(0.012, 0.917, _headline(summary), fontsize=11.5, color=MUTED, va="top", parse_math=False)


def _headline(summary: facts.Summary) -> str:
    trials = f"{summary.trials:,} trial{'s' * (summary.trials != 1)}"
    if not math.isfinite(summary.baseline):
        return f"{trials}, no score yet"
    if not summary.wins:
        return f"baseline {summary.baseline:.4f}, nothing proven yet, {trials}"
    interval = f" (95 %: {summary.gain_low:.4f} to {summary.gain_high:.4f})" if math.isfinite(summary.gain_low) else ""
    won = f"{summary.wins} win{'s' * (summary.wins != 1)}"
    return f"{summary.baseline:.4f} → {summary.best:.4f}, gain {summary.gain:.4f}{interval}, {won} in {trials}"


def _hours(axes: Axes, history: History) -> None:
    """A second axis on top: how long the run had taken by that trial."""
    elapsed = facts.measure_elapsed(history)
    if not elapsed or elapsed[-1] <= 0:
        return
    step = next((step for step in TICK_SECONDS if elapsed[-1] / step <= 7), TICK_SECONDS[-1])
    unit, name = (3600, "h") if step >= 1800 else (60, "min") if step >= 60 else (1, "s")
    top = axes.twiny()
    top.set_xlim(axes.get_xlim())
    ticks: dict[int, int] = {}  # trial number -> seconds
    for moment in range(step, int(elapsed[-1]) + 1, step):
        place = bisect_right(elapsed, moment)
        crowded = [other for other in ticks if place - other < 0.05 * len(elapsed)]
        for other in crowded:  # the run stood still: the later moment is the one that its next trial saw
            del ticks[other]
        ticks[place] = moment
    top.set_xticks(list(ticks), [f"{moment / unit:g} {name}" for moment in ticks.values()])
    top.tick_params(colors=MUTED, labelsize=10, length=3, pad=2)
    top.spines[["top", "left", "right", "bottom"]].set_visible(False)


def _label_wins(figure: Figure, axes: Axes, wins: Sequence[facts.Win]) -> None:
    """A mark for each win; words for the largest, placed below the line where nothing else is written."""
    if not wins:
        return
    points = [(win.trial_number, win.step.val_bpb) for win in wins]
    numbers, scores = [x for x, _ in points], [y for _, y in points]
    axes.scatter(numbers, scores, s=62, color=BEST, edgecolors="white", linewidths=1.2, zorder=6)
    figure.draw_without_rendering()
    pixels = [(float(x), float(y)) for x, y in axes.transData.transform(points)]
    largest = sorted(wins, key=lambda win: -win.step.gain if math.isfinite(win.step.gain) else 0.0)[:LABELLED_WINS]
    largest.sort(key=lambda win: win.number)
    texts = [(win.number, axes.text(0, 0, _words(win), transform=None, **_TEXT)) for win in largest]
    left = axes.get_window_extent().x0
    rightward = [n for n, text in texts if pixels[n - 1][0] - left < text.get_window_extent().width + 16]
    # Leader lines cross no words if the words to the left of their marks come first, then the others from the right.
    texts.sort(key=lambda item: (item[0] in rightward, -item[0] if item[0] in rightward else item[0]))
    taken: list[Bbox] = []
    for number, text in texts:
        _place(text, pixels[number - 1], -1 if number in rightward else 1, pixels, taken)


def _words(win: facts.Win) -> str:
    return drawable(win.hypothesis, LABEL_CHARACTERS) or f"win {win.number}"


def _place(
    text: Text,
    mark: tuple[float, float],
    side: int,
    pixels: list[tuple[float, float]],
    taken: list[Bbox],
) -> None:
    """Move `text` below `mark`, to its left (side 1) or right (-1), until it covers no other and not the best's line.

    Pixels throughout; `pixels` are the marks of all wins. Without room the text goes.
    """
    assert text.axes is not None
    frame, (x, y) = text.axes.get_window_extent(), mark
    text.set_horizontalalignment("right" if side == 1 else "left")
    for drop in range(9, 400, 5):
        text.set_position((x - 8 * side, y - drop))
        box = text.get_window_extent()
        line = min((height for place, height in pixels if place <= box.x1 + 4), default=math.inf)
        if box.y0 < frame.y0 + 2:
            break
        if box.y1 < line - 5 and not any(box.overlaps(other) for other in taken):
            taken.append(Bbox.from_extents(box.x0 - 3, box.y0 - 1, box.x1 + 3, box.y1 + 1))
            if drop > 20:
                end = (x - 6 * side, (box.y0 + box.y1) / 2)
                leader = Line2D([x, end[0]], [y, end[1]], transform=None, color="#8c959f", linewidth=0.7, zorder=5)
                text.axes.add_artist(leader)
            return
    text.remove()


_TEXT: dict[str, Any] = {
    "fontsize": 9.5,
    "color": INK,
    "va": "top",
    "zorder": 7,
    "parse_math": False,
    "bbox": {"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.75},
}
