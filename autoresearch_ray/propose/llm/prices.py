"""What tokens cost, in dollars per million: genai-prices' table of the providers' published prices, by day.

Prices change: what the user gives (--price) goes first. A model that the table does not have has no price, for a guess
would be worse; its tokens are counted alone.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from autoresearch_ray.propose.llm.calls import Prompt

TOKENS_A_MESSAGE = 64  # more than any provider adds around a message
TOKENS_A_PROMPT = 512  # added for what surrounds a prompt's messages


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars per million tokens, which is also millionths of a dollar per token."""

    input: Decimal
    cached: Decimal  # input read from the provider's cache
    output: Decimal
    written: Decimal  # input written to the provider's cache
    long_tokens: int | None = None  # prompts above it cost more, every token of the call
    long_input: Decimal = Decimal(2)  # times
    long_output: Decimal = Decimal("1.5")

    def micros(self, input_tokens: int, cached_tokens: int, written_tokens: int, output_tokens: int) -> int:
        """What a call costs in millionths of a dollar, rounded up; the input's tokens include cached and written."""
        long = self.long_tokens is not None and input_tokens > self.long_tokens
        plain = max(0, input_tokens - cached_tokens - written_tokens)
        given = plain * self.input + cached_tokens * self.cached + written_tokens * self.written
        made = output_tokens * self.output
        cost = given * self.long_input + made * self.long_output if long else given + made
        return int(cost.to_integral_value(ROUND_CEILING))

    def most_micros(self, prompt: Prompt) -> int:
        """More than a call with this prompt can cost: no tokenizer makes more tokens of a text than it has bytes."""
        texts = [prompt.system, prompt.context, *(message.text for message in prompt.messages)]
        tokens = sum(len(text.encode()) for text in texts) + TOKENS_A_MESSAGE * len(texts) + TOKENS_A_PROMPT
        written = tokens if self.written > self.input else 0
        return self.micros(tokens, 0, written, prompt.max_answer_tokens)


def price(input: str, cached: str, output: str, written: str | None = None) -> Price:
    """A price from decimal numbers."""
    plain = Decimal(input)
    return Price(plain, Decimal(cached), Decimal(output), plain if written is None else Decimal(written))


FREE = price("0", "0", "0")
PUBLISHERS = {"gemini": "google", "vertex": "google", "bedrock": "aws"}  # names in genai-prices
_VARIANT = re.compile(r"(-(latest|preview|exp)\b.*|[-@:]\d{4}.*)$")  # a date or a stage of the same model


def find_price(
    provider: str, model: str, base_url: str | None = None, given: Mapping[str, Price] | None = None
) -> Price | None:
    """The price of a model, None when it is not known. A server on this machine or in its network is free.

    `given` is what the user says, by the model's name; it goes first.
    """
    if given and model in given:
        return given[model]
    if base_url is not None:
        return FREE if _is_own(base_url) else None  # another party's server has prices of its own
    name = model.removeprefix("models/")
    return _look_up(provider, name) or _look_up(provider, _VARIANT.sub("", name))


@lru_cache
def _look_up(provider: str, model: str) -> Price | None:
    """The rates of today, as genai-prices has them; where they rise with the prompt more than once, the highest."""
    from genai_prices.data_snapshot import get_snapshot  # takes a second to import

    try:
        _, found = get_snapshot().find_provider_model(model, None, PUBLISHERS.get(provider, provider), None)
    except LookupError:
        return None
    rates = found.get_prices(datetime.now(UTC))
    if rates.input_mtok is None or rates.output_mtok is None:
        return None
    read = rates.input_mtok if rates.cache_read_mtok is None else rates.cache_read_mtok
    written = rates.input_mtok if rates.cache_write_mtok is None else rates.cache_write_mtok
    every = [_tiers(rate) for rate in (rates.input_mtok, read, rates.output_mtok, written)]
    given, cached, made, kept = (tiers[0][1] for tiers in every)
    base = Price(given, cached, made, kept)
    starts = sorted({start for tiers in every for start, _ in tiers[1:]})
    if not starts:
        return base
    rises = [max(cost for _, cost in tiers) / tiers[0][1] if tiers[0][1] else Decimal(1) for tiers in every]
    return replace(base, long_tokens=starts[0], long_input=max(rises[0], rises[1], rises[3]), long_output=rises[2])


def _tiers(rate: Any) -> list[tuple[int, Decimal]]:
    """(tokens of the prompt from which it holds, dollars per million tokens), the lowest first."""
    if isinstance(rate, Decimal):
        return [(0, rate)]
    return [(0, rate.base), *((tier.start, tier.price) for tier in rate.tiers)]


def _is_own(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return host == "localhost" or host.endswith((".local", ".internal", ".localhost"))
