"""progress.png: the scores of a run, trial by trial, with its proven wins.

Drawn with matplotlib's Agg canvas and no global state, so any thread may draw. Readable at 1200 x 600 pixels; equal
histories give equal bytes.
"""

import io
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from autoresearch_ray.common.paths import write_whole
from autoresearch_ray.observe import facts, headline
from autoresearch_ray.observe.pictures.style import (
    BEST,
    DOT,
    DPI,
    FAILED,
    FRONTIER,
    HEIGHT_INCHES,
    INK,
    LABEL_CHARACTERS,
    MUTED,
    WIDTH_INCHES,
    drawable,
)
from autoresearch_ray.observe.pictures.win_labels import LABELLED_WINS, label_wins
from autoresearch_ray.records.history import History
from autoresearch_ray.settings.score_words import ScoreWords

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
    shown = [level for level in levels if math.isfinite(level)]
    finite = np.array([score for score in scores if math.isfinite(score)])
    sd = sd if math.isfinite(sd) else 0.0
    if len(finite):
        quarter, three_quarters = np.percentile(finite, [25, 75])
        fence = 2.5 * (three_quarters - quarter)
        inside = finite[(finite >= quarter - fence) & (finite <= three_quarters + fence)]
        low, high = float(inside.min()), float(inside.max())
        if shown:
            reach = 0.8 * (max(shown) - min(shown)) + 8 * sd
            high = min(high, max(shown) + reach) if reach > 0 else high
            low = max(low, min(shown) - max(reach, fence)) if reach > 0 else low
        shown += [low, high]
    shown = shown or [0.0, 1.0]
    low, high = min(shown) - 0.5 * sd, max(shown) + sd
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
    summary = headline.summarise(history)
    best, frontier = facts.best_levels(history), facts.frontier_levels(history)
    words = summary.words
    objectives = [facts.score(row) for row in history.rows]
    levels = [level.val_bpb for level in (*best, *frontier)] + [summary.baseline]
    limits = score_limits(objectives, levels, summary.noise_sd)
    wins = facts.wins(history)
    if wins:  # room for their words, beyond the best
        low = limits.low - (limits.high - limits.low) * (0.04 + 0.03 * min(len(wins), LABELLED_WINS))
        limits = Limits(low, limits.high)
    limits = Limits(limits.low, limits.high + 0.07 * (limits.high - limits.low))  # room for marks on the worse edge
    if words.rises:
        limits = Limits(-limits.high, -limits.low)
    scores = [words.shown(objective) for objective in objectives]
    last = max(len(history.rows), 1)
    axes.set_xlim(0.0 if last < 3 else -0.012 * last, last * 1.012 + 0.5)
    axes.set_ylim(limits.low, limits.high)
    _style(axes, words)
    if not any(map(math.isfinite, [*scores, *levels])):
        axes.set_yticks([])
    _band(axes, summary)
    _trials(axes, history, scores, limits, words.rises)
    _draw_levels(
        axes, frontier, words, last, color=FRONTIER, linewidth=1.1, linestyle=(0, (5, 3)), label="frontier", zorder=4
    )
    sure = words.scoring.doubt or words.scoring.proven
    _draw_levels(axes, best, words, last, color=BEST, linewidth=2.4, label=f"best, {sure}", zorder=5)
    _titles(figure, summary)
    _hours(axes, history)
    label_wins(figure, axes, wins, words)
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="lower center", bbox_to_anchor=(0.527, 0.0), ncols=len(handles),
                      frameon=False, fontsize=10, labelcolor=INK, handlelength=1.6, columnspacing=1.6)  # fmt: skip
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _style(axes: Axes, words: ScoreWords) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#d0d7de")
    axes.grid(axis="y", color="#eaeef2", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelsize=11)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.set_xlabel("trial", fontsize=11, color=MUTED)
    unit = "" if words.is_ours else drawable(words.unit(", "), LABEL_CHARACTERS)
    label = f"{drawable(words.name, LABEL_CHARACTERS)}{unit} ({words.way})"
    axes.set_ylabel(label, fontsize=11, color=MUTED, parse_math=False)


