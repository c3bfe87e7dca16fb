"""Learning curves of the starting and the best candidate, as a small picture within the report."""

import math
from html import escape

from autoresearch_ray.observe import facts
from autoresearch_ray.records.history import History

WIDTH, HEIGHT = 860, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 14, 40
SHOWN_RUNS = 5  # the latest of each candidate
EARLY = 0.1  # share of the time that the scale ignores: the loss falls steeply there
GRID_LINES = 4

Points = list[tuple[float, float]]  # seconds, bits per byte


def learning_curves(history: History) -> str:
    """A section with the training loss over time, or nothing if no trial reported one."""
    start, best = facts.start_sha(history), facts.best_sha(history)
    groups = [("baseline", _runs(history, start))] + ([("best", _runs(history, best))] if best != start else [])
    points = [point for _, runs in groups for run in runs for point in run]
    longest = max((seconds for seconds, _ in points), default=0.0)
    scale = [bpb for seconds, bpb in points if seconds >= EARLY * longest]
    if longest <= 0 or not scale:
        return ""
    low, high = min(scale), sorted(scale)[min(len(scale) - 1, int(0.99 * len(scale)))]
    low, high = low - 0.04 * (high - low or 1.0), high + 0.04 * (high - low or 1.0)
    lines = []
    for name, runs in groups:
        for run in runs:
            corners = [f"{_x(seconds, longest):.1f},{_y(min(bpb, 1e3), low, high):.1f}" for seconds, bpb in run]
            lines.append(f'<polyline class="{name}" points="{" ".join(corners)}"/>')
    names = " and ".join(f'<span class="{"good" * (name == "best")}">{name}</span>' for name, _ in groups)
    return (
        f'<h2>Learning curves</h2><p class="note">Training loss of {names}, as the candidates report it; '
        f"up to {SHOWN_RUNS} runs each.</p>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="training loss over time">'
        f'<clipPath id="plot"><rect x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" '
        f'height="{HEIGHT - TOP - BOTTOM}"/></clipPath>'
        f'{_axes(longest, low, high)}<g clip-path="url(#plot)">{"".join(lines)}</g></svg>'
    )


def _runs(history: History, source_sha: str) -> list[Points]:
    runs = [
        [(p.seconds, p.train_bpb) for p in row.result.curve if math.isfinite(p.train_bpb) and math.isfinite(p.seconds)]
        for row in facts.trials_of(history, source_sha)
        if row.result is not None
    ]
    return [run for run in runs if len(run) > 1][-SHOWN_RUNS:]


def _x(seconds: float, longest: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * seconds / longest


def _y(bpb: float, low: float, high: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (high - bpb) / (high - low)


def _axes(longest: float, low: float, high: float) -> str:
    marks = []
    for index in range(GRID_LINES + 1):
        value, moment = low + (high - low) * index / GRID_LINES, longest * index / GRID_LINES
        y, x = _y(value, low, high), _x(moment, longest)
        anchor = "start" if index == 0 else "end" if index == GRID_LINES else "middle"
        marks.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        marks.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.2f}</text>')
        marks.append(f'<text x="{x:.1f}" y="{HEIGHT - 20}" text-anchor="{anchor}">{moment:.3g} s</text>')
    caption = escape("training seconds")
    marks.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 3}" text-anchor="middle">{caption}</text>')
    return "".join(marks)
