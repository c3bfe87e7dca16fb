"""A run in the background of a notebook: its options, its beginning, what is shown of it, how it ends.

A whole run is started, followed, stopped and resumed by tests/runs/test_notebooks.py.
"""

import os
import subprocess
import sys
import threading
from _thread import interrupt_main
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from histories import empty, realistic, stored
from small_run import write_experiment

from autoresearch_ray import diff_best, show_page, start
from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.driver.background import BackgroundRun, as_arguments
from autoresearch_ray.launch import parse
from autoresearch_ray.settings.request import ask

SLEEP = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(600)"]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "cpu-night"
    folder.mkdir()
    stored(realistic(), folder)
    return folder


def test_options_are_those_of_the_command_line() -> None:
    options = {
        "experiment": Path("e.yaml"),
        "tag": "x",
        "trials": 12,
        "hours": 0.5,
        "resume": True,
        "plain": False,
        "slots": None,
        "proposers": ("openai:mine@http://127.0.0.1:1/v1", "tpe=0.5"),
        "log": ["tensorboard"],
        "on_end": "--starts like an option",
    }
    assert parse(as_arguments(options)) == ask(**options)


def test_a_wrong_option_starts_nothing(tmp_path: Path) -> None:
    for options, words in (
        ({"trails": 3}, "unknown option trails"),
        ({"trials": 2}, "--trials 2"),
        ({"submit": "http://127.0.0.1:1"}, "a job of a cluster"),
    ):
        with pytest.raises(SettingsError, match=words):
            start(runs_dir=tmp_path / "runs", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_launch_that_is_refused_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SettingsError, match=r"^none.yaml: cannot be read") as raised:
        start(runs_dir=tmp_path / "runs", tag="x", experiment="none.yaml")
    assert "\n" not in str(raised.value) and capsys.readouterr().out == f"error: {raised.value}\n"
    assert not (tmp_path / "runs" / "x").exists()


def test_a_key_goes_to_the_process_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    asked: dict[str, Any] = {
        "runs_dir": tmp_path / "runs",
        "experiment": write_experiment(tmp_path),
        "proposers": ["anthropic:m"],
    }
    with pytest.raises(SettingsError, match="no key for anthropic"):
        start(**asked)
    with pytest.raises(SettingsError, match="ANTHROPIC_API_KEY is no key: it has spaces"):
        start(**asked, keys={"ANTHROPIC_API_KEY": "two words"})
    assert "ANTHROPIC_API_KEY" not in os.environ


def test_a_stop_of_the_notebook_ends_the_following_and_not_the_run(run_dir: Path) -> None:
    with subprocess.Popen(SLEEP, start_new_session=True, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        log = run_dir.with_name("cpu-night.log")
        log.write_text("one\nwhy it failed\n\n")
        run = BackgroundRun(run_dir, log, process)
        seen = []
        for trials in run.follow(every_seconds=60):
            seen.append(trials)
            threading.Timer(0.5, interrupt_main).start()
        assert seen == [len(realistic().rows) - 1] and run.is_going
        assert repr(run) == "<run cpu-night, going>" and "failed" not in str(run)
        run.stop()
        assert not run.is_going and list(run.follow()) == seen
        assert str(run).splitlines()[-1].startswith("failed       why it failed; see ")


def test_a_notebook_shows_picture_diff_and_page(run_dir: Path) -> None:
    run = BackgroundRun(run_dir, run_dir, subprocess.Popen(["true"]))
    picture = run._repr_png_()
    frame = show_page(run_dir, height=321)
    assert picture == (run_dir / "progress.png").read_bytes() and picture.startswith(b"\x89PNG")
    html = frame._repr_html_()
    assert 'sandbox="allow-scripts"' in html and "height: 321px" in html and html.count("<") == 2
    assert unescape(html.partition('srcdoc="')[2].partition('"></iframe>')[0]) == (run_dir / "report.html").read_text()
    assert len(repr(frame)) < 100
    diff = diff_best(run_dir)
    assert diff.startswith("--- start ") and "\n-MATRIX_LR = 0.04 " in diff and "\n+MATRIX_LR = 0.0611 " in diff
    assert "\n+        return x * self.scale  # <b>learned</b> & small" in diff


def test_a_run_without_a_win_has_no_diff(tmp_path: Path) -> None:
    stored(empty(), tmp_path)
    assert diff_best(tmp_path) == ""
