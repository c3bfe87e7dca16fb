"""How many trials share a GPU: pure, from runs side by side to the number that trains the most.

    while (tenants := next_tenants(table, most)) is not None:
        table.append(measure(tenants))                      # real trials, see `cluster/gpu_sharing.py`
    best = chosen(table)

What counts is steps per GPU-second of all trials together: more trials on a GPU finish more experiments in an hour as
long as it grows, though each of them trains for fewer steps.
"""

from collections.abc import Sequence

from autoresearch_ray.records.trials import CoRun, CurvePoint

TENANTS = (1, 2, 3, 4, 6, 8, 12, 16)
NOISE = 0.03  # of the highest rate: as good within it, and then fewer trials, each with more steps, are better
PATIENCE = 2  # numbers in a row that do not raise the rate, before no higher one is tried


def next_tenants(table: Sequence[CoRun], most: int) -> int | None:
    """How many to try next, `most` at most; None when the table is complete. `table` is in the order of trying."""
    if table and table[-1].failure:
        return None  # more of them need more memory still
    best = max(range(len(table)), key=lambda row: table[row].rate, default=0)
    if len(table) - 1 - best >= PATIENCE:
        return None
    tried = table[-1].tenants if table else 0
    return next((tenants for tenants in TENANTS if tried < tenants <= most), None)


def choose(table: Sequence[CoRun]) -> CoRun | None:
    """The fewest tenants whose rate is the highest, but for noise; None if not even one ran."""
    ran = [row for row in table if not row.failure]
    highest = max((row.rate for row in ran), default=0.0)
    return next((row for row in ran if row.rate >= (1 - NOISE) * highest), None)


def show(row: CoRun) -> str:
    """One line of the table."""
    share = f"{1 / row.tenants:<6.3g} GPU a trial"
    if row.failure:
        return f"{share}: {row.tenants} at once: {row.failure}"
    each = row.rate / row.tenants
    return f"{share}: {row.tenants} at once, {each:.4g} steps/s each, {row.rate:.4g} steps per GPU-second"


Span = tuple[float, Sequence[CurvePoint]]  # when the first batch came (one clock for all), and progress since


def common_seconds(spans: Sequence[Span]) -> float:
    """For how long all of them have trained side by side, as far as they have told."""
    if not spans or any(not curve for _, curve in spans):
        return 0.0
    return max(0.0, min(began + curve[-1].seconds for began, curve in spans) - max(began for began, _ in spans))


def common_rates(spans: Sequence[Span]) -> tuple[float, ...]:
    """Steps per second of each in the time that all trained side by side, which must not be empty."""
    seconds = common_seconds(spans)
    assert seconds > 0, "they never trained at the same time"
    first = max(began for began, _ in spans)
    return tuple(
        (_steps_at(first + seconds - began, curve) - _steps_at(first - began, curve)) / seconds
        for began, curve in spans
    )


def _steps_at(moment: float, curve: Sequence[CurvePoint]) -> float:
    """Steps made at `moment` seconds on this training clock, between two reports in proportion."""
    seconds, steps = 0.0, 0
    for point in curve:
        if point.seconds >= moment:
            span = point.seconds - seconds
            return steps + ((point.step - steps) * (moment - seconds) / span if span > 0 else 0)
        seconds, steps = point.seconds, point.step
    return steps
