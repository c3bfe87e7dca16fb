"""A run that is stored while it goes: what a new head finds, and what an old one may still do. Without Ray."""

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from s3_server import running_s3
from small_run import settings_of, write_experiment

from autoresearch_ray.archive.bucket import Bucket, normal_url
from autoresearch_ray.archive.restore import check_free, check_ours, claim, restore, storage_of
from autoresearch_ray.archive.upload import Uploads
from autoresearch_ray.candidate.normal_form import normal_sha
from autoresearch_ray.common.errors import SettingsError, StorageError
from autoresearch_ray.records.trials import Candidate, Proposal, Result, Trial
from autoresearch_ray.search.search import Search
from autoresearch_ray.settings.request import Request
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.connect import locate_store
from autoresearch_ray.store.history import read_history
from autoresearch_ray.store.sqlite.store import SqliteStore


class Head:
    """A launch: a search on its folder, stored as the driver does it. Trials are made up."""

    def __init__(self, folder: Path, settings: RunSettings, url: str) -> None:
        self.folder, self.settings = folder, settings
        folder.mkdir(parents=True, exist_ok=True)
        self.store = SqliteStore(folder / "state.db")
        self.board = Board(self.store)
        self.store.put("settings", settings.model_dump_json().encode())
        (folder / "settings.json").write_text(settings.model_dump_json())
        self.storage = storage_of(url, folder.name)
        self.said: list[str] = []
        claimed = claim(self.storage, settings, folder, self.store.revision())
        done = {result.trial_id for result in self.board.results()}
        self.uploads = Uploads(self.storage, claimed, folder, self.said.append, done)
        self.search = Search(
            self.board, settings, folder / "lineage", listener=self.uploads.after(lambda *_: None), now=lambda: 1e9
        )

    def run(self, trials: int) -> None:
        """So many trials more; the wider a candidate, the better."""
        for _ in range(trials):
            self.propose()
            trial = self.search.next()
            assert isinstance(trial, Trial)
            number = int(trial.trial_id[1:])
            width = int(self.board.candidates.get(trial.proposal.source_sha).text.partition("WIDTH = ")[2].split()[0])
            (self.folder / "trials" / trial.trial_id).mkdir(parents=True, exist_ok=True)
            (self.folder / "trials" / trial.trial_id / "output.log").write_text(f"{trial.trial_id} of {self.folder}")
            score = 2.0 + 0.001 * (number % 2) - 0.01 * (width - 16)
            self.search.finish(Result(trial.trial_id, "ok", val_bpb=score, holdout_bpb=score))

    def propose(self) -> None:
        """One proposal on the frontier, and no other."""
        self.board.drop([proposal.proposal_id for proposal in self.board.queue()])
        frontier, number = self.board.frontier(), self.search.claimed
        parent = frontier.source_sha if frontier else Candidate.of(self.settings.baseline).sha
        version = frontier.version if frontier else 1
        text = self.settings.baseline.replace("WIDTH = 16", f"WIDTH = {17 + number}")
        proposal = Proposal(
            f"p{number:06d}", "knobs", "tpe", Candidate.of(text).sha, parent, version, f"WIDTH {number}"
        )
        assert self.board.enqueue(proposal, Candidate.of(text), normal_sha(text))

    def lost(self) -> None:
        """The machine and its disk."""
        self.store.close()
        shutil.rmtree(self.folder)


@pytest.fixture
def settings(tmp_path: Path) -> RunSettings:
    request = Request(experiment=write_experiment(tmp_path), trials=40, slots=2, program=tmp_path / "program.md")
    return settings_of(request)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return normal_url(str(tmp_path / "mounted"))


@pytest.fixture
def head(tmp_path: Path, settings: RunSettings, url: str) -> Iterator[Head]:
    head = Head(tmp_path / "head" / "x", settings, url)
    yield head
    head.store.close()


