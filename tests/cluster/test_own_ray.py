"""Where a Ray of our own keeps its files and its token: real folders, good and bad ones."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoresearch_ray.cluster.own_ray import LONGEST, TOKEN, TOKEN_PATH, check_threads, choose_folder, ensure_token
from autoresearch_ray.common.errors import SettingsError

pytestmark = pytest.mark.alone


@pytest.fixture
def short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a short path, in the place of the variables' own."""
    for name in ("RAY_TMPDIR", "TMPDIR", TOKEN, TOKEN_PATH):
        monkeypatch.delenv(name, raising=False)
    short = Path(f"/tmp/own-ray-{os.getpid()}")
    short.symlink_to(tmp_path)
    yield short
    short.unlink()


def test_ray_s_own_choice_is_kept_where_it_can_be_had(
    short: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TMPDIR", str(short / "t"))
    assert choose_folder() == f"{short}/t/ray"
    monkeypatch.setenv("RAY_TMPDIR", str(short / "r"))
    assert choose_folder() == f"{short}/r/ray" and caplog.text == ""


@pytest.mark.parametrize("name", ["RAY_TMPDIR", "TMPDIR"])
def test_a_folder_that_ray_cannot_use_is_named_and_another_taken(
    short: Path, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (short / "file").touch()
    bad = {
        str(short / ("x" * 60)): f"bytes, a path of Ray's sockets has room for {LONGEST}",
        str(short / "file"): "cannot be written (Not a directory)",
        "here": "not an absolute path",
    }
    for place, reason in bad.items():
        monkeypatch.setenv(name, place)
        caplog.clear()
        chosen = choose_folder()
        (said,) = caplog.messages
        assert chosen.startswith("/tmp/ray") and said.startswith(f"{name} {place}/ray: ") and reason in said
        assert said.endswith(f"; Ray keeps its files in {chosen}")


def test_too_few_processes_are_refused_before_ray_starts(tmp_path: Path) -> None:
    (tmp_path / "cgroup").write_text("0::/pod\n")
    (tmp_path / "mountinfo").write_text(f"30 1 0:26 / {tmp_path} rw - cgroup2 cgroup2 rw\n")
    (tmp_path / "pod").mkdir()
    (tmp_path / "pod" / "pids.max").write_text("150\n")
    with pytest.raises(
        SettingsError, match="150 processes and threads are allowed here, Ray takes more than 300 before"
    ):
        check_threads(tmp_path)
    (tmp_path / "pod" / "pids.max").write_text("max\n")
    check_threads(tmp_path)


def test_without_a_home_folder_the_token_is_this_launch_s(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(short / "home"))
    ensure_token()
    token = short / "home" / ".ray" / "auth_token"
    assert len(token.read_text()) == 64 and token.stat().st_mode & 0o077 == 0 and TOKEN not in os.environ
    kept = token.read_text()
    ensure_token()
    assert token.read_text() == kept

    monkeypatch.setenv("HOME", "/proc/nobody")
    ensure_token()
    assert len(os.environ.pop(TOKEN)) == 64


def test_a_named_file_for_the_token_is_made_or_refused(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_PATH, str(short / "new" / "token"))
    ensure_token()
    assert (short / "new" / "token").exists()
    monkeypatch.setenv(TOKEN_PATH, "/proc/nobody/token")
    with pytest.raises(SettingsError, match=rf"{TOKEN_PATH}: .*/proc/nobody.*; name a file that can be written"):
        ensure_token()
