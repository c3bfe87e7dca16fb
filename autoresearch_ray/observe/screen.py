"""The live screen of a run in a terminal.

`render(snapshot)` gives rich something to draw that fits the window whatever it holds: every line is cut to the
width, the slots to the height. It reads nothing but the snapshot. What is written line by line is in `lines.py`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from autoresearch_ray.observe.lines import OURS, decision_line, duration, fit, summary_lines
from autoresearch_ray.settings.score_words import ScoreWords

__all__ = ["SlotView", "Snapshot", "decision_line", "render", "seconds_left", "summary_lines"]

BAR_CELLS = 10
DECISIONS = 4  # so many of the last decisions are shown in any window but the smallest
FIXED_LINES = 7  # headline, progress, scores, and the heads of slots and decisions with an empty line before each
GOOD, DIM, BOLD = "green", "dim", "bold"


@dataclass(frozen=True, slots=True)
class SlotView:
    """One slot's activity."""

    trial_id: str
    kind: str
    hypothesis: str
    progress: float  # 0 to 1, of the training budget
    train_bpb: float  # its loss by its own word, bits per byte with our contract; NaN if it says nothing
    seconds: float  # on the training clock


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the screen shows of one moment; NaN where nothing is known."""

    tag: str
    experiment: str
    elapsed_seconds: float
    limit_seconds: float  # NaN: none
    trials_done: int
    trials_total: int  # 0: endless
    slots: tuple[SlotView, ...]
    baseline: float
    best: float
    frontier: float
    noise_sd: float
    decisions: tuple[str, ...]  # the last lines, newest last
    utilisation: float  # 0 to 1
    queue_depth: int
    wins: int
    words: ScoreWords = OURS  # how the scores are written


def render(snapshot: Snapshot) -> RenderableType:
    """The screen of this moment, for `rich.live.Live`."""
    return _Screen(snapshot)


def seconds_left(snapshot: Snapshot) -> float:
    """Estimated time to the run's limits; NaN where there is no limit or no way to tell.

    Trials end at the rate of utilisation x slots / training seconds of a trial, which stays right after a resume.
    """
    left = [snapshot.limit_seconds - snapshot.elapsed_seconds] if math.isfinite(snapshot.limit_seconds) else []
    if snapshot.trials_total:
        begun = sum(slot.progress for slot in snapshot.slots)
        remaining = snapshot.trials_total - snapshot.trials_done - begun
        durations = [
            slot.seconds / slot.progress for slot in snapshot.slots if slot.progress > 0.02 and slot.seconds > 0
        ]
        if durations and snapshot.utilisation > 0:
            last = median(durations) * (1 - min(slot.progress for slot in snapshot.slots))
            left.append(max(last, remaining * median(durations) / (len(snapshot.slots) * snapshot.utilisation)))
        elif snapshot.trials_done and not snapshot.slots:
            left.append(remaining * snapshot.elapsed_seconds / snapshot.trials_done)
    return max(0.0, min(left)) if left else math.nan


class _Screen:
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        height = min(options.height or options.max_height, console.size.height) - 1  # one for the cursor
        lines = _lines(self._snapshot, options.max_width, height, options.ascii_only)
        yield from lines[: max(height, 1)]


def _lines(snapshot: Snapshot, width: int, height: int, ascii_only: bool) -> list[Text]:
    spare = max(0, height - FIXED_LINES)
    shown_decisions = min(len(snapshot.decisions), max(min(DECISIONS, spare // 2), spare - len(snapshot.slots)))
    lines_left = spare - shown_decisions
    slots = list(snapshot.slots)
    rest = 0
    if len(slots) > lines_left:
        rest = len(slots) - max(lines_left - 1, 0)
        slots = slots[: max(lines_left - 1, 0)]
    loss = "bpb" if snapshot.words.is_ours else "loss"
    lines = [_headline(snapshot, width), _progress(snapshot, width, ascii_only), _scores(snapshot, width), Text("")]
    lines.append(_cut(f"trial   kind      progress        {loss:>4}     time  hypothesis", width, DIM))
    lines += [_slot(slot, width, ascii_only) for slot in slots]
    if rest:
        lines.append(_cut(f"and {rest:,} more", width, DIM))
    lines += [Text(""), _cut("last decisions", width, DIM)]
    chosen = snapshot.decisions[len(snapshot.decisions) - shown_decisions :]
    return lines + [_cut(line, width, GOOD if " keep " in line[:60] else "") for line in chosen]


def _headline(snapshot: Snapshot, width: int) -> Text:
    left = seconds_left(snapshot)
    clock = duration(snapshot.elapsed_seconds) + (f", about {duration(left)} left" if math.isfinite(left) else "")
    name = fit(" · ".join(part for part in (snapshot.tag, snapshot.experiment) if part), width - len(clock) - 2)
    return _ends(Text(name, style=BOLD), Text(fit(clock, width)), width)


def _progress(snapshot: Snapshot, width: int, ascii_only: bool) -> Text:
    done, total = snapshot.trials_done, snapshot.trials_total
    facts = f"{snapshot.utilisation:4.0%} busy   {snapshot.queue_depth:,} queued   {snapshot.wins} wins"
    if not total:
        return _ends(Text(f"{done:,} trials, no end set"), Text(facts), width)
    bar = _bar(done / total, 20, ascii_only)
    return _ends(Text.assemble(bar, f" {done:,} of {total:,} trials"), Text(facts), width)


def _scores(snapshot: Snapshot, width: int) -> Text:
    """baseline, best with its gain, frontier, noise: unknown ones as a dash."""
    words, gain = snapshot.words, snapshot.baseline - snapshot.best
    change = f" ({'+' if words.rises else '-'}{words.amount(gain)})"
    line = Text.assemble(
        ("" if words.is_ours else f"{words.name}   ", BOLD),
        ("baseline ", DIM),
        words.score(snapshot.baseline, "-"),
        ("   best ", DIM),
        (words.score(snapshot.best, "-"), f"{BOLD} {GOOD}" if snapshot.wins else BOLD),
        (change if snapshot.wins and gain > 0 else "", GOOD),
        (f" {words.scoring.doubt}" if snapshot.wins and words.scoring.doubt else "", DIM),
        ("   frontier ", DIM),
        words.score(snapshot.frontier, "-"),
        ("   noise sd ", DIM),
        words.amount(snapshot.noise_sd, "-"),
    )
    line.truncate(width)
    return _unwrap(line)


def _slot(slot: SlotView, width: int, ascii_only: bool) -> Text:
    share = min(max(slot.progress, 0.0), 1.0) if math.isfinite(slot.progress) else 0.0
    loss = f"{slot.train_bpb:.4f}" if math.isfinite(slot.train_bpb) else "-"
    line = Text.assemble(
        f"{fit(slot.trial_id, 7):7} {fit(slot.kind, 9):9} ",
        _bar(share, BAR_CELLS, ascii_only),
        f" {share:4.0%} {loss:>7} {slot.seconds:6.0f} s  ",
    )
    line.append(fit(slot.hypothesis, max(0, width - line.cell_len)))
    line.truncate(width)
    return _unwrap(line)


def _bar(share: float, cells: int, ascii_only: bool) -> Text:
    full, empty = ("#", "-") if ascii_only else ("━", "─")
    done = min(cells, round(min(max(share, 0.0), 1.0) * cells))
    return Text.assemble((full * done, GOOD), (empty * (cells - done), DIM))


def _cut(line: str, width: int, style: str = "") -> Text:
    return _unwrap(Text(_cut_columns(line, width), style=style))


def _cut_columns(line: str, width: int) -> str:
    """The line cut to the width with its columns kept: `fit` would run them together."""
    kept = "".join(character if character.isprintable() else " " for character in line[: 4 * width])
    text = Text(kept)
    text.truncate(width)
    return text.plain


def _ends(left: Text, right: Text, width: int) -> Text:
    """`left` and `right` at the two ends of a line; `right` goes where there is no room for both."""
    gap = width - left.cell_len - right.cell_len
    line = Text.assemble(left, " " * gap, right) if gap >= 2 else left.copy()
    line.truncate(width)
    return _unwrap(line)


def _unwrap(line: Text) -> Text:
    line.no_wrap, line.overflow = True, "crop"
    return line
