"""Where a run's store is, and how every process of the run gets to it.

    sqlite        state.db in the run's folder, behind the state actor (the default)
    etcd://...    a real etcd cluster, under autoresearch/<tag>/; `etcd/url.py` says what the URL may hold

The rest of the system sees a `Store` and an address, a plain string that any process of the run can `connect`.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autoresearch_ray.common.errors import SettingsError, StoreError
from autoresearch_ray.common.paths import SETTINGS_FILE, STATE_FILE
from autoresearch_ray.records.history import EarlierRun, History
from autoresearch_ray.settings.run_settings import SQLITE, RunSettings
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.contract import Store
from autoresearch_ray.store.earlier import put_earlier
from autoresearch_ray.store.history import history_of, read_history, read_settings, read_state_revision
from autoresearch_ray.store.sqlite import files
from autoresearch_ray.store.sqlite.store import SqliteStore

RETRY_SECONDS = 30.0  # over a cluster's elections
FIRST_SECONDS = 5.0  # for a cluster that may not be there at all


def check_state(state: str) -> None:
    """SettingsError unless it names a store."""
    if state == SQLITE:
        return
    if not state.startswith("etcd://"):
        raise SettingsError(f"--state {state}: expected sqlite or etcd://host:2379[,host2:2379...]")
    from autoresearch_ray.store.etcd.store import parse_etcd_url

    try:
        parse_etcd_url(state)
    except StoreError as error:
        raise SettingsError(f"--state {error}") from None


def state_of(folder: Path) -> str | None:
    """Where the run of this folder keeps its state, as the folder says; None if it is no run's folder."""
    if (folder / STATE_FILE).exists():
        return SQLITE
    try:
        settings = json.loads((folder / SETTINGS_FILE).read_text())
    except (OSError, ValueError):
        return None
    state = settings.get("state", SQLITE) if isinstance(settings, dict) else None
    return state if isinstance(state, str) and state != SQLITE else None


def read_stored_settings(folder: Path, state: str) -> bytes | None:
    """The settings that the run of this folder began with, as JSON; None before it has begun."""
    if state == SQLITE:
        return read_settings(folder / STATE_FILE)  # beside a state actor that has outlived its driver, too
    return Board(_etcd(state, folder, FIRST_SECONDS)).settings()


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
    state, name = settings.state, f"state-{settings.tag}-{settings.created_at:.0f}"
    if state != SQLITE:
        etcd = _etcd(state, folder)
        if earlier is not None:
            put_earlier(etcd, earlier)
        yield etcd, f"{state}#{folder.resolve().name}"
        return
    from autoresearch_ray.store.actor.client import start_state_actor

    if not (folder / STATE_FILE).exists():
        begin(folder / STATE_FILE, settings.model_dump_json().encode(), earlier)
    store = start_state_actor(folder / STATE_FILE, name, namespace)
    try:
        yield store, f"{namespace}/{name}"
    finally:
        store.stop()


def connect(address: str) -> Store:
    """The store at an address that `serving` gave, from any process of the run."""
    state, _, tag = address.partition("#")
    if tag:
        return _etcd(state, Path(tag))
    from autoresearch_ray.store.actor.client import find_state_actor

    namespace, _, name = address.partition("/")
    return find_state_actor(name, namespace)


def read_run(folder: Path) -> History:
    """The past of the run in this folder, beside the living run or after it. SettingsError if it is no run's."""
    state = state_of(folder)
    if state is None:
        raise SettingsError(f"{folder / STATE_FILE}: does not exist; expected a run's folder such as runs/TAG")
    if state == SQLITE:
        return read_history(folder / STATE_FILE)
    return history_of(_etcd(state, folder))


def read_revision(folder: Path) -> int:
    """The revision of that run's store, by one short read. SettingsError if it is no run's."""
    state = state_of(folder)
    if state is None:
        raise SettingsError(f"{folder / STATE_FILE}: does not exist; expected a run's folder such as runs/TAG")
    if state == SQLITE:
        return read_state_revision(folder / STATE_FILE)
    return _etcd(state, folder).revision()


def _etcd(state: str, folder: Path, retry_seconds: float = RETRY_SECONDS) -> Store:
    from autoresearch_ray.store.etcd.store import EtcdStore  # for those who use it

    return EtcdStore(state, f"autoresearch/{folder.resolve().name}/", retry_seconds)
