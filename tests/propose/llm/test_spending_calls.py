"""Real calls, paid: what each outcome costs, and that the limit holds whatever happens at once."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import pytest
from wire import Drop, Fail, Protocol, Reply, Say, Script, WireServer
from wire_client import MODEL, PATIENT, PROMPT, outcome, with_provider

from autoresearch_ray.common.errors import ProviderRefusedError, RateLimitedError, SettingsError
from autoresearch_ray.propose.llm.calls import Answer, Ask
from autoresearch_ray.propose.llm.metered import Call, Metered
from autoresearch_ray.propose.llm.prices import FREE, Price, price
from autoresearch_ray.propose.llm.providers.provider import Provider
from autoresearch_ray.propose.llm.providers.retry import Retrying
from autoresearch_ray.propose.llm.providers.watch import Patience
from autoresearch_ray.propose.llm.spending import Spending
from autoresearch_ray.store.contract import Compare, Op, TxnResult
from autoresearch_ray.store.sqlite.store import SqliteStore

RATES = price("3", "0.30", "15", "3.75")
MOST = RATES.most_micros(PROMPT)
SAID = Say("an answer", input_tokens=700, cached_tokens=300, output_tokens=90)
SAID_MICROS = 400 * 3 + 90 + 90 * 15
SHORT = Patience(first_seconds=0.4, stall_seconds=0.4, call_seconds=60)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(tmp_path / "state.db") as opened:
        yield opened


def paid(
    protocol: Protocol,
    script: Script,
    spending: Spending,
    use: Callable[[Metered], Awaitable[object]],
    rates: Price | None = RATES,
    told: list[Call] | None = None,
    patience: Patience = PATIENT,
) -> int:
    """Use a metered provider; returns how many requests reached the server."""

    async def run(provider: Provider) -> None:
        on_call = None if told is None else told.append
        await use(Metered(provider, provider.who, rates, spending, on_call, sleep=lambda _: asyncio.sleep(0.01)))

    with WireServer(protocol, script) as server:
        with_provider(server, run, patience)
        return len(server.requests)


def once(ask: Ask) -> Awaitable[object]:
    return outcome(ask(PROMPT))


def test_a_call_costs_what_the_provider_counted(protocol: Protocol, store: SqliteStore) -> None:
    spending = Spending(store)
    paid(protocol, [SAID], spending, once)
    (charge,) = spending.charges().values()
    assert spending.sum_spent_micros() == charge.micros == SAID_MICROS
    assert (charge.who, charge.state, charge.reserved_micros) == (f"{protocol}:{MODEL}", "settled", MOST)
    assert (charge.input_tokens, charge.cached_tokens, charge.output_tokens) == (700, 300, 90)


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_tokens_written_to_the_cache_cost_more(provider: Protocol, store: SqliteStore) -> None:
    spending = Spending(store)
    paid(provider, [Say(input_tokens=1_000, written_tokens=800, output_tokens=10)], spending, once)
    assert spending.sum_spent_micros() == 200 * 3 + 800 * 3.75 + 150


@pytest.mark.parametrize("reply", [Fail(429), Fail(500), Fail(401), Fail(404)])
def test_a_refusal_before_any_work_costs_nothing(protocol: Protocol, reply: Reply, store: SqliteStore) -> None:
    spending = Spending(store)
    paid(protocol, [reply], spending, once)
    assert spending.sum_spent_micros() == 0 and len(spending.charges()) == 1


@pytest.mark.parametrize("end", ["stall", "reset", "cut", "half", "error"])
def test_an_answer_that_is_lost_costs_all_that_was_reserved(protocol: Protocol, end: str, store: SqliteStore) -> None:
    spending = Spending(store)
    patience = SHORT if end == "stall" else PATIENT
    paid(protocol, [Say("a beginning", end=end)], spending, once, patience=patience)  # type: ignore[arg-type]
    assert spending.sum_spent_micros() == MOST
    assert [charge.state for charge in spending.charges().values()] == ["lost"]


def test_an_empty_answer_costs_what_was_counted(protocol: Protocol, store: SqliteStore) -> None:
    spending = Spending(store)
    paid(protocol, [Say("", input_tokens=100, output_tokens=7)], spending, once)
    assert spending.sum_spent_micros() == 100 * 3 + 7 * 15


def test_a_priced_answer_that_nobody_counted_costs_all_that_was_reserved(store: SqliteStore) -> None:
    spending = Spending(store)
    paid("openai", [Say("an answer", usage=False)], spending, once)
    assert spending.sum_spent_micros() == MOST


def test_a_free_answer_that_nobody_counted_keeps_its_estimate(store: SqliteStore) -> None:
    spending = Spending(store, 0.01)
    paid("openai", [Say("x" * 400, usage=False)], spending, once, FREE)
    (charge,) = spending.charges().values()
    assert (charge.state, charge.micros, charge.output_tokens) == ("settled", 0, 100)


def test_a_model_without_price_has_its_tokens_counted_alone(store: SqliteStore) -> None:
    spending = Spending(store)
    paid("openai", [SAID], spending, once, None)
    (charge,) = spending.charges().values()
    assert (charge.priced, charge.micros, charge.input_tokens, charge.output_tokens) == (False, 0, 700, 90)


def test_a_limit_that_could_not_be_held_is_refused_beforehand(store: SqliteStore) -> None:
    with pytest.raises(SettingsError, match=r"--max-cost-usd \$5.00: the price of openai:new is not known"):
        Metered(once, "openai:new", None, Spending(store, 5.0))  # type: ignore[arg-type]  # never called


def test_without_room_nothing_is_sent_and_one_line_says_why(protocol: Protocol, store: SqliteStore) -> None:
    results: list[object] = []

    async def calls(ask: Metered) -> None:
        for _ in range(4):
            results.append(await outcome(ask(PROMPT)))

    limit = (2 * SAID_MICROS + MOST - 1) / 1_000_000  # room for two and not quite a third
    spending = Spending(store, limit)
    assert paid(protocol, [SAID], spending, calls) == 2
    assert [type(result) for result in results] == [Answer] * 2 + [ProviderRefusedError] * 2
    assert "--max-cost-usd" in str(results[2]) and "leaves no room" in str(results[2])
    assert spending.sum_spent_micros() == 2 * SAID_MICROS


def test_sixteen_at_once_wait_for_one_another_and_never_exceed_the_limit(
    protocol: Protocol, store: SqliteStore
) -> None:
    """Room for three reservations at a time: all that can be paid is paid, and not a millionth more."""
    spending = Spending(store, 3 * MOST / 1_000_000)
    seen: list[int] = []

    def script(request: object) -> Reply:
        seen.append(spending.sum_spent_micros())
        return SAID

    async def sixteen(ask: Metered) -> None:
        async def until_spent() -> None:
            while isinstance(await outcome(ask(PROMPT)), Answer):
                pass

        await asyncio.gather(*(until_spent() for _ in range(16)))

    sent = paid(protocol, script, spending, sixteen)
    assert max(seen) <= 3 * MOST
    assert spending.sum_spent_micros() == sent * SAID_MICROS  # what it really cost
    assert 2 * MOST < spending.sum_spent_micros() <= 3 * MOST  # and as much of it as leaves no room for another


def test_calls_for_which_there_is_no_room_yet_wait_until_there_is(protocol: Protocol, store: SqliteStore) -> None:
    results: list[object] = []

    async def four(ask: Metered) -> None:
        results.extend(await asyncio.gather(*(outcome(ask(PROMPT)) for _ in range(4))))

    assert paid(protocol, [SAID], Spending(store, (MOST + 3 * SAID_MICROS) / 1_000_000), four) == 4
    assert [type(result) for result in results] == [Answer] * 4


def test_each_attempt_is_paid_and_told_by_itself(protocol: Protocol, store: SqliteStore) -> None:
    spending, told = Spending(store), list[Call]()

    async def retried(ask: Metered) -> None:
        await Retrying(ask, sleep=lambda _: asyncio.sleep(0))(PROMPT)

    script: Sequence[Reply] = [Fail(429), Drop(), Say("", input_tokens=10, output_tokens=1), SAID]
    assert paid(protocol, script, spending, retried, told=told) == 4
    assert [call.charge.micros for call in told] == [0, MOST, 45, SAID_MICROS]
    assert [type(call.error or call.answer).__name__ for call in told] == [
        "RateLimitedError",
        "OverloadedError",
        "BadAnswerError",
        "Answer",
    ]
    assert {call.call_id: call.charge for call in told} == spending.charges()
    assert all(call.prompt is PROMPT for call in told)
    assert isinstance(told[0].error, RateLimitedError)


def test_a_cancelled_call_stays_charged_and_is_waited_for_no_longer(protocol: Protocol, store: SqliteStore) -> None:
    spending = Spending(store, 1.5 * MOST / 1_000_000)

    async def cancel(ask: Metered) -> None:
        task = asyncio.ensure_future(ask(PROMPT))
        while not sent:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert isinstance(await outcome(ask(PROMPT)), ProviderRefusedError)

    sent: list[object] = []

    def script(request: object) -> Reply:
        sent.append(request)
        return Say("a beginning", end="stall")

    assert paid(protocol, script, spending, cancel) == 1
    assert spending.sum_spent_micros() == MOST
    assert [charge.state for charge in spending.charges().values()] == ["open"]


class Held(SqliteStore):
    """A store whose transactions wait until they are let through."""

    through = threading.Event()
    begun = threading.Event()

    def txn(
        self, compare: Sequence[Compare], success: Sequence[Op], failure: Sequence[Op] = (), request_id: str = ""
    ) -> TxnResult:
        self.begun.set()
        self.through.wait(30)
        return super().txn(compare, success, failure, request_id)


def test_a_call_that_is_cancelled_before_it_is_sent_costs_nothing(tmp_path: Path) -> None:
    async def cancel(ask: Metered) -> None:
        task = asyncio.ensure_future(ask(PROMPT))
        while not Held.begun.is_set():
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0.05)
        Held.through.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    with Held(tmp_path / "state.db") as store:
        spending = Spending(store, 1.0)
        assert paid("openai", [SAID], spending, cancel) == 0
        assert spending.sum_spent_micros() == 0 and spending.charges() == {}
