"""A disk that is full, and files and folders that are read-only: an error to the caller, and nothing is spoilt.

Full is a small disk of its own (which only root can mount), and a limit on the size of files (which anybody can set).
"""

import os
import resource
import subprocess
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from autoresearch_ray.common.errors import StoreError
from autoresearch_ray.store.actor.client import start_store_actor
from autoresearch_ray.store.connect import begin, read_stored_settings
from autoresearch_ray.store.contract import Put, Store
from autoresearch_ray.store.history import read_history
from autoresearch_ray.store.sqlite.store import SqliteStore

VALUE = b"x" * 50_000


class SmallDisk:
    """A disk of 2 MB in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        mount("-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder))

    def fill(self, process: int) -> None:
        with (self.folder / "ballast").open("wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(4096))
            except OSError:
                pass

    def make_room(self, process: int) -> None:
        (self.folder / "ballast").unlink()

    def remove(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


class SizeLimit:
    """No file may grow any more."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self, process: int) -> None:
        sizes = [path.stat().st_size for path in self.folder.glob("state.db*")]
        resource.prlimit(process, resource.RLIMIT_FSIZE, (max([*sizes, 10_000]), self._before[1]))

    def make_room(self, process: int) -> None:
        resource.prlimit(process, resource.RLIMIT_FSIZE, self._before)

    def remove(self) -> None:
        self.make_room(os.getpid())


def mount(*arguments: str) -> None:
    if os.geteuid():
        pytest.skip("only root can mount")
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")


@pytest.fixture(params=[SmallDisk, SizeLimit])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallDisk | SizeLimit]:
    folder = tmp_path / "disk"
    folder.mkdir()
    made = request.param(folder)
    yield made
    made.remove()


Opened = tuple[Store, int]  # a store and the process that has its file open


@pytest.fixture(params=["sqlite", "actor"])
def open_store(request: pytest.FixtureRequest) -> Iterator[Callable[[Path], Opened]]:
    """Opens stores and closes them."""
    closes: list[Callable[[], None]] = []

    def opened(path: Path) -> Opened:
        if request.param == "sqlite":
            plain = SqliteStore(path)
            closes.append(plain.close)
            return plain, os.getpid()
        actor = start_store_actor(path, f"state-{uuid.uuid4().hex}", request.getfixturevalue("ray_session"))
        closes.append(actor.stop)
        return actor, actor.process_id()

    yield opened
    for close in closes:
        close()


def written(store: Store, key: str) -> int | None:
    """The revision of a write, or None if the store refused it."""
    try:
        return store.txn([], [Put(key, VALUE)]).revision
    except StoreError as error:
        assert "Look at disk space and rights" in str(error)
        return None


def test_a_full_disk_refuses_some_writes_loses_none_and_the_same_store_goes_on(
    disk: SmallDisk | SizeLimit, open_store: Callable[[Path], Opened]
) -> None:
    path = disk.folder / "state.db"
    store, process = open_store(path)
    store.put("first", VALUE)
    disk.fill(process)
    keys = [f"k/{number}" for number in range(40)]
    with ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(lambda key: written(store, key), keys))
    told = {key: revision for key, revision in zip(keys, answers, strict=True) if revision}
    assert None in answers
    assert {kv.key: kv.mod_revision for kv in store.range("k/").kvs} == told
    disk.make_room(process)
    assert store.put("last", VALUE) == 3 + len(told)
    before = store.range("")
    assert len(before.kvs) == 2 + len(told)
    store.backup(path.with_name("copy.db"))
    with SqliteStore(path.with_name("copy.db")) as copy:
        assert copy.range("") == before


def test_a_backup_that_does_not_fit_is_an_error_and_leaves_nothing_behind(
    disk: SmallDisk | SizeLimit, open_store: Callable[[Path], Opened], tmp_path: Path
) -> None:
    store, process = open_store(tmp_path / "state.db")
    for number in range(60):
        store.put(f"k/{number}", VALUE)
    disk.fill(process)
    with pytest.raises(StoreError, match=r"backup\.db: .*disk space"):
        store.backup(disk.folder / "backup.db")
    assert not list(disk.folder.glob("backup*"))
    disk.make_room(process)
    store.backup(disk.folder.parent / "backup.db")
    with SqliteStore(disk.folder.parent / "backup.db") as copy:
        assert copy.range("") == store.range("")


def test_a_store_that_cannot_be_made_on_a_full_disk_can_be_when_there_is_room(disk: SmallDisk | SizeLimit) -> None:
    disk.fill(os.getpid())
    with pytest.raises(StoreError, match=r"state\.db: .*disk space"):
        SqliteStore(disk.folder / "state.db")
    disk.make_room(os.getpid())
    with SqliteStore(disk.folder / "state.db") as store:
        assert store.put("a", b"1") == 2


@contextmanager
def sealed(path: Path) -> Iterator[None]:
    """A file or folder that nobody can write, root neither."""
    if os.geteuid() == 0:
        mount("--bind", str(path), str(path))
        mount("-o", "remount,bind,ro", str(path))
        try:
            yield
        finally:
            subprocess.run(["umount", "--lazy", str(path)], check=True)
    else:
        mode = path.stat().st_mode
        path.chmod(mode & ~0o222)
        try:
            yield
        finally:
            path.chmod(mode)


@pytest.mark.parametrize("what", ["state.db", "."])
def test_a_read_only_file_or_folder_is_said_at_once_and_nothing_is_spoilt(
    what: str, open_store: Callable[[Path], Opened], tmp_path: Path
) -> None:
    path = tmp_path / "run" / "state.db"
    path.parent.mkdir()
    with SqliteStore(path) as store:
        store.put("a", b"1")
    content = path.read_bytes()
    with sealed(path.parent / what), pytest.raises(StoreError, match=r"state\.db.*Look at disk space and rights"):
        open_store(path)
    assert path.read_bytes() == content
    opened, _ = open_store(path)
    assert opened.put("a", b"2") == 3


def test_a_store_cannot_be_made_in_a_read_only_folder(open_store: Callable[[Path], Opened], tmp_path: Path) -> None:
    with sealed(tmp_path), pytest.raises(StoreError, match=r"state\.db.*Look at disk space and rights"):
        open_store(tmp_path / "state.db")


def test_a_run_in_a_read_only_folder_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "run" / "state.db"
    path.parent.mkdir()
    begin(path, b'{"tag": "x"}')
    with sealed(path.parent):
        assert read_stored_settings(path.parent, "sqlite") == b'{"tag": "x"}'
        assert read_history(path).settings == {"tag": "x"}
    assert [beside.name for beside in path.parent.iterdir()] == ["state.db"]