def moved(head: Head, folder: Path, url: str) -> Head:
    """A new head, from the storage alone."""
    assert restore(storage_of(url, "x"), folder, lambda _: None)
    assert {path.name for path in folder.iterdir()} <= {"state.db", "settings.json", ".storage.json", "trials"}
    return Head(folder, head.settings, url)


def test_a_new_head_goes_on_from_the_storage(head: Head, tmp_path: Path, url: str) -> None:
    head.store.put("driver", b"{}", head.store.grant(30.0))
    head.run(6)
    assert head.uploads.upload()
    stored = head.board.history()
    head.run(2)
    head.lost()
    new = moved(head, tmp_path / "new" / "x", url)
    try:
        assert new.store.get("driver") is None  # nobody waits for a lease of the lost head
        assert new.board.history() == stored and stored.steps
        logs = [path.read_text() for path in sorted(new.folder.glob("trials/*/output.log"))]
        assert logs == [f"t{number:05d} of {head.folder}" for number in range(1, 7)]
        new.run(4)
        assert [trial.trial_id for trial in new.board.trials()] == [f"t{number:05d}" for number in range(1, 11)]
        assert stored.commits.items() <= new.board.commits().items() and new.uploads.upload()
        assert storage_of(url, "x").launches("trials", 2)["t00007/output.log"].startswith("x/head-0002/")
    finally:
        new.store.close()


def test_many_heads_make_what_one_would_have_made(head: Head, tmp_path: Path, settings: RunSettings, url: str) -> None:
    unbroken = Head(tmp_path / "unbroken" / "x", settings, normal_url(str(tmp_path / "elsewhere")))
    unbroken.run(20)
    for number in range(4):
        head.run(4)
        assert head.uploads.upload()
        head.run(number)
        head.lost()
        head = moved(head, tmp_path / f"new{number}" / "x", url)
    head.run(4)
    one, other = unbroken.board.history(), head.board.history()
    unbroken.store.close()
    head.store.close()
    assert one == other and len(one.commits) > 1


def test_a_storage_that_fails_is_said_once_and_once_when_it_works(tmp_path: Path, settings: RunSettings) -> None:
    with running_s3() as server:
        head = Head(tmp_path / "x", settings, server.make_bucket("runs"))
        head.run(3)
        assert head.uploads.upload() and head.said == []
        server.stop()
        for _ in range(3):
            head.run(1)
            assert not head.uploads.upload()
        assert len(head.said) == 1 and "trying again, the search goes on" in head.said[0]
        server.start()
        assert head.uploads.upload()
        assert len(head.said) == 2 and "stores again" in head.said[1]
        assert restore(head.storage, tmp_path / "again", lambda _: None)
        assert read_history(tmp_path / "again" / "state.db") == head.board.history()
        head.store.close()


def test_with_its_state_on_etcd_a_run_s_files_are_stored(tmp_path: Path, settings: RunSettings, url: str) -> None:
    etcd = settings.replace(state="etcd://127.0.0.1:2379")
    head = Head(tmp_path / "head" / "x", etcd, url)
    head.run(4)
    assert head.uploads.upload()
    head.lost()
    folder = tmp_path / "new" / "x"
    assert restore(storage_of(url, "x"), folder, lambda _: None)
    assert locate_store(folder) == etcd.state and not (folder / "state.db").exists()
    assert len(list(folder.glob("trials/*/output.log"))) == 4
    newest = head.storage.newest()
    assert newest is not None and newest.lineage and not newest.state


def test_what_is_missing_at_the_end_is_said(head: Head, tmp_path: Path) -> None:
    head.run(1)
    (tmp_path / "mounted").rename(tmp_path / "away")
    (tmp_path / "mounted").write_text("no folder any more")
    head.uploads.finish()
    assert head.said[-1].startswith("not stored: ") and "--resume --tag x" in head.said[-1]


