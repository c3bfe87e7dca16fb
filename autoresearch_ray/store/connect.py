"""Where a run's store is, and how every process of the run gets to it.

    sqlite        state.db in the run's folder, behind the store actor (the default)
    etcd://...    a real etcd cluster, under autoresearch/<tag>/; `etcd/url.py` says what the URL may hold

The rest of the system sees a `Store` and an address, a plain string that any process of the run can `connect`.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autoresearch_ray.common.errors import SettingsError, StoreError
from autoresearch_ray.common.paths import SETTINGS_FILE, STORE_FILE
from autoresearch_ray.records.history import EarlierRun, History
from autoresearch_ray.settings.run_settings import SQLITE, RunSettings
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.contract import Store
from autoresearch_ray.store.earlier import put_earlier
from autoresearch_ray.store.history import history_of, read_file_revision, read_history, read_settings
from autoresearch_ray.store.sqlite import files
from autoresearch_ray.store.sqlite.store import SqliteStore

RETRY_SECONDS = 30.0  # over a cluster's elections
FIRST_SECONDS = 5.0  # for a cluster that may not be there at all


def check_location(location: str) -> None:
    """SettingsError unless it names a store."""
    if location == SQLITE:
        return
    if not location.startswith("etcd://"):
        raise SettingsError(f"--state {location}: expected sqlite or etcd://host:2379[,host2:2379...]")
    from autoresearch_ray.store.etcd.store import parse_etcd_url

    try:
        parse_etcd_url(location)
    except StoreError as error:
        raise SettingsError(f"--state {error}") from None


def locate_store(folder: Path) -> str | None:
    """Where the run of this folder keeps its store, as the folder says; None if it is no run's folder."""
    if (folder / STORE_FILE).exists():
        return SQLITE
    try:
        settings = json.loads((folder / SETTINGS_FILE).read_text())
    except (OSError, ValueError):
        return None
    location = settings.get("state", SQLITE) if isinstance(settings, dict) else None
    return location if isinstance(location, str) and location != SQLITE else None


def read_stored_settings(folder: Path, location: str) -> bytes | None:
    """The settings that the run of this folder began with, as JSON; None before it has begun."""
    if location == SQLITE:
        return read_settings(folder / STORE_FILE)  # beside a store actor that has outlived its driver, too
    return Board(_etcd(location, folder, FIRST_SECONDS)).settings()


def begin(path: Path, settings: bytes, earlier: EarlierRun | None = None) -> None:
    """A run's store in a file that appears with its settings in it: one that is there can be resumed. No Ray.

    What the run knows of an earlier one is there from the beginning, too.
    """
    with tempfile.TemporaryDirectory() as scratch, SqliteStore(Path(scratch) / path.name) as store:
        if earlier is not None:
            put_earlier(store, earlier)
        Board(store).put_settings(settings)
        files.copy(store.path, path)


@contextmanager
def serving(
    folder: Path, settings: RunSettings, namespace: str, earlier: EarlierRun | None = None
) -> Iterator[tuple[Store, str]]:
    """The run's store for all its processes, and its address; what was started for it is stopped at the end.

    In the store of a new run stands what it knows of an `earlier` one, before its settings do.
    """
    location, name = settings.state, f"state-{settings.tag}-{settings.created_at:.0f}"
    if location != SQLITE:
        etcd = _etcd(location, folder)
        if earlier is not None:
            put_earlier(etcd, earlier)
        yield etcd, f"{location}#{folder.resolve().name}"
        return
    from autoresearch_ray.store.actor.client import start_store_actor

    if not (folder / STORE_FILE).exists():
        begin(folder / STORE_FILE, settings.model_dump_json().encode(), earlier)
    store = start_store_actor(folder / STORE_FILE, name, namespace)
    try:
        yield store, f"{namespace}/{name}"
    finally:
        store.stop()


def connect(address: str) -> Store:
    """The store at an address that `serving` gave, from any process of the run."""
    location, _, tag = address.partition("#")
    if tag:
        return _etcd(location, Path(tag))
    from autoresearch_ray.store.actor.client import find_store_actor

    namespace, _, name = address.partition("/")
    return find_store_actor(name, namespace)


def read_run(folder: Path) -> History:
    """The past of the run in this folder, beside the living run or after it. SettingsError if it is no run's."""
    location = locate_store(folder)
    if location is None:
        raise SettingsError(f"{folder / STORE_FILE}: does not exist; expected a run's folder such as runs/TAG")
    if location == SQLITE:
        return read_history(folder / STORE_FILE)
    return history_of(_etcd(location, folder))


def read_revision(folder: Path) -> int:
    """The revision of that run's store, by one short read. SettingsError if it is no run's."""
    location = locate_store(folder)
    if location is None:
        raise SettingsError(f"{folder / STORE_FILE}: does not exist; expected a run's folder such as runs/TAG")
    if location == SQLITE:
        return read_file_revision(folder / STORE_FILE)
    return _etcd(location, folder).revision()


def _etcd(location: str, folder: Path, retry_seconds: float = RETRY_SECONDS) -> Store:
    from autoresearch_ray.store.etcd.store import EtcdStore  # for those who use it

    return EtcdStore(location, f"autoresearch/{folder.resolve().name}/", retry_seconds)