def _band(axes: Axes, summary: headline.Summary) -> None:
    if not math.isfinite(summary.baseline):
        return
    baseline = summary.words.shown(summary.baseline)
    if math.isfinite(summary.noise_sd):
        low, high = baseline - summary.noise_sd, baseline + summary.noise_sd
        axes.axhspan(low, high, color="#57606a", alpha=0.11, linewidth=0, label="baseline ± 1 sd", zorder=1)
    axes.axhline(baseline, color="#8c959f", linewidth=0.8, zorder=1)


def _trials(axes: Axes, history: History, scores: list[float], limits: Limits, rises: bool) -> None:
    """Dots for scores, hollow ones for replicates, and marks on the edges for what has no place on the axis.

    Failures are marked on the worse edge: the upper one, or the lower one where scores rise.
    """
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
    outermost, upper, lower = (0.015, 0.985, 0.045) if rises else (0.985, 0.955, 0.015)
    for numbers, marker, height, color, label in (
        (failed, "x", outermost, FAILED, f"failed ({len(failed):,})"),
        (stopped, "+", outermost, MUTED, f"ended early ({len(stopped):,})"),
        (above, "^", upper, MUTED, f"off the scale ({len(above) + len(below):,})"),
        (below, "v", lower, MUTED, "" if above else f"off the scale ({len(below):,})"),
    ):
        if numbers:
            axes.scatter(numbers, [height] * len(numbers), s=size, color=color, marker=marker, alpha=0.8,
                         linewidths=1.2, transform=edge, label=label or None, zorder=3)  # fmt: skip


def _draw_levels(axes: Axes, levels: Sequence[facts.Level], words: ScoreWords, last: int, **look: object) -> None:
    measured = [level for level in levels if math.isfinite(level.val_bpb)]
    if not measured:
        return
    numbers = [level.trial_number for level in measured] + [last]
    values = [words.shown(level.val_bpb) for level in (*measured, measured[-1])]
    axes.step(numbers, values, where="post", **look)  # type: ignore[arg-type]  # line properties, by name


def _titles(figure: Figure, summary: headline.Summary) -> None:
    name = " · ".join(part for part in (drawable(summary.tag, 40), drawable(summary.experiment, 30)) if part)
    figure.text(0.012, 0.972, name or "autoresearch", fontsize=15, fontweight="bold", color=INK, va="top",
                parse_math=False)  # fmt: skip
    figure.text(0.012, 0.917, _headline(summary), fontsize=11.5, color=MUTED, va="top", parse_math=False)


def _headline(summary: headline.Summary) -> str:
    trials = f"{summary.trials:,} trial{'s' * (summary.trials != 1)}"
    if not math.isfinite(summary.baseline):
        return f"{trials}, no score yet"
    words = summary.words
    start, gain, scoring = words.score(summary.baseline), words.amount(summary.gain), words.scoring
    if not summary.wins:
        return f"baseline {start}, nothing {scoring.proven} yet, {trials}"
    has_interval = math.isfinite(summary.gain_low)
    interval = f" (95 %: {words.bounds(summary.gain_low, summary.gain_high)})" if has_interval else ""
    won = f"{summary.wins} win{'s' * (summary.wins != 1)}"
    doubt = f", {scoring.doubt}" if scoring.doubt else ""
    return f"{start} → {words.score(summary.best)}, gain {gain}{interval}, {won} in {trials}{doubt}"


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
        trial_number = bisect_right(elapsed, moment)
        crowded = [other for other in ticks if trial_number - other < 0.05 * len(elapsed)]
        for other in crowded:  # the run stood still: the later moment is the one that its next trial saw
            del ticks[other]
        ticks[trial_number] = moment
    top.set_xticks(list(ticks), [f"{moment / unit:g} {name}" for moment in ticks.values()])
    top.tick_params(colors=MUTED, labelsize=10, length=3, pad=2)
    top.spines[["top", "left", "right", "bottom"]].set_visible(False)
