"""Each win to a git remote, beside the search: `--push-to REMOTE`.

A thread pushes the branch of proven wins whenever it has moved, and tries again after a failure, ever more seldom. It
never forces, and no slot waits for it. At the end of the run it reports what could not be pushed.
"""

import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from autoresearch_ray.common.errors import LineageError, SettingsError
from autoresearch_ray.common.git_commands import Repository, users_environment
from autoresearch_ray.common.repeating import pause_after

LOOK_SECONDS = 1.0
PUSH_SECONDS = 60.0  # limit for one attempt
RETRY_SECONDS = (5.0, 300.0)  # pause after a failure: from the first, doubled, up to the second
LAST_SECONDS = 30.0  # time for the rest at a run's end


def find_remote(remote: str) -> str:
    """A remote's address for any folder; `remote` is its name in this repository, a URL, or a path from here."""
    command = ["git", "remote", "get-url", "--push", remote]
    named = subprocess.run(command, env=users_environment(), capture_output=True, text=True, check=False)
    url = named.stdout.strip() if named.returncode == 0 else remote
    return str(Path(url).absolute()) if Path(url).exists() else url


def check_remote(remote: str) -> None:
    """SettingsError unless git can read there now, without asking anybody for a password."""
    failure = _git(["ls-remote", "--heads", remote], None, LAST_SECONDS)
    if failure:
        raise SettingsError(
            f"--push-to {hide_password(remote)}: git cannot reach it ({failure}); expected what `git ls-remote` "
            "can read"
        )


def hide_password(text: str) -> str:
    """A remote, or what git says of it, without the name and password that its URL may hold."""
    return re.sub(r"//[^/@\s]*@", "//", text)


class Pusher:
    """Pushes one branch of a repository until the end of `with`."""

    def __init__(
        self,
        repository: Path,
        branch: str,
        remote: str,
        say: Callable[[str], None],
        ready: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """`ready`: whether a commit may be seen by others yet."""
        self._repository, self._branch, self._remote, self._say = repository, branch, remote, say
        self._ready = ready
        self._pushed = ""
        self._failure = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="push", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()
        tip = self._tip()
        if tip in ("", self._pushed):
            return
        if not self._ready(tip):
            pushed, self._failure = False, "a head that goes on from the storage would not know it"
        else:
            pushed = self._push(tip, LAST_SECONDS)
        if not pushed:
            self._say(
                f"not pushed to {hide_password(self._remote)}: {self._failure}; by hand: "
                f"git -C {self._repository} push {hide_password(self._remote)} {self._branch}"
            )

    def _follow(self) -> None:
        failures = 0
        while not self._ended.wait(LOOK_SECONDS):
            tip = self._tip()
            if tip in ("", self._pushed) or not self._ready(tip):
                continue
            failures = 0 if self._push(tip, PUSH_SECONDS) else failures + 1
            if failures:
                wait = pause_after(failures, RETRY_SECONDS)
                self._say(
                    f"push to {hide_password(self._remote)} failed ({self._failure}); again in {wait:.0f} s, the "
                    "search goes on"
                )
                self._ended.wait(wait)

    def _push(self, tip: str, seconds: float) -> bool:
        self._failure = _git(["push", "--porcelain", self._remote, f"{tip}:{self._branch}"], self._repository, seconds)
        if not self._failure:
            self._pushed = tip
        return not self._failure

    def _tip(self) -> str:
        try:
            return Repository(self._repository).run("for-each-ref", "--format=%(objectname)", self._branch)
        except LineageError:  # the search says so
            return ""


def _git(words: list[str], folder: Path | None, seconds: float) -> str:
    """Run a git command. Returns why it failed, in one line; "" if it did not.

    It has no terminal, so that neither git nor ssh waits for a password; the user's ssh command stays as it is.
    """
    with subprocess.Popen(
        ["git", *words],
        cwd=folder,
        env=users_environment() | {"GIT_TERMINAL_PROMPT": "0"},
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            return f"no end after {seconds:.0f} s"
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)  # its ssh too
    if process.returncode == 0:
        return ""
    said = [line for line in (err + out).splitlines() if line.strip()]
    return hide_password(" ".join((said or [f"exit status {process.returncode}"])[0].split())[:200])