def test_an_old_head_that_wakes_is_told_and_changes_nothing(head: Head, tmp_path: Path, url: str) -> None:
    head.run(4)
    assert head.uploads.upload()
    new = moved(head, tmp_path / "new" / "x", url)
    ended = threading.Event()
    head.run(3)  # it stores the files of t00005, too late
    with head.uploads.following(ended.set):
        assert ended.wait(60)
    head.uploads.finish()
    new.run(2)
    assert new.uploads.upload()
    assert len(head.said) == 1 and "has taken the run over" in head.said[0]
    assert restore(new.storage, tmp_path / "again", lambda _: None)
    assert read_history(tmp_path / "again" / "state.db") == new.board.history()
    assert (tmp_path / "again" / "trials" / "t00005" / "output.log").read_text() == f"t00005 of {new.folder}"
    new.store.close()


def test_decisions_are_stored_by_a_thread(head: Head) -> None:
    head.run(2)
    with head.uploads.following(lambda: None):
        head.run(3)
    newest = head.storage.newest()
    assert newest is not None and newest.revision == head.store.revision() and head.said == []
    assert not list(head.folder.glob(".backup*")) + list(head.folder.glob(".lineage*"))


def test_a_folder_that_was_left_behind_is_refused(head: Head, tmp_path: Path, url: str) -> None:
    head.run(4)
    assert head.uploads.upload()
    new = moved(head, tmp_path / "new" / "x", url)
    new.run(1)
    assert new.uploads.upload()
    new.store.close()
    with pytest.raises(SettingsError, match="has gone on with the run"):
        claim(head.storage, head.settings, head.folder, head.store.revision() + 1000)


def test_a_folder_with_an_older_state_is_refused(head: Head) -> None:
    head.run(2)
    assert head.uploads.upload()
    assert check_ours(head.storage, head.settings, head.folder, head.store.revision()) is not None
    with pytest.raises(SettingsError, match="its state is newer"):
        check_ours(head.storage, head.settings, head.folder, head.store.revision() - 1)


def test_another_run_of_the_tag_is_refused(head: Head, settings: RunSettings) -> None:
    check_free(storage_of(head.storage.bucket.url, "y"))
    check_free(head.storage)  # nothing can go on from there yet
    assert head.uploads.upload()
    with pytest.raises(SettingsError, match="holds run x; continue it with --resume"):
        check_free(head.storage)
    with pytest.raises(SettingsError, match="another run of that tag"):
        check_ours(head.storage, settings.replace(created_at=7.0), head.folder, 0)


def test_a_damaged_backup_is_not_restored(head: Head, tmp_path: Path) -> None:
    assert head.uploads.upload()
    newest = head.storage.newest()
    assert newest is not None
    head.storage.bucket.put(newest.state, b"something else")
    with pytest.raises(StorageError, match="not what its manifest says"):
        restore(head.storage, tmp_path / "again", lambda _: None)
    assert not (tmp_path / "again" / "state.db").exists()


class Refuses(Bucket):
    """A bucket that takes files, but no manifest."""

    def create(self, name: str, content: bytes) -> bool:
        raise StorageError("no")


def test_an_upload_whose_manifest_fails_is_not_seen_and_made_again(head: Head, tmp_path: Path) -> None:
    head.run(3)
    assert head.uploads.upload()
    before = head.storage.newest()
    head.run(4)
    head.storage.bucket.__class__ = Refuses
    assert not head.uploads.upload() and head.storage.newest() == before
    head.storage.bucket.__class__ = Bucket
    assert head.uploads.upload()
    after = head.storage.newest()
    assert after is not None and before is not None and after.lineage != before.lineage
    assert head.storage.bucket.get(after.lineage)
    tip = head.board.commits()[1]
    assert head.uploads.holds(tip)


def test_credentials_reach_no_candidate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from autoresearch_ray.benchmark.sandbox.processes import clean_environment

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.setenv(name, "hunter2")
    assert os.environ["AWS_SECRET_ACCESS_KEY"] == "hunter2"
    assert "hunter2" not in clean_environment(1, tmp_path).values()
