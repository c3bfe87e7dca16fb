"""Three etcd members on loopback: the loss of one is not noticed."""

import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from etcd_server import Member, memory_folder, needs_etcd, running_cluster

from autoresearch_ray.common.errors import StoreError
from autoresearch_ray.store.contract import Compare, Event, Put
from autoresearch_ray.store.etcd.store import EtcdStore

pytestmark = needs_etcd

WRITES = 40


@pytest.fixture
def members() -> Iterator[list[Member]]:
    with memory_folder() as folder, running_cluster(folder, 3) as started:
        yield started


def url(members: list[Member]) -> str:
    return "etcd://" + ",".join(member.address for member in members)


def test_clients_go_on_over_the_loss_of_the_member_they_talk_to(members: list[Member]) -> None:
    store = EtcdStore(url(members), "run/")
    store.put("n/0", b"0")  # all talk to the first member
    start = store.revision() + 1

    def count(name: str) -> list[int]:
        mine = pickle.loads(pickle.dumps(store))
        revisions = []
        for number in range(WRITES):
            if name == "a" and number == WRITES // 4:
                members[0].process.kill()
            revisions.append(mine.put(f"n/{name}", str(number).encode()))
        return revisions

    def increment() -> None:
        done = 0
        while done < WRITES:
            seen = store.get("n/0")
            assert seen is not None
            write = Put("n/0", str(int(seen.value) + 1).encode())
            done += store.txn([Compare("n/0", "mod", "==", seen.mod_revision)], [write]).succeeded

    def follow() -> list[Event]:
        events: list[Event] = []
        while len(events) < 4 * WRITES:
            batch = store.watch("n/", events[-1].kv.mod_revision + 1 if events else start, timeout_seconds=20)
            events += batch.events
        return events

    with ThreadPoolExecutor(5) as pool:
        following = pool.submit(follow)
        incrementing = [pool.submit(increment) for _ in range(2)]
        revisions = [revision for told in pool.map(count, "ab") for revision in told]
        for done in incrementing:
            done.result()
        events = following.result()
    assert [(kv.value, kv.version) for kv in store.range("n/").kvs] == [
        (str(2 * WRITES).encode(), 2 * WRITES + 1),
        (str(WRITES - 1).encode(), WRITES),
        (str(WRITES - 1).encode(), WRITES),
    ]
    assert len(set(revisions)) == 2 * WRITES
    seen = [event.kv.mod_revision for event in events]
    assert seen == list(range(start, start + 4 * WRITES))


def test_without_a_majority_nothing_is_promised(members: list[Member]) -> None:
    store = EtcdStore(url(members), "run/", retry_seconds=3)
    store.put("a", b"1")
    for member in members[1:]:
        member.process.kill()
    with pytest.raises(StoreError, match=r"no answer .* has it a leader\?"):
        store.put("a", b"2")
