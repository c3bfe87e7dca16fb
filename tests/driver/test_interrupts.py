"""Signals in a process of its own: before the search, in it, and once too often."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from small_run import settings_of, wait_gone, write_experiment

from autoresearch_ray.common.paths import python_command
from autoresearch_ray.driver.console import resume_command
from autoresearch_ray.settings.request import Request

WAITING = """
import subprocess, sys, time
from autoresearch_ray.driver.interrupts import Interrupts
if "child" in sys.argv:
    print(subprocess.Popen(["sleep", "600"]).pid, flush=True)
with Interrupts() as interrupts:
    if "searching" in sys.argv:
        interrupts.search_begins(lambda: print("asked to stop", flush=True), "the resume command")
    try:
        print("ready", flush=True)
        while not (interrupts.seen and "once" in sys.argv):
            time.sleep(0.02)
    except KeyboardInterrupt:
        print("interrupted")
"""
IN_A_THREAD = (
    "import threading\nthread = threading.Thread(target=exec, args=({!r}, {{}}))\nthread.start()\nthread.join()"
)


STARTED: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def _end_what_was_started() -> Iterator[None]:
    yield
    while STARTED:
        STARTED.pop().kill()


def start(*words: str, code: str = WAITING, **more: int) -> subprocess.Popen[str]:
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} | more
    STARTED.append(subprocess.Popen([sys.executable, "-c", code, *words], text=True, **streams))  # type: ignore[call-overload]
    return STARTED[-1]


def until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None and "ready" in process.stdout.readline()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_before_the_search_a_signal_interrupts_and_in_it_it_asks_to_stop(number: signal.Signals) -> None:
    early, late = start(), start("searching", "once")
    for process in (early, late):
        until_ready(process)
        process.send_signal(number)
    assert (early.communicate(timeout=30)[0], early.returncode) == ("interrupted\n", 0)
    output = late.communicate(timeout=30)[0]
    assert output.startswith("asked to stop\n\nstopping:") and late.returncode == 0, output


def test_a_second_signal_ends_everything_at_once_shows_the_cursor_and_says_how_to_go_on() -> None:
    ours, terminal = pty.openpty()
    process = start("searching", "child", stdout=terminal, stderr=terminal)
    os.close(terminal)
    seen, signals = b"", iter((signal.SIGINT, signal.SIGINT))
    for answer in (b"ready\r\n", b"end now\r\n", b"command\r\n"):
        while answer not in seen:
            assert select.select([ours], [], [], 30)[0], seen
            seen += os.read(ours, 1000)
        if answer == b"ready\r\n":
            child = psutil.Process(int(seen.split()[0]))
        process.send_signal(next(signals, 0))
    assert process.wait(timeout=30) == 130
    os.close(ours)
    assert b"\x1b[?25h" in seen and seen.endswith(b"go on with\r\n  the resume command\r\n"), seen
    assert wait_gone([child]) == []


def test_a_hang_up_that_is_ignored_stays_ignored() -> None:
    process = start(code="import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)" + WAITING)
    until_ready(process)
    (ignored,) = re.findall(r"SigIgn:\t(\w+)", Path(f"/proc/{process.pid}/status").read_text())
    assert int(ignored, 16) & 1 << (signal.SIGHUP - 1)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[0] == "interrupted\n"


def test_a_thread_leaves_signals_to_the_main_one() -> None:
    process = start("searching", code=IN_A_THREAD.format(WAITING))
    until_ready(process)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30)[0] == "" and process.returncode == -signal.SIGTERM


def test_the_command_that_resumes_can_be_typed(tmp_path: Path) -> None:
    settings = settings_of(Request(experiment=write_experiment(tmp_path), slots=1, program=tmp_path / "program.md"))
    command = resume_command(tmp_path / "my runs" / "x", settings)
    assert (
        command.startswith(f"{python_command()} -m autoresearch_ray.launch --resume --tag x --runs-dir '")
        and "my runs'" in command
    )
