"""Every store that keeps the contract, as one fixture."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from etcd_server import memory_folder, needs_etcd, running_etcd, wipe

from autoresearch_ray.store.contract import Store
from autoresearch_ray.store.etcd.store import EtcdStore
from autoresearch_ray.store.sqlite.store import SqliteStore

FILES = ["sqlite", "actor"]


@pytest.fixture(scope="session")
def etcd_address() -> Iterator[str]:
    """One etcd server for all tests of this process; each test has its own prefix there."""
    with memory_folder() as folder, running_etcd(folder) as member:
        yield member.address


@pytest.fixture(params=[*FILES, pytest.param("etcd", marks=needs_etcd)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Every kind of store, empty. Tests compare revisions with `store.revision()`, for etcd's are its cluster's."""
    yield from _store(request, tmp_path)


@pytest.fixture(params=FILES)
def file_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """The kinds of store that are a file."""
    yield from _store(request, tmp_path)


def _store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    path = tmp_path / "state.db"
    if request.param == "sqlite":
        with SqliteStore(path) as sqlite_store:
            yield sqlite_store
    elif request.param == "actor":
        from autoresearch_ray.store.actor.client import start_store_actor

        namespace = request.getfixturevalue("ray_session")
        actor_store = start_store_actor(path, f"state-{uuid.uuid4().hex}", namespace)
        yield actor_store
        actor_store.stop()
    else:
        address, prefix = request.getfixturevalue("etcd_address"), f"tests/{uuid.uuid4().hex}/"
        yield EtcdStore(f"etcd://{address}", prefix)
        wipe(address, prefix)
