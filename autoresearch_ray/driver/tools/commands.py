"""Shell commands that hear of a run: `--on-win COMMAND` after each proven win, `--on-end COMMAND` when a launch ends.

A command reads the news as JSON on its standard input. It runs on the driver's machine, in the folder of the launch,
without the keys of models, and for a minute at most: then it is ended, with everything that it has started. Wins are
told in order by a thread of their own. A command that fails is said once, and the search goes on.
"""

import asyncio
import math
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from autoresearch_ray.common.errors import StoreError
from autoresearch_ray.common.text import last_line
from autoresearch_ray.driver.tools.news import EndNews, WinNews, read_wins, tell_win
from autoresearch_ray.observe.facts import Win
from autoresearch_ray.propose.llm.agents.process import run_command
from autoresearch_ray.propose.llm.providers.keys import withdraw
from autoresearch_ray.records.codec import to_json
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.told import put_announced, read_announced

COMMAND_SECONDS = 60.0
LOOK_SECONDS = 1.0  # between looks at the store
COMMIT_SECONDS = 10.0  # longest wait for a win's commit
LAST_SECONDS = 30.0  # time after the search in which a command may still begin

Say = Callable[[str], None]


def run_shell(command: str, news: WinNews | EndNews) -> str:
    """Run a command with the news on its standard input. Returns why it failed, in one line; "" if it did not."""
    environment = dict(os.environ)
    withdraw(environment)
    words = ["/bin/sh", "-c", command]
    try:
        ended = asyncio.run(run_command(words, Path.cwd(), environment, f"{to_json(news)}\n", COMMAND_SECONDS))
    except OSError as error:
        return f"it cannot be started: {error.strerror}"
    said = last_line(ended.errors) or last_line(ended.output)
    words_of_it = f", it printed last: {said}" if said else ", it printed nothing"
    if ended.how == "time":
        return f"no end after {COMMAND_SECONDS:.0f} s{words_of_it}"
    if ended.how == "output":
        return "it prints without end"
    return f"exit status {ended.code}{words_of_it}" if ended.code else ""


def announce_end(command: str, news: EndNews, say: Say) -> None:
    """Run the command of --on-end."""
    with ThreadPoolExecutor(1) as thread:  # a notebook's own thread has an event loop already
        failure = thread.submit(run_shell, command, news).result()
    if failure:
        say(f"--on-end failed ({failure})")


class WinCommand:
    """Runs the command of --on-win for each win until the end of `with`, each win once.

    Of the wins before the first launch with --on-win nothing is told. From then on a win is marked as told when its
    command has ended, failed or not: what a killed driver leaves is told by the next launch with the option.
    """

    def __init__(self, command: str, board: Board, settings: RunSettings, folder: Path, say: Say) -> None:
        self._command, self._board, self._settings, self._folder, self._say = command, board, settings, folder, say
        self._told = 0  # the index of the last step
        self._failed = False
        self._deadline = math.inf
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="on-win", daemon=True)

    def __enter__(self) -> Self:
        announced = read_announced(self._board.store)
        if announced is None:
            steps = self._board.steps()
            announced = steps[-1].index if steps else 0
            put_announced(self._board.store, announced)
        self._told = announced
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._deadline = time.monotonic() + LAST_SECONDS
        self._ended.set()
        self._thread.join()

    def _follow(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._ended.wait(LOOK_SECONDS)
            try:
                self._announce(is_last)
            except StoreError as error:  # the next look may do
                if is_last:
                    self._say(f"--on-win: the store does not answer ({error})")

    def _announce(self, is_last: bool) -> None:
        if not any(step.kind == "keep" for step in self._board.steps(self._told + 1)):
            return
        wins, baseline = read_wins(self._board)
        waiting = [win for win in wins if win.step.index > self._told]
        for number, win in enumerate(waiting):
            if not (is_last or _is_ready(win)):
                return
            if time.monotonic() > self._deadline:
                left = len(waiting) - number
                self._say(f"--on-win: {left} wins are not told for want of time; the next launch with it tells them")
                return
            failure = run_shell(self._command, tell_win(win, baseline, self._board, self._settings, self._folder))
            if failure and not self._failed:
                self._say(f"--on-win failed ({failure}); the search goes on, later failures are not told")
                self._failed = True
            put_announced(self._board.store, win.step.index)
            self._told = win.step.index


def _is_ready(win: Win) -> bool:
    """Whether its commit is made, or the wait for it is over."""
    return bool(win.commit) or time.time() - win.step.at > COMMIT_SECONDS
