"""Models at work in a run, without Ray: whatever goes wrong in a conversation is said, is not tried again at once, and
leaves neither process nor folder behind."""

import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from small_run import SERVER, descendants, measure_baseline, settings_of, wait_gone, write_experiment
from wire import Say, WireServer

from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.records.history import EarlierRun
from autoresearch_ray.records.proposers import ProposerStatus
from autoresearch_ray.records.trials import Candidate
from autoresearch_ray.search.models.proposers import Writers
from autoresearch_ray.settings.request import ask
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.earlier import put_earlier
from autoresearch_ray.store.sqlite.store import SqliteStore

MODEL = "openai:gpt-x"
KEYS = {MODEL: "sk-of-nobody-0123456789"}


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where slots have their folders."""
    folder = tmp_path / "scratch"
    folder.mkdir(mode=0o711)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("AUTORESEARCH_HOME", str(tmp_path / "home"))
    return folder


def settings_with(folder: Path, url: str) -> RunSettings:
    experiment = write_experiment(folder)
    options = {
        "proposers": (MODEL,),
        "llm_base_url": url,
        "slots": 1,
        "program": folder / "program.md",
        "max_staleness": 0,
    }
    return settings_of(ask(experiment=experiment, **options))


@contextmanager
def writing(folder: Path, settings: RunSettings, *, measured: bool = True) -> Iterator[Board]:
    """A run's models at work on a board of their own, and nothing left of them afterwards."""
    with SqliteStore(folder / "state.db") as store:
        board = Board(store)
        board.put_settings(settings.model_dump_json().encode())
        board.candidates.put(Candidate.of(settings.baseline))
        if measured:
            measure_baseline(board, settings)
        before = servers()  # of other tests
        writers = Writers(board, settings, folder, KEYS)
        try:
            yield board
        finally:
            own = servers() - before
            writers.close()
            writers.close()
            assert wait_gone(list(own)) == []


def servers() -> set[psutil.Process]:
    """The process servers of this pytest process."""
    return {process for process in descendants(os.getpid()) if is_server(process.pid)}


def is_server(pid: int) -> bool:
    try:
        return SERVER in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


def wait_for(status: Callable[[ProposerStatus], bool], board: Board) -> ProposerStatus:
    while True:
        found = next(iter(board.notes.proposers()), None)
        if found is not None and status(found):
            return found
        time.sleep(0.05)


def test_a_prompt_that_does_not_fit_is_said_once_and_asked_again_later(tmp_path: Path, scratch: Path) -> None:
    with WireServer("openai", [Say("Nothing comes to my mind.")]) as server:
        settings = settings_with(tmp_path, server.url)
        with writing(tmp_path, settings.replace(program="word " * 60_000)) as board:
            status = wait_for(lambda found: found.state == "pausing", board)
            before = board.store.revision()
            time.sleep(1.0)
            assert board.store.revision() == before
        assert server.requests == []
    assert status.detail.startswith(f"{MODEL}: a prompt of 24000 tokens: contract, program and frontier take ")
    assert list(scratch.iterdir()) == []


def test_any_other_failure_is_said_in_its_own_words_and_what_was_paid_is_counted(tmp_path: Path, scratch: Path) -> None:
    (tmp_path / "calls").write_text("a file where the transcripts' folder should be")
    with (
        WireServer("openai", [Say("Nothing comes to my mind.")]) as server,
        writing(tmp_path, settings_with(tmp_path, server.url)) as board,
    ):
        status = wait_for(lambda found: found.state == "pausing", board)
        asked = len(server.requests)
        time.sleep(1.0)
        assert len(server.requests) == asked
    assert status.detail.startswith(f"{MODEL}: FileExistsError: ") and status.detail.endswith("/calls'")
    assert status.conversations == 1 and status.tokens > 0
    assert list(scratch.iterdir()) == []


def test_no_model_is_asked_before_something_is_measured(tmp_path: Path, scratch: Path) -> None:
    with WireServer("openai", [Say("Nothing comes to my mind.")]) as server:
        settings = settings_with(tmp_path, server.url)
        with writing(tmp_path, settings, measured=False) as board:
            wait_for(lambda found: found.state == "ok", board)
            time.sleep(1.5)
            assert server.requests == []
        with writing(tmp_path, settings) as board:
            wait_for(lambda found: found.conversations > 0, board)
        told = r"Frontier: val_bpb 1\.5000 and J 1\.50\d\d with \d+ code lines \(of 1 run so far\)"
        assert re.search(told, server.requests[0].text)


def test_a_model_is_told_what_an_earlier_run_learned(tmp_path: Path, scratch: Path) -> None:
    with WireServer("openai", [Say("Nothing comes to my mind.")]) as server:
        settings = settings_with(tmp_path, server.url)
        earlier = EarlierRun("monday", {}, 1.5, 1, 1.5, "Won, and in train.py already:\n| gain 0.1: Wider.")
        for known in (settings.replace(from_run="runs/monday"), settings):
            with SqliteStore(tmp_path / "state.db") as store:
                put_earlier(store, earlier)
            with writing(tmp_path, known) as board:
                wait_for(lambda found: found.conversations > 0, board)
            (tmp_path / "state.db").unlink()
        told, untold = server.requests[0].text, server.requests[-1].text
    assert "from the best of run monday." in told and "| gain 0.1: Wider." in told
    assert "monday" not in untold, "left by another launch"


def test_a_model_that_cannot_be_set_up_is_said_before_anything_is_started(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, before = settings_with(tmp_path, "http://127.0.0.1:1/v1"), servers()
    monkeypatch.setenv("SSL_CERT_FILE", "gone.pem")
    with (
        pytest.raises(SettingsError, match=r"openai:gpt-x: its HTTP client cannot be set up .*SSL_CERT_FILE=gone.pem"),
        writing(tmp_path, settings),
    ):
        raise AssertionError("it was set up")
    assert servers() == before
    assert list(scratch.iterdir()) == []
