"""Where a live screen can be drawn."""

import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest
from histories import leading, realistic
from rich.console import Console
from small_run import settings_of, write_experiment

from autoresearch_ray.driver.console import can_draw, resume_to_prove
from autoresearch_ray.settings.request import ask


def test_a_notebook_gets_a_screen_if_it_has_the_widgets_for_it_and_else_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = Console(force_jupyter=True)
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert not can_draw(notebook), "rich would warn at every frame"
    (tmp_path / "ipywidgets").mkdir()
    (tmp_path / "ipywidgets" / "__init__.py").touch()
    assert can_draw(notebook)


def test_a_run_whose_trials_end_before_its_frontier_is_proven_says_how_it_goes_on(tmp_path: Path) -> None:
    history, folder = leading(), Path("runs/monday")
    trials = len(history.rows)
    settings = settings_of(ask(experiment=write_experiment(tmp_path), trials=trials, tag="monday"))
    command = resume_to_prove(history, folder, settings)
    assert command.endswith(f"--resume --tag monday --runs-dir runs --trials {trials + 16}")
    assert resume_to_prove(history, folder, settings.model_copy(update={"trials": trials + 1})) == ""  # hours are over
    assert resume_to_prove(realistic(), folder, settings) == ""  # nothing is unproven


SCREEN = """
import time
from autoresearch_ray.driver.console import Progress
from autoresearch_ray.observe.screen import Snapshot
from autoresearch_ray.common.output import STDERR, STDOUT
nan = float("nan")
snapshot = Snapshot("tag", "small", 1.0, nan, 1, 4, (), nan, nan, nan, nan, ("the last decision",), 0.5, 1, 0)
progress = Progress(plain=False)
with progress._screen(lambda: snapshot):
    print("a line of somebody else")
    STDERR.write("a line of ours\\n")
    progress.say("what is set up")
STDOUT.write("the summary\\n")
"""


def test_a_live_screen_lets_lines_through_and_gives_the_terminal_back() -> None:
    ours, terminal = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    process = subprocess.Popen([sys.executable, "-c", SCREEN], stdout=terminal, stderr=terminal, env=environment)
    os.close(terminal)
    seen = b""
    while b"the summary" not in seen:
        assert select.select([ours], [], [], 60)[0], seen
        seen += os.read(ours, 10_000)
    assert process.wait(timeout=60) == 0
    os.close(ours)
    for words in (b"a line of somebody else", b"a line of ours", b"what is set up", b"the last decision"):
        assert words in seen, seen
    assert 0 <= seen.rfind(b"\x1b[?25l") < seen.rfind(b"\x1b[?25h"), "the cursor is shown again"


def test_a_terminal_gets_a_screen_and_a_file_lines(tmp_path: Path) -> None:
    assert can_draw(Console(force_terminal=True))
    with (tmp_path / "log").open("w") as log:
        assert not can_draw(Console(file=log))
