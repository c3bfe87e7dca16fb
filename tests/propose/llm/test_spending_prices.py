"""Prices: the right one for a model, none rather than a guess, and a bound that no call exceeds."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_client import PROMPT

from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.driver.new_run import new_run
from autoresearch_ray.propose.llm.calls import Message, Prompt
from autoresearch_ray.propose.llm.prices import FREE, Price, find_price, price
from autoresearch_ray.propose.llm.spending import to_micros
from autoresearch_ray.records.proposers import dollars
from autoresearch_ray.search.models.access import price_of
from autoresearch_ray.settings.request import ask

SONNET = replace(price("3", "0.30", "15", "3.75"), long_tokens=200_000)
READ = {  # on the providers' pages of 2026-10-07 to 2026-11-06: input, cached, output, written
    ("anthropic", "claude-opus-5-5"): ("4", "0.20", "20", "5"),
    ("anthropic", "claude-sonnet-5-5"): ("2", "0.10", "10", "2.50"),
    ("anthropic", "claude-haiku-5-5"): ("0.10", "0.01", "0.50", "0.125"),
    ("anthropic", "claude-haiku-4-5"): ("1", "0.10", "5", "1.25"),
    ("gemini", "gemini-3.5-flash"): ("1.50", "0.15", "9", None),
    ("gemini", "gemini-2.5-pro"): ("1.25", "0.125", "10", None),
    ("gemini", "gemini-2.5-flash-lite"): ("0.10", "0.01", "0.40", None),
    ("openai", "gpt-6.1-sol"): ("2", "0.10", "10", "2.50"),
    ("openai", "gpt-6-luna"): ("0.10", "0.01", "0.50", "0.125"),
    ("openai", "gpt-5-mini"): ("0.25", "0.025", "2", None),
}
tokens = st.integers(0, 3_000_000)


def known(provider: str, model: str) -> Price:
    found = find_price(provider, model)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("provider", "model", "same"),
    [
        ("anthropic", "claude-opus-4-5-20251101", "claude-opus-4-5"),
        ("anthropic", "claude-opus-4-20250514", "claude-opus-4"),
        ("anthropic", "claude-haiku-4-5@20251001", "claude-haiku-4-5"),
        ("anthropic", "claude-sonnet-5-5-latest", "claude-sonnet-5-5"),
        ("gemini", "models/gemini-2.5-flash-lite", "gemini-2.5-flash-lite"),
        ("gemini", "gemini-2.5-flash-preview-09-2025", "gemini-2.5-flash"),
        ("openai", "gpt-5-mini-2025-08-07", "gpt-5-mini"),
        ("openai", "gpt-6.1-sol-2026-09-29", "gpt-6.1-sol"),
    ],
)
def test_a_dated_name_has_the_price_of_its_model(provider: str, model: str, same: str) -> None:
    assert find_price(provider, model) == known(provider, same)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("anthropic", "claude-opus-5-9"),  # a later model is another one
        ("anthropic", "claude-opus"),
        ("gemini", "gemini-2.5-flash-of-mine"),
        ("openai", "gpt-5.4-mini-high"),
        ("openai", "qwen3"),
        ("openai", "claude-opus-5"),
        ("openai", ""),
    ],
)
def test_a_model_that_is_not_known_has_no_price(provider: str, model: str) -> None:
    assert find_price(provider, model) is None


@pytest.mark.parametrize(("provider", "model"), READ)
def test_the_table_has_what_the_providers_pages_said(provider: str, model: str) -> None:
    found, read = find_price(provider, model), price(*READ[provider, model])
    assert found is not None
    assert (found.input, found.cached, found.output, found.written) == (
        read.input,
        read.cached,
        read.output,
        read.written,
    )


def test_a_long_prompt_of_a_model_costs_as_its_page_says() -> None:
    sol, haiku = known("openai", "gpt-6.1-sol"), known("anthropic", "claude-haiku-5-5")
    assert (sol.long_tokens, float(sol.long_input), float(sol.long_output)) == (272_000, 2.0, 1.5)
    assert (haiku.long_tokens, float(haiku.long_input), float(haiku.long_output)) == (100_000, 5.0, 5.0)


def test_the_user_s_price_goes_first() -> None:
    given = {"claude-opus-5-5": FREE, "claude-opus-5": SONNET}
    assert find_price("anthropic", "claude-opus-5-5", None, given) is FREE
    assert find_price("openai", "claude-opus-5-5", "https://openrouter.ai/api/v1", given) is FREE


@pytest.mark.parametrize(
    "host", ["localhost:8000", "127.0.0.1:11434", "[::1]:1", "192.168.1.7", "10.0.0.2:1", "gpu.local"]
)
def test_a_server_of_one_s_own_is_free(host: str) -> None:
    assert find_price("openai", "gpt-5", f"http://{host}/v1") is FREE


@pytest.mark.parametrize("host", ["openrouter.ai", "8.8.8.8", "localhost.example.com", "my-gateway.azure.com"])
def test_somebody_else_s_server_has_no_price_here(host: str) -> None:
    assert find_price("openai", "gpt-5", f"https://{host}/v1") is None


def test_a_call_costs_each_sort_of_token_at_its_own_rate() -> None:
    assert SONNET.micros(1_000_000 // 10, 0, 0, 0) == 300_000
    assert SONNET.micros(100_000, 100_000, 0, 0) == 30_000
    assert SONNET.micros(100_000, 0, 100_000, 0) == 375_000
    assert SONNET.micros(0, 0, 0, 100_000) == 1_500_000
    assert SONNET.micros(10_000, 4_000, 1_000, 500) == 5_000 * 3 + 1_200 + 3_750 + 7_500


def test_a_long_prompt_costs_more_for_every_token() -> None:
    assert SONNET.micros(200_000, 0, 0, 1_000) == 600_000 + 15_000
    assert SONNET.micros(200_001, 0, 0, 1_000) == 2 * 600_003 + 22_500


def test_parts_of_a_millionth_are_rounded_up() -> None:
    assert price("0.10", "0.01", "0.40").micros(1, 1, 0, 0) == 1
    assert price("0.10", "0.01", "0.40").micros(11, 0, 0, 0) == 2
    assert FREE.micros(10**9, 0, 0, 10**9) == 0


@given(tokens, st.floats(0, 1), st.floats(0, 1), st.integers(0, 1_000))
def test_no_share_of_cached_and_written_tokens_costs_more_than_the_bound(
    input_tokens: int, cached: float, written: float, output: int
) -> None:
    read = int(input_tokens * cached)
    wrote = int((input_tokens - read) * written)
    prompt = Prompt("s" * input_tokens, "", (Message("user", "u"),), 1_000)
    for rates in (SONNET, known("gemini", "gemini-2.5-pro"), known("anthropic", "claude-haiku-5-5")):
        assert rates.micros(input_tokens, read, wrote, output) <= rates.most_micros(prompt)


def test_the_bound_holds_for_texts_of_every_sort_and_tokenizers_of_the_worst() -> None:
    draw = random.Random(0)
    texts = [
        "".join(chr(draw.randrange(32, 0x2FFF)) for _ in range(3_000)),
        "".join(draw.choice("0123456789.,-") for _ in range(3_000)),
        "\U0001f9ea" * 500,
        "a" * 5_000,
    ]
    one_token_a_byte = price("1", "1", "0")
    for text in texts:
        prompt = Prompt(text, text, (Message("user", text),), 1)
        assert one_token_a_byte.most_micros(prompt) >= 3 * len(text.encode())


@pytest.mark.parametrize(
    ("amount", "micros"), [(5, 5_000_000), (0.1, 100_000), (0.07, 70_000), (1e-7, 0), (19.99, 19_990_000)]
)
def test_a_limit_is_the_number_as_it_is_written(amount: float, micros: int) -> None:
    assert to_micros(amount) == micros


@pytest.mark.parametrize(
    ("micros", "text"),
    [(5_000_000, "$5.00"), (4_876_543, "$4.88"), (1_234, "$0.0012"), (20_000, "$0.02"), (0, "$0.00")],
)
def test_amounts_read_as_money(micros: int, text: str) -> None:
    assert dollars(micros) == text


def test_the_prompt_of_a_usual_call_is_bounded_at_a_few_times_its_cost() -> None:
    real = SONNET.micros(10, 0, 0, PROMPT.max_answer_tokens)
    assert real <= SONNET.most_micros(PROMPT) < 2 * real


def test_a_price_that_the_user_gives_is_read_exactly() -> None:
    (asked,) = ask(prices=("my-model=2.5,10",)).prices
    assert (asked.model, asked.input, asked.output, asked.cached) == ("my-model", "2.5", "10", "2.5")
    assert ask(prices=("a/b:c=0.1,0.4,0.01",)).prices[0].cached == "0.01"


@pytest.mark.parametrize("text", ["my-model", "my-model=2", "my-model=2,ten", "=1,2", "my-model=-1,2", "m=1,2,3,4"])
def test_a_price_that_cannot_be_read_is_one_line(text: str) -> None:
    with pytest.raises(SettingsError, match=r"--price .*expected MODEL=IN,OUT"):
        ask(prices=(text,))


def test_a_run_counts_by_the_price_that_the_user_gives() -> None:
    run = new_run(ask(proposers=("openai:mine",), prices=("mine=2,10,0.5",), isolation="none"), "x", address="none")
    found = price_of(run.proposers[0], run)
    assert found == price("2", "0.5", "10") and found.micros(1_000, 0, 0, 100) == 3_000
