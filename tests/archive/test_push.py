"""Wins reach a git remote beside the search: retried, never forced, never in the way. (A run: test_interrupt.py.)"""

import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from small_run import branches, git, wait_gone

from autoresearch_ray.archive import push
from autoresearch_ray.archive.push import Pusher, check_remote, find_remote
from autoresearch_ray.common.errors import SettingsError

BRANCH = "refs/heads/autoresearch/x"


def commit(folder: Path, text: str) -> str:
    (folder / "train.py").write_text(text)
    git(folder, "add", ".")
    git(folder, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", text)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "autoresearch/x", "lineage")
    return tmp_path / "lineage"


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "--bare", "remote.git")
    return tmp_path / "remote.git"


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_each_win_is_pushed_while_the_search_goes_on(repository: Path, remote: Path) -> None:
    with Pusher(repository, BRANCH, str(remote), pytest.fail):
        for text in ("one", "two"):
            tip = commit(repository, text)

            def pushed(tip: str = tip) -> bool:
                return branches(remote) == f"{BRANCH} {tip}"

            wait_until(pushed)


def test_what_is_not_stored_yet_waits(repository: Path, remote: Path) -> None:
    asked, stored = set[str](), set[str]()

    def ready(tip: str) -> bool:
        asked.add(tip)
        return tip in stored

    with Pusher(repository, BRANCH, str(remote), pytest.fail, ready):
        tip = commit(repository, "one")
        wait_until(lambda: tip in asked)
        assert branches(remote) == ""
        stored.add(tip)
        wait_until(lambda: branches(remote) == f"{BRANCH} {tip}")


def test_what_is_not_stored_at_the_end_is_said(repository: Path, remote: Path) -> None:
    said: list[str] = []
    with Pusher(repository, BRANCH, str(remote), said.append, lambda _: False):
        commit(repository, "one")
    assert branches(remote) == "" and "a head that goes on from the storage would not know it" in said[-1]


def test_what_is_left_at_the_end_is_pushed_then(repository: Path, remote: Path) -> None:
    with Pusher(repository, BRANCH, str(remote), pytest.fail):
        tip = commit(repository, "last")
    assert branches(remote) == f"{BRANCH} {tip}"


def test_a_remote_that_comes_back_gets_everything(
    repository: Path, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "RETRY_SECONDS", (0.2, 0.2))
    away = remote.rename(remote.with_name("away.git"))
    said: list[str] = []
    with Pusher(repository, BRANCH, str(remote), said.append):
        tip = commit(repository, "one")
        wait_until(lambda: bool(said))
        away.rename(remote)
        wait_until(lambda: branches(remote) == f"{BRANCH} {tip}")
    assert all("the search goes on" in line for line in said)


def test_another_history_is_never_forced_away(repository: Path, remote: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "autoresearch/x", "other")
    theirs = commit(tmp_path / "other", "theirs")
    git(tmp_path / "other", "push", "-q", str(remote), BRANCH)
    said: list[str] = []
    with Pusher(repository, BRANCH, str(remote), said.append):
        commit(repository, "ours")
    assert branches(remote) == f"{BRANCH} {theirs}"
    assert "not pushed to" in said[-1] and "by hand: git -C" in said[-1]


def test_a_remote_that_is_none_is_said_at_once(tmp_path: Path, remote: Path) -> None:
    check_remote(str(remote))
    with pytest.raises(SettingsError, match=r"--push-to .*gone\.git: git cannot reach it"):
        check_remote(str(tmp_path / "gone.git"))


def test_a_remote_of_the_repository_here_and_a_path_from_here_mean_the_same_in_the_lineage(
    repository: Path, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "-q", "project")
    git(tmp_path / "project", "remote", "add", "origin", "../remote.git")
    monkeypatch.chdir(tmp_path / "project")
    for name in ("origin", "../remote.git"):
        assert Path(find_remote(name)).samefile(remote) and Path(find_remote(name)).is_absolute()
    for url in ("https://example.org/a.git", "git@example.org:a.git", "nothing"):
        assert find_remote(url) == url


def test_a_password_in_a_remote_is_not_shown() -> None:
    with pytest.raises(SettingsError) as caught:
        check_remote("https://me:hunter2@127.0.0.1:1/x.git")
    assert "hunter2" not in str(caught.value) and "https://127.0.0.1:1/x.git" in str(caught.value)


@pytest.mark.parametrize("where", ["GIT_SSH_COMMAND", "core.sshCommand"])
def test_a_push_takes_the_users_ssh_command_and_no_other_repositorys_variables(
    repository: Path, remote: Path, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh, config = tmp_path / "my-ssh", tmp_path / "config"
    ssh.write_text('#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n')  # a host that is this machine
    ssh.chmod(0o755)
    config.write_text(f"[core]\nsshCommand = {ssh}\n" if where == "core.sshCommand" else "")
    tip = commit(repository, "one")
    git(tmp_path, "init", "-q", "other")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    if where == "GIT_SSH_COMMAND":
        monkeypatch.setenv("GIT_SSH_COMMAND", str(ssh))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    check_remote(f"host:{remote}")
    with Pusher(repository, BRANCH, f"host:{remote}", pytest.fail):
        pass
    monkeypatch.delenv("GIT_DIR")
    assert branches(remote) == f"{BRANCH} {tip}"


def test_a_remote_that_never_answers_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ssh, pid = tmp_path / "my-ssh", tmp_path / "pid"
    ssh.write_text(f'#!/bin/sh\n[ "$1" = -G ] && exit 1\necho $$ >{pid}\nexec sleep 600\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(ssh))
    monkeypatch.setattr(push, "LAST_SECONDS", 2.0)
    with pytest.raises(SettingsError, match="no end after 2 s"):
        check_remote("host:remote.git")
    started = int(pid.read_text()) if pid.exists() else -1
    running = [process for process in psutil.process_iter() if process.pid == started]
    assert not wait_gone(running)
