"""What tokens cost, in dollars per million, by the beginning of the model's name.

Standard rates of the providers' price pages as read between 2026-10-07 and 2026-11-06 (platform.claude.com/docs,
ai.google.dev/gemini-api/docs/pricing, developers.openai.com/api/docs/pricing). They change: a mapping given by the
user goes first. A model that is not here has no price, for a guess would be worse; its tokens are counted alone.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from urllib.parse import urlsplit

from autoresearch_ray.propose.llm.calls import Prompt

TOKENS_A_MESSAGE = 64  # more than any provider adds around a message
TOKENS_A_PROMPT = 512  # and around all of them


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


def price(
    input: str, cached: str, output: str, written: str | None = None, long: tuple[int, str, str] | None = None
) -> Price:
    """A price from decimal numbers; `long` is the prompt size from which it rises, with the two factors."""
    plain = Decimal(input)
    rates = plain, Decimal(cached), Decimal(output), plain if written is None else Decimal(written)
    return Price(*rates) if long is None else Price(*rates, long[0], Decimal(long[1]), Decimal(long[2]))


FREE = price("0", "0", "0")
_OVER_200K = (200_000, "2", "1.5")
_OVER_272K = (272_000, "2", "1.5")

PRICES: dict[str, dict[str, Price]] = {
    "anthropic": {
        "claude-fable-5-1": price("10", "0.25", "50", "12.50"),
        "claude-fable-5": price("10", "1", "50", "12.50"),
        "claude-mythos-5-1": price("10", "0.25", "50", "12.50"),
        "claude-mythos-5": price("10", "1", "50", "12.50"),
        "claude-opus-5-5": price("4", "0.20", "20", "5"),
        "claude-opus-5": price("5", "0.50", "25", "6.25"),
        "claude-opus-4-8": price("5", "0.50", "25", "6.25"),
        "claude-opus-4-7": price("5", "0.50", "25", "6.25"),
        "claude-opus-4-6": price("5", "0.50", "25", "6.25"),
        "claude-opus-4-5": price("5", "0.50", "25", "6.25"),
        "claude-opus-4-1": price("15", "1.50", "75", "18.75"),
        "claude-opus-4": price("15", "1.50", "75", "18.75"),
        "claude-sonnet-5-5": price("2", "0.10", "10", "2.50"),
        "claude-sonnet-5": price("2", "0.20", "10", "2.50"),
        "claude-sonnet-4-6": price("3", "0.30", "15", "3.75"),
        "claude-sonnet-4-5": price("3", "0.30", "15", "3.75", _OVER_200K),
        "claude-sonnet-4": price("3", "0.30", "15", "3.75", _OVER_200K),
        "claude-haiku-5-5": price("0.10", "0.01", "0.50", "0.125", (100_000, "5", "5")),
        "claude-haiku-4-5": price("1", "0.10", "5", "1.25"),
    },
    "gemini": {
        "gemini-3.8-flash": price("1.50", "0.15", "7.50"),  # half of it until 2026-12-31
        "gemini-3.6-flash": price("1.50", "0.15", "7.50"),
        "gemini-3.5-flash": price("1.50", "0.15", "9"),
        "gemini-3.5-flash-lite": price("0.30", "0.03", "2.50"),
        "gemini-3.1-pro": price("2", "0.20", "12", None, _OVER_200K),
        "gemini-3.1-flash-lite": price("0.25", "0.025", "1.50"),
        "gemini-3-flash": price("0.50", "0.05", "3"),
        "gemini-2.5-pro": price("1.25", "0.125", "10", None, _OVER_200K),
        "gemini-2.5-flash": price("0.30", "0.03", "2.50"),
        "gemini-2.5-flash-lite": price("0.10", "0.01", "0.40"),
    },
    "openai": {
        "gpt-6.1-sol": price("2", "0.10", "10", "2.50", _OVER_272K),
        "gpt-6.1-terra": price("1", "0.05", "5", "1.25", _OVER_272K),
        "gpt-6-astra": price("10", "1", "50", "12.50", _OVER_272K),
        "gpt-6-sol": price("2", "0.20", "10", "2.50", _OVER_272K),
        "gpt-6-luna": price("0.10", "0.01", "0.50", "0.125", _OVER_272K),
        "gpt-5.6-sol": price("5", "0.50", "30", "6.25", _OVER_272K),  # 4, 0.40 and 20 while a promotion lasts
        "gpt-5.6-terra": price("2", "0.20", "12", "2.50", _OVER_272K),
        "gpt-5.6-luna": price("0.20", "0.02", "1.20", "0.25", _OVER_272K),
        "gpt-5.5": price("5", "0.50", "30", None, _OVER_272K),
        "gpt-5.4": price("2.50", "0.25", "15", None, _OVER_272K),
        "gpt-5.4-mini": price("0.75", "0.075", "4.50"),
        "gpt-5.4-nano": price("0.20", "0.02", "1.25"),
        "gpt-5.1": price("1.25", "0.125", "10"),
        "gpt-5": price("1.25", "0.125", "10"),
        "gpt-5-mini": price("0.25", "0.025", "2"),
        "gpt-5-nano": price("0.05", "0.005", "0.40"),
        "gpt-4.1": price("2", "0.50", "8"),
        "gpt-4.1-mini": price("0.40", "0.10", "1.60"),
    },
}
_SAME_MODEL = re.compile(r"(-(latest|preview|exp)\b.*|[-@:]\d{4}.*)?")  # what may follow: a date or a stage, no variant


def find_price(
    provider: str, model: str, base_url: str | None = None, overrides: Mapping[str, Price] | None = None
) -> Price | None:
    """The price of a model, or None when it is not known; a server on this machine or in its network is free."""
    given = _longest(overrides or {}, model)
    if given is not None:
        return given
    if base_url is not None:
        return FREE if _is_own(base_url) else None  # somebody else's server has prices of its own
    return _longest(PRICES.get(provider, {}), model.removeprefix("models/"))


def _longest(prices: Mapping[str, Price], model: str) -> Price | None:
    names = [name for name in prices if model.startswith(name) and _SAME_MODEL.fullmatch(model[len(name) :])]
    return prices[max(names, key=len)] if names else None


def _is_own(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return host == "localhost" or host.endswith((".local", ".internal", ".localhost"))
