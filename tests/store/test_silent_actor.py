"""A store actor that does not answer: what Ray did with it is told."""

import os
import signal
import time
import uuid
from pathlib import Path

import pytest

from autoresearch_ray.common.errors import StoreError
from autoresearch_ray.store.actor.client import ActorStore, start_store_actor


def test_an_actor_that_is_silent_after_restarts_is_told_from_one_that_is_slow(ray_session: str, tmp_path: Path) -> None:
    store = start_store_actor(tmp_path / "state.db", f"state-{uuid.uuid4().hex}", ray_session)
    impatient = ActorStore(store._actor, retry_seconds=0.5)
    first = store.process_id()
    os.kill(first, signal.SIGSTOP)
    with pytest.raises(StoreError, match=r"revision: no answer .* within 0.5 s; is the machine very busy\?"):
        impatient.revision()
    os.kill(first, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while (second := store.process_id()) == first and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(second, signal.SIGSTOP)
    with pytest.raises(StoreError, match="Ray restarted it 1 times: where a node's memory is nearly full"):
        impatient.revision()
    os.kill(second, signal.SIGCONT)
    store.stop()
