"""The purse: nothing is spent that was not reserved, nothing is reserved beyond the limit, nothing is forgotten."""

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoresearch_ray.propose.llm.spending import CALLS, TOTAL, Spending
from autoresearch_ray.store.sqlite.store import SqliteStore

CENT = 10_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(tmp_path / "state.db") as opened:
        yield opened


def purse(store: SqliteStore, limit: float | None = 1.0) -> Spending:
    return Spending(store, limit, clock=lambda: 1_790_000_000.0)


def consistent(spending: Spending) -> bool:
    return spending.sum_spent_micros() == sum(charge.micros for charge in spending.charges().values())


def test_a_new_run_has_spent_nothing(store: SqliteStore) -> None:
    assert purse(store).sum_spent_micros() == 0 and purse(store).charges() == {}


def test_a_reservation_counts_at_once_and_a_settlement_replaces_it(store: SqliteStore) -> None:
    spending = purse(store)
    assert spending.reserve("a", "anthropic:m", 60 * CENT) == "reserved"
    assert spending.sum_spent_micros() == 60 * CENT
    charge = spending.settle("a", 12 * CENT, (1_000, 200, 100, 50))
    assert spending.sum_spent_micros() == 12 * CENT
    assert spending.charges() == {"a": charge}
    assert (charge.state, charge.who, charge.reserved_micros, charge.micros) == (
        "settled",
        "anthropic:m",
        60 * CENT,
        12 * CENT,
    )
    assert (charge.input_tokens, charge.cached_tokens, charge.written_tokens, charge.output_tokens) == (
        1_000,
        200,
        100,
        50,
    )


def test_the_limit_may_be_reached_to_the_last_millionth_and_not_exceeded(store: SqliteStore) -> None:
    spending = purse(store)
    assert spending.reserve("a", "m", 1_000_000 - 1) == "reserved"
    spending.settle("a", 1_000_000 - 1, (1, 0, 0, 1))
    assert spending.reserve("b", "m", 2) == "spent"
    assert spending.reserve("b", "m", 1) == "reserved"
    assert spending.sum_spent_micros() == 1_000_000 and set(spending.charges()) == {"a", "b"}


def test_no_room_while_calls_are_under_way_is_worth_a_wait(store: SqliteStore) -> None:
    spending = purse(store)
    spending.reserve("a", "m", 90 * CENT)
    assert spending.reserve("b", "m", 20 * CENT) == "wait"
    spending.settle("a", 10 * CENT, (1, 0, 0, 1))
    assert spending.reserve("b", "m", 20 * CENT) == "reserved"


def test_a_call_that_is_larger_than_the_whole_limit_is_refused_at_once(store: SqliteStore) -> None:
    assert purse(store).reserve("a", "m", 101 * CENT) == "spent"


def test_without_a_limit_everything_is_counted_and_nothing_refused(store: SqliteStore) -> None:
    spending = purse(store, None)
    assert spending.reserve("a", "m", 10**12) == "reserved" and spending.sum_spent_micros() == 10**12


def test_a_lost_call_stays_charged_in_full(store: SqliteStore) -> None:
    spending = purse(store)
    spending.reserve("a", "m", 70 * CENT)
    assert spending.lose("a").state == "lost" and spending.sum_spent_micros() == 70 * CENT
    assert spending.reserve("b", "m", 31 * CENT) == "spent"  # and is waited for no longer


def test_a_released_call_has_never_been(store: SqliteStore) -> None:
    spending = purse(store)
    spending.reserve("a", "m", 70 * CENT)
    spending.release("a")
    spending.release("a")
    assert spending.sum_spent_micros() == 0 and spending.charges() == {}
    assert spending.reserve("b", "m", 100 * CENT) == "reserved"


def test_settling_or_losing_twice_changes_nothing(store: SqliteStore) -> None:
    spending = purse(store)
    spending.reserve("a", "m", 50 * CENT)
    first = spending.settle("a", 20 * CENT, (1, 0, 0, 1))
    assert spending.settle("a", 5 * CENT, (9, 0, 0, 9)) == first
    assert spending.lose("a") == first and spending.sum_spent_micros() == 20 * CENT


def test_a_call_that_cost_more_than_reserved_is_told_as_it_is(store: SqliteStore) -> None:
    spending = purse(store)
    spending.reserve("a", "m", 10 * CENT)
    spending.settle("a", 11 * CENT, (1, 0, 0, 1))
    assert spending.sum_spent_micros() == 11 * CENT


@pytest.mark.parametrize("use", [Spending.lose, lambda spending, call: spending.settle(call, 1, (1, 0, 0, 1))])
def test_a_call_that_was_never_reserved_is_a_mistake(store: SqliteStore, use: object) -> None:
    assert callable(use)
    with pytest.raises(AssertionError, match="never reserved"):
        use(purse(store), "a")


def test_a_call_id_is_used_once(store: SqliteStore) -> None:
    spending = purse(store)
    spending.reserve("a", "m", CENT)
    with pytest.raises(AssertionError, match="twice"):
        spending.reserve("a", "m", CENT)
    assert spending.sum_spent_micros() == CENT


def test_what_was_open_at_a_restart_stays_charged_and_is_not_waited_for(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "state.db") as store:
        before = purse(store)
        before.reserve("settled", "m", 30 * CENT)
        before.settle("settled", 10 * CENT, (1, 0, 0, 1))
        before.reserve("open", "m", 60 * CENT)
    with SqliteStore(tmp_path / "state.db") as store:
        after = purse(store)
        assert after.sum_spent_micros() == 70 * CENT and consistent(after)
        assert {name: charge.state for name, charge in after.charges().items()} == {
            "settled": "settled",
            "open": "open",
        }
        assert after.reserve("next", "m", 31 * CENT) == "spent"
        assert after.reserve("next", "m", 30 * CENT) == "reserved"


def test_a_lower_limit_after_a_restart_lets_nothing_more_through(store: SqliteStore) -> None:
    purse(store, 1.0).reserve("a", "m", 80 * CENT)
    assert purse(store, 0.5).reserve("b", "m", 1) == "spent"


@pytest.mark.parametrize("shared", [True, False])
def test_the_limit_holds_among_sixteen_at_once(store: SqliteStore, shared: bool) -> None:
    """One purse for sixteen threads, or sixteen purses on one store: no sum that anybody sees is above the limit."""
    one = purse(store)
    too_much: list[int] = []
    reserved: list[int] = []

    def spend(number: int) -> None:
        draw, spending = random.Random(number), one if shared else purse(store)
        for turn in range(12):
            name, micros = f"{number}-{turn}", draw.randrange(1, 9 * CENT)
            if spending.reserve(name, "m", micros) != "reserved":
                continue
            reserved.append(micros)
            if (total := spending.sum_spent_micros()) > 1_000_000:
                too_much.append(total)
            ends = [
                lambda s, n, m: s.settle(n, m // 3, (1, 0, 0, 1)),
                lambda s, n, m: s.release(n),
                lambda s, n, m: s.lose(n),
            ]
            draw.choices(ends, [8, 4, 1])[0](spending, name, micros)

    threads = [threading.Thread(target=spend, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not too_much and consistent(one)
    assert len(reserved) > 40 and one.sum_spent_micros() <= 1_000_000
    assert {charge.state for charge in one.charges().values()} == {"settled", "lost"}


def test_what_is_stored_is_one_total_and_one_record_a_call(store: SqliteStore) -> None:
    spending = purse(store)
    for name in ("a", "b"):
        spending.reserve(name, "m", CENT)
    assert [kv.key for kv in store.range("").kvs] == [TOTAL, CALLS + "a", CALLS + "b"]
