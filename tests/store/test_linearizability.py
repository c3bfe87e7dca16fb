"""The checker accepts what a store may answer, and refuses what it may not."""

import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from history_model import outcomes
from linearizability import Operation, UndecidedError, parts, revision_violation, violation

from autoresearch_ray.store.contract import (
    Compare,
    CompareOp,
    Delete,
    Found,
    Get,
    KeyValue,
    Op,
    Put,
    Range,
    Txn,
    TxnResult,
)
from autoresearch_ray.store.sqlite.store import SqliteStore

MISSING = TxnResult(True, 0, (Found((), 0, 0),))


def put(value: bytes, called: float, returned: float = math.inf, revision: int = 0) -> Operation:
    answer = TxnResult(True, revision, (Found((), 0, revision),)) if revision else None
    return Operation("w", Txn(success=(Put("a", value),)), called, returned, answer)


def read(value: bytes, revision: int, version: int, called: float, returned: float, created: int = 2) -> Operation:
    kv = KeyValue("a", value, created, revision, version)
    return Operation("r", Txn(success=(Get("a"),)), called, returned, TxnResult(True, 0, (Found((kv,), 1, 0),)))


def swap(expected: int, value: bytes, called: float, returned: float, revision: int) -> Operation:
    """A compare-and-swap that succeeded."""
    txn = Txn((Compare("a", "mod", "==", expected),), (Put("a", value),))
    return Operation("s", txn, called, returned, TxnResult(True, revision, (Found((), 0, revision),)))


def test_reads_beside_a_write_may_see_the_old_or_the_new_value() -> None:
    first, second = put(b"1", 0, 1, 2), put(b"2", 2, 9, 3)
    old, new = read(b"1", 2, 1, 3, 4), read(b"2", 3, 2, 5, 6)
    assert violation([first, second, old, new], outcomes) is None
    assert violation([first, second, replace(old, called=6.5, returned=7), new], outcomes) is not None


def test_a_stale_read_is_refused() -> None:
    history = [put(b"1", 0, 1, 2), put(b"2", 2, 3, 3), read(b"1", 2, 1, 4, 5)]
    assert "none of these comes next" in (violation(history, outcomes) or "")


def test_a_lost_update_is_refused() -> None:
    start = put(b"0", 0, 1, 2)
    assert violation([start, swap(2, b"a", 2, 9, 3), swap(3, b"b", 2, 9, 4)], outcomes) is None
    assert violation([start, swap(2, b"a", 2, 9, 3), swap(2, b"b", 2, 9, 4)], outcomes) is not None


def test_an_acknowledged_write_that_is_gone_is_refused() -> None:
    nothing = Operation("r", Txn(success=(Get("a"),)), 2, 3, MISSING)
    assert violation([put(b"1", 0, 1, 2), nothing], outcomes) is not None
    assert violation([put(b"1", 0, 2.5, 2), nothing], outcomes) is None


def test_a_write_that_was_applied_twice_is_refused() -> None:
    assert violation([put(b"1", 0, 1, 2), read(b"1", 3, 2, 2, 3)], outcomes) is not None
    between = [read(b"2", 3, 2, 4, 5), read(b"1", 4, 3, 6, 7)]
    assert violation([put(b"1", 0, 3, 2), put(b"2", 0, 3, 3), *between], outcomes) is not None


def test_a_value_that_was_never_written_is_refused() -> None:
    assert violation([put(b"1", 0, 1, 2), read(b"x", 2, 1, 2, 3)], outcomes) is not None


def test_a_write_without_answer_may_have_happened_late_or_never_but_once() -> None:
    start, lost = put(b"1", 0, 1, 2), put(b"2", 2)
    old, new = read(b"1", 2, 1, 5, 6), read(b"2", 3, 2, 7, 8)
    assert violation([start, lost, old], outcomes) is None
    assert violation([start, lost, old, new], outcomes) is None
    assert violation([start, lost, new, replace(old, called=9, returned=10)], outcomes) is not None
    assert violation([start, replace(lost, called=9), new], outcomes) is not None


def test_the_revision_of_a_write_without_answer_is_what_its_readers_say_and_one() -> None:
    start, lost = put(b"1", 0, 1, 2), put(b"2", 2)
    assert violation([start, lost, read(b"2", 7, 2, 3, 4), swap(7, b"3", 5, 6, 8)], outcomes) is None
    assert violation([start, lost, read(b"2", 7, 2, 3, 4), swap(6, b"3", 5, 6, 8)], outcomes) is not None
    assert violation([start, lost, read(b"2", 7, 2, 3, 4), read(b"2", 8, 2, 5, 6)], outcomes) is not None


def test_a_compare_that_failed_for_no_reason_is_refused() -> None:
    txn = Txn((Compare("a", "mod", "==", 2),), (Put("a", b"x"),))
    failed = Operation("s", txn, 2, 3, TxnResult(False, 2, ()))
    assert violation([put(b"1", 0, 1, 2), failed], outcomes) is not None
    assert violation([put(b"1", 0, 1, 2), put(b"2", 2), failed], outcomes) is None


def claim(task: str, called: float, returned: float, revision: int) -> Operation:
    txn = Txn((Compare(f"queue/{task}", "version", ">", 0),), (Delete(f"queue/{task}"), Put(f"trial/{task}", b"")))
    return Operation(
        "c", txn, called, returned, TxnResult(True, revision, (Found((), 1, revision), Found((), 0, revision)))
    )


def test_a_task_that_was_claimed_twice_is_refused() -> None:
    queued = Operation("q", Txn(success=(Put("queue/1", b""),)), 0, 1, TxnResult(True, 2, (Found((), 0, 2),)))
    assert violation([queued, claim("1", 2, 3, 3)], outcomes) is None
    assert violation([queued, claim("1", 2, 3, 3), claim("1", 2, 3, 4)], outcomes) is not None


