"""Every store that keeps the contract, as one fixture."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoresearch_ray.state.sqlite import SqliteStore
from autoresearch_ray.state.store import Store


@pytest.fixture(params=["sqlite", "actor"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    path = tmp_path / "state.db"
    if request.param == "sqlite":
        with SqliteStore(path) as sqlite_store:
            yield sqlite_store
    else:
        from autoresearch_ray.state.actor import start_state_actor

        namespace = request.getfixturevalue("ray_session")
        actor_store = start_state_actor(path, f"state-{uuid.uuid4().hex}", namespace)
        yield actor_store
        actor_store.stop()
