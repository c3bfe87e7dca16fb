"""The proposer actor on a real Ray: it leaves nothing behind, and a model that cannot be had stops no tuner."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from small_run import SERVER, descendants, measure_baseline, settings_of, wait_gone, write_experiment
from wire import Fail, WireServer

from autoresearch_ray.cluster.proposer_actor import proposing
from autoresearch_ray.settings.request import ask
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.connect import serving

MODEL = "openai:gpt-x"


@contextmanager
def at_work(folder: Path, url: str, namespace: str) -> Iterator[Board]:
    """The actor of a run with a model and a tuner."""
    options = {"proposers": (MODEL, "tpe"), "llm_base_url": url, "slots": 1, "tag": folder.name}
    settings = settings_of(ask(experiment=write_experiment(folder), program=folder / "program.md", **options))
    with serving(folder, settings, namespace) as (store, address):
        board = Board(store)
        measure_baseline(board, settings)
        with proposing(settings, address, folder, {MODEL: "sk-of-nobody-0123456789"}):
            yield board


def slot_servers() -> set[psutil.Process]:
    """The process servers of slots below this pytest process, its Ray's among them."""
    found = set()
    for process in descendants(os.getpid()):
        with suppress(psutil.NoSuchProcess):
            found |= {process} if SERVER in " ".join(process.cmdline()) else set()
    return found


def test_the_end_of_a_run_leaves_no_process_and_no_folder_of_its_models(tmp_path: Path, ray_session: str) -> None:
    before = slot_servers()
    with (
        WireServer("openai", [Fail(401, kind="invalid_api_key")]) as server,
        at_work(tmp_path, server.url, ray_session) as board,
    ):
        while not any(status.state == "stopped" for status in board.notes.proposers()) or not board.queue():
            time.sleep(0.1)
        servers = slot_servers() - before
        folders = {Path(process.cwd()) for process in servers} - {Path("/")}
        assert folders, "there is something to leave behind"
    assert not any(folder.exists() for folder in folders)
    assert wait_gone(list(servers)) == []


def test_a_model_that_cannot_be_set_up_where_the_actor_is_says_so_and_the_tuner_goes_on(
    tmp_path: Path, ray_session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = slot_servers()
    monkeypatch.setenv("SSL_CERT_FILE", "gone.pem")  # goes to the actor, as all that the SDKs read
    with at_work(tmp_path, "http://127.0.0.1:1/v1", ray_session) as board:
        while not board.notes.proposers() or not board.queue():
            time.sleep(0.1)
        (status,) = board.notes.proposers()
        servers = slot_servers() - before
    assert (status.name, status.state) == (MODEL, "stopped")
    assert "FileNotFoundError" in status.detail and "SSL_CERT_FILE=gone.pem" in status.detail
    assert servers == set()