def test_keys_that_no_operation_joins_are_checked_apart() -> None:
    def touching(*ops: Op) -> Operation:
        return Operation("c", Txn(success=ops), 0)

    one, two, three = touching(Put("a/1", b"")), touching(Put("a/2", b"")), touching(Put("b", b""))
    read_of_a = replace(touching(Range("a/")), answer=MISSING)
    assert parts([one, two, three]) == [[one], [two], [three]]
    assert parts([one, two, three, read_of_a]) == [[one, two, read_of_a], [three]]
    assert parts([one, three, touching(Put("a/1", b""), Delete("b"))])[1:] == []


def test_revisions_that_run_backwards_are_refused() -> None:
    first, second = put(b"1", 0, 1, 3), put(b"2", 2, 3, 2)
    assert "revision 3 was told before" in (revision_violation([first, second]) or "")
    assert revision_violation([first, replace(second, called=0.5)]) is None
    assert "one revision of two writes" in (revision_violation([put(b"1", 0, 5, 3), put(b"2", 0, 5, 3)]) or "")


def random_txn(rng: random.Random, number: int) -> Txn:
    value, key = f"v{number}".encode(), rng.choice("abc")
    relations: list[CompareOp] = ["<", "==", ">"]
    compare = rng.choice([(), (Compare(key, "version", rng.choice(relations), rng.randrange(4)),)])
    choices: list[Sequence[Op]] = [
        [Put(key, value)],
        [Put(key, value), Get("d")],
        [Put(key, value), Put("d", value, previous=True)],
        [Delete(key), Range("")],
        [Get(key)],
        [Range("", limit=2)],
    ]
    return Txn(compare, tuple(rng.choice(choices)), (Get(key),))


def recorded(rng: random.Random, path: Path, length: int, lost: float = 0.1) -> list[Operation]:
    """A right history: a real store's answers, one after another, but calls and returns that overlap."""
    history = []
    with SqliteStore(path) as store:
        for number in range(length):
            txn = random_txn(rng, number)
            happened, heard = rng.random() > lost / 2, rng.random() > lost
            answer = store.txn(txn.compare, txn.success, txn.failure) if happened else None
            called, returned = number - rng.expovariate(0.3), number + rng.expovariate(0.3)
            operation = Operation("c", txn, called, returned, answer)
            history.append(operation if happened and heard else Operation("c", txn, called))
        found = store.range("")
    end = max(length, *(o.returned for o in history if o.answer)) + 1
    last = Operation("c", Txn(success=(Range(""),)), end, end, TxnResult(True, found.revision, (found,)))
    return [*history, last]


@pytest.mark.parametrize("seed", range(5))
def test_what_a_real_store_answered_is_accepted_though_calls_overlap_and_answers_are_lost(
    tmp_path: Path, seed: int
) -> None:
    history = recorded(random.Random(seed), tmp_path / "state.db", length=150)
    assert violation(history, outcomes) is None
    assert revision_violation(history) is None


@pytest.mark.parametrize("seed", range(5))
def test_one_stale_read_among_a_thousand_answers_is_refused(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    history = recorded(rng, tmp_path / "state.db", length=1_000, lost=0)
    reads = [place for place, o in enumerate(history) if isinstance(o.txn.success[0], Range) and o.answer]
    place = rng.choice(reads[len(reads) // 2 :])
    before = next(o for o in history if o.txn == history[place].txn and o.answer != history[place].answer)
    assert violation(history, outcomes) is None
    history[place] = replace(history[place], answer=before.answer)
    assert violation(history, outcomes) is not None


def explained(history: Sequence[Operation]) -> bool:
    """The definition itself: all orders of all subsets of what has no answer."""
    answered = [o for o in history if o.answer]
    unanswered = [o for o in history if not o.answer]
    for count in range(len(unanswered) + 1):
        for happened in itertools.combinations(unanswered, count):
            if any(fits(order) for order in itertools.permutations([*answered, *happened])):
                return True
    return False


def fits(order: Sequence[Operation]) -> bool:
    for place, operation in enumerate(order):
        if any(later.returned < operation.called for later in order[place:]):
            return False
    states: list[dict[str, KeyValue]] = [{}]
    for operation in order:
        states = [
            {key: kv for key, kv in {**state, **changes}.items() if kv}
            for state in states
            for changes in outcomes(state, operation)
        ]
    return bool(states)


def test_the_search_agrees_with_the_definition_on_small_histories_right_and_wrong(tmp_path: Path) -> None:
    verdicts = []
    for seed in range(150):
        rng = random.Random(seed)
        history = recorded(rng, tmp_path / f"{seed}.db", length=4)
        answered = [o for o in history if o.answer]
        if rng.random() < 0.7 and len(answered) > 1:  # one answer is another's, or one moment
            one, other = rng.sample(answered, 2)
            spoilt = replace(one, answer=other.answer) if one.txn == other.txn else replace(one, returned=one.called)
            history[history.index(one)] = spoilt
        verdicts.append(violation(history, outcomes) is None)
        assert verdicts[-1] is explained(history), f"seed {seed}: {history}"
    assert set(verdicts) == {True, False}


def test_a_search_that_would_not_end_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("linearizability.MOST_CONFIGURATIONS", 1_000)
    lost = [replace(put(str(number).encode(), 0), client=str(number)) for number in range(20)]
    with pytest.raises(UndecidedError, match="configurations met"):
        violation([*lost, read(b"never", 2, 1, 1, 2)], outcomes)
