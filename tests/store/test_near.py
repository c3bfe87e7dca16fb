"""The socket beside Ray: what becomes of a transaction when it leads nowhere, is lost, or stays silent."""

import asyncio
import os
import pickle
import signal
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import ray

from autoresearch_ray.common.errors import StoreError
from autoresearch_ray.store.actor.client import ActorStore, start_store_actor
from autoresearch_ray.store.actor.near import Answers, Endpoint, NearLine, serve
from autoresearch_ray.store.actor.server import StoreActor
from autoresearch_ray.store.contract import Put, Txn, TxnResult


@pytest.fixture
def actor_store(ray_session: str, tmp_path: Path) -> Iterator[ActorStore]:
    store = start_store_actor(tmp_path / "state.db", f"state-{uuid.uuid4().hex}", ray_session)
    yield store
    store.stop()


def test_a_store_s_transactions_take_the_socket(actor_store: ActorStore) -> None:
    assert actor_store.put("a", b"") == 2
    assert actor_store._near._socket is not None


def test_the_socket_carries_large_values_both_ways(actor_store: ActorStore) -> None:
    endpoint = ray.get(actor_store._actor.near.remote())
    line = NearLine(lambda: endpoint)
    for number in range(3):
        (answer,) = line.ask([Txn((), (Put("a", b"x" * 3_000_000 * number, previous=True),))], 30) or []
        assert isinstance(answer, TxnResult) and answer.revision == 2 + number
    assert isinstance(answer, TxnResult)
    (replaced,) = answer.responses[0].kvs
    assert len(replaced.value) == 3_000_000
    line.close()


def test_what_the_actor_refuses_is_refused_by_the_socket_too(actor_store: ActorStore) -> None:
    endpoint = ray.get(actor_store._actor.near.remote())
    line = NearLine(lambda: endpoint)
    ray.get(actor_store._actor.close.remote())
    with pytest.raises(StoreError, match="was stopped"):
        line.ask([Txn((), (Put("a", b""),))], 30)
    line.close()


def test_where_there_is_no_socket_there_is_no_answer_and_no_error() -> None:
    endpoints = [Endpoint("nobody listens here", b""), None]
    line = NearLine(lambda: endpoints.pop())
    for left in (1, 1):
        assert line.ask([Txn()], 30) is None
        assert len(endpoints) == left, "it is not tried again at once"
    assert NearLine(endpoints.pop).ask([Txn()], 30) is None


def test_who_does_not_know_the_secret_is_not_read_and_not_believed() -> None:
    async def answer(txns: list[Txn]) -> Answers:
        raise AssertionError(f"a stranger's {txns}")

    async def use() -> None:
        endpoint = await serve(answer)
        stranger = NearLine(lambda: replace(endpoint, secret=b"guessed"))
        assert await asyncio.to_thread(stranger.ask, [Txn()], 30) is None, "the server cannot prove itself to it"
        reader, writer = await asyncio.open_unix_connection(f"\0{endpoint.name}")
        writer.write(bytes(64) + (1 << 40).to_bytes(8, "big"))  # no proof, and the length of a message
        assert len(await reader.read()) == 64, "a challenge, a proof, and the end"
        writer.close()

    asyncio.run(use())


def test_a_connection_that_was_lost_is_made_again() -> None:
    sizes: list[int] = []

    async def answer(txns: list[Txn]) -> Answers:
        sizes.append(len(txns))
        if len(sizes) == 2:
            raise ConnectionError("no answer of a store")
        return [TxnResult(True, len(sizes), ()) for _ in txns]

    async def use() -> None:
        endpoint = await serve(answer)
        line = NearLine(lambda: endpoint)
        first, lost, again = [await asyncio.to_thread(line.ask, [Txn()] * size, 30) for size in (2, 1, 1)]
        assert (first, lost, again) == ([TxnResult(True, 1, ())] * 2, None, [TxnResult(True, 3, ())])
        await asyncio.to_thread(line.close)
        await asyncio.sleep(0.1)

    asyncio.run(use())


def test_a_silent_actor_is_an_error_and_its_late_answer_is_nobody_else_s(actor_store: ActorStore) -> None:
    hasty = ActorStore(actor_store._actor, retry_seconds=2)
    assert hasty.put("a", b"") == 2
    process = actor_store.process_id()
    os.kill(process, signal.SIGSTOP)
    try:
        with pytest.raises(StoreError, match="no answer from the store actor within 2 s"):
            hasty.put("late", b"")
    finally:
        os.kill(process, signal.SIGCONT)
    deadline = time.monotonic() + 30
    while actor_store.get("late") is None and time.monotonic() < deadline:
        time.sleep(0.05)
    patient = ActorStore(actor_store._actor)
    assert patient.put("b", b"") == 4, "the late one was carried out, once"
    patient._near.close()


def test_an_actor_that_an_older_version_started_is_found_by_the_names_of_then() -> None:
    then = {"server\nStateActor": StoreActor, "near\nPlace": Endpoint}
    assert {name: pickle.loads(f"cautoresearch_ray.store.actor.{name}\n.".encode()) for name in then} == then
