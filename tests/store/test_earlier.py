"""What a run knows of an earlier one, on every store."""

from dataclasses import replace

from autoresearch_ray.records.history import EarlierRun, KnobScore
from autoresearch_ray.store.contract import Store
from autoresearch_ray.store.earlier import PAGE, put_earlier, read_earlier

SCORES = tuple(
    KnobScore({f"KNOB_{i}": 0.1234567 * n for i in range(20)} | {"KIND": "relu"}, 1.0 * n) for n in range(2_000)
)
EARLIER = EarlierRun("monday", {"seq_len": "32"}, 1.5, 2, 1.51, "| gain 0.1: Wider.", SCORES)


def test_two_thousand_scores_come_back_in_their_order(store: Store) -> None:
    assert read_earlier(store) is None
    put_earlier(store, EARLIER)
    assert read_earlier(store) == EARLIER
    kvs = store.range("earlier").kvs
    assert len(kvs) == 1 + len(SCORES) // PAGE and max(len(kv.value) for kv in kvs) < 500_000, "etcd takes a megabyte"


def test_what_a_killed_launch_has_left_is_replaced(store: Store) -> None:
    put_earlier(store, EARLIER)
    fewer = replace(EARLIER, scores=SCORES[: PAGE + 1], lessons="")
    put_earlier(store, fewer)
    assert read_earlier(store) == fewer
