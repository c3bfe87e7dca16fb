"""The live screen, drawn into consoles of several sizes."""

import io
import math
from dataclasses import replace

import pytest
from histories import realistic
from rich.cells import cell_len
from rich.console import Console
from rich.live import Live

from autoresearch_ray.observe.screen import SlotView, Snapshot, decision_line, render, seconds_left

LINES = tuple(decision_line(row) for row in realistic().rows if row.result)
SNAPSHOT = Snapshot(
    tag="cpu-night", experiment="cpu", elapsed_seconds=300.0, limit_seconds=math.nan, trials_done=10, trials_total=30,
    slots=(
        SlotView("t00011", "knobs", "MATRIX_LR 0.04 -> 0.0611", 0.5, 1.9123, 10.0),
        SlotView("t00012", "code", "a learned residual scale", 0.5, math.nan, 10.0),
    ),
    baseline=1.7614, best=1.7053, frontier=1.7011, noise_sd=0.0091, decisions=LINES[-8:], utilisation=0.9,
    queue_depth=4, wins=2,
)  # fmt: skip
NOTHING = Snapshot("x", "", 0.0, math.nan, 0, 0, (), math.nan, math.nan, math.nan, math.nan, (), 0.0, 0, 0)


def drawn(snapshot: Snapshot, width: int = 80, height: int = 24) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(render(snapshot))
    return capture.get().splitlines()


def crowded(slots: int, text: str = "a hypothesis") -> Snapshot:
    views = tuple(SlotView(f"t{number:05d}", "knobs", text, 0.3, 1.9, 6.0) for number in range(slots))
    return replace(SNAPSHOT, slots=views, trials_total=5000)


def test_the_screen_tells_what_runs_and_how_it_stands() -> None:
    text = "\n".join(drawn(SNAPSHOT, 120, 40))
    for words in ("cpu-night", "5 min 00 s", "10 of 30 trials", "90% busy", "4 queued", "2 wins", "1.7614", "-0.0561",
                  "t00011", "50%", "1.9123", "MATRIX_LR 0.04 -> 0.0611", "last decisions", LINES[-1]):  # fmt: skip
        assert words in text, words


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (40, 10), (200, 60), (20, 3), (1, 1)])
@pytest.mark.parametrize("slots", [0, 1, 2, 13, 1000])
def test_the_screen_fits_the_window(size: tuple[int, int], slots: int) -> None:
    lines = drawn(crowded(slots), *size)
    assert len(lines) < max(size[1], 2), "the last line is the cursor's"
    assert max(cell_len(line) for line in lines) <= size[0]


def test_slots_beyond_the_window_are_counted() -> None:
    lines = drawn(crowded(1000))
    shown = [line for line in lines if line.startswith("t00") and "%" in line]
    assert len(shown) > 5
    assert any(line.strip() == f"and {1000 - len(shown)} more" for line in lines)
    assert sum("val_bpb" in line for line in lines) >= 4, "decisions keep their room"


def test_no_text_breaks_the_screen(hostile: str) -> None:
    snapshot = replace(crowded(3, hostile), tag=hostile, experiment=hostile, decisions=(hostile,) * 5)
    lines = drawn(snapshot)
    assert len(lines) < 24
    assert all(character.isprintable() for line in lines for character in line)
    assert max(cell_len(line) for line in lines) <= 80


def test_markup_is_shown_as_it_is() -> None:
    assert "[red]x[/red]" in "\n".join(drawn(crowded(1, "[red]x[/red]")))


def test_a_run_that_knows_nothing_yet_has_a_screen() -> None:
    text = "\n".join(drawn(NOTHING))
    assert "nan" not in text and "0 trials" in text and "left" not in text


def test_a_console_without_unicode_gets_plain_bars() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    console = Console(file=file, width=80, height=24, force_terminal=True, color_system=None)
    console.print(render(replace(SNAPSHOT, tag="plain", experiment="")))
    file.flush()
    assert b"#####-----" in raw.getvalue()


def test_drawing_over_itself_scrolls_nothing() -> None:
    console = Console(file=io.StringIO(), width=80, height=24, force_terminal=True, color_system=None)
    with console.capture() as capture, Live(render(crowded(2)), console=console, auto_refresh=False) as live:
        for slots in (2, 1000, 1, 40):
            live.update(render(crowded(slots)), refresh=True)
    frames = capture.get().split("cpu-night")
    assert len(frames) >= 5
    assert max(frame.count("\n") for frame in frames) < 24


def test_time_left_is_what_the_slots_need() -> None:
    # 20 trials to go, two of them half done: 19 x 20 s on two slots that train 90 % of the time
    assert seconds_left(SNAPSHOT) == pytest.approx(19 * 20 / (2 * 0.9))
    assert seconds_left(replace(SNAPSHOT, limit_seconds=310.0)) == pytest.approx(10.0)
    assert seconds_left(replace(SNAPSHOT, limit_seconds=200.0)) == 0.0
    assert math.isnan(seconds_left(replace(SNAPSHOT, trials_total=0)))


def test_time_left_is_not_fooled_by_a_resume() -> None:
    resumed = replace(SNAPSHOT, elapsed_seconds=5.0, trials_done=500, trials_total=520)
    assert seconds_left(resumed) == pytest.approx(seconds_left(SNAPSHOT))


def test_time_left_is_at_least_what_the_running_trials_need() -> None:
    assert seconds_left(replace(SNAPSHOT, trials_done=29)) == pytest.approx(10.0)
