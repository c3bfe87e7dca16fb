"""One model of one provider, as an Ask: what is the same for all of them.

A `Wire` (anthropic.py, gemini.py, openai.py) streams one answer through its SDK. Here the stream is watched and
gathered into an Answer. Every failure becomes one child of ProviderError, with what the call may have cost.
"""

import json
from dataclasses import dataclass, field
from typing import Literal, Protocol
from urllib.parse import urlsplit

from autoresearch_ray.common.errors import BadAnswerError, OverloadedError, ProviderError, ProviderTimeoutError
from autoresearch_ray.common.text import one_line
from autoresearch_ray.propose.llm.calls import Answer, Prompt
from autoresearch_ray.propose.llm.providers.failures import MESSAGE_CHARS, TIMEOUTS
from autoresearch_ray.propose.llm.providers.keys import Key
from autoresearch_ray.propose.llm.providers.surroundings import proxy_told
from autoresearch_ray.propose.llm.providers.watch import Patience, Watch

NOTHING = (0, 0, 0, 0)
ADDRESS_CHARS = 120  # most of a URL in a message
CHARS_A_TOKEN = 4  # estimate for servers that count nothing
ENDLESS_CHARS_A_TOKEN = 64  # no text is longer; a longer answer is from a server that ignores the limit
MALFORMED = (ValueError, TypeError, AttributeError, LookupError, RecursionError)  # no JSON, or of another shape


@dataclass(slots=True)
class Incoming:
    """The part of an answer that has arrived so far."""

    watch: Watch
    longest: int  # characters
    pieces: list[str] = field(default_factory=list)
    chars: int = 0
    stop: Literal["end", "length", "refusal"] | None = None
    thought: bool = False  # thinking came, which is no part of the text
    model: str = ""
    input_tokens: int | None = None
    cached_tokens: int = 0
    written_tokens: int = 0
    output_tokens: int | None = None

    def add(self, text: str | None) -> None:
        """A piece of the answer's text."""
        if not text:
            return
        self.watch.text_came()
        self.pieces.append(text)
        self.chars += len(text)
        if self.chars > self.longest:
            raise ValueError(f"more than {self.longest} characters and no end")

    def bill(self) -> tuple[int, int, int, int] | None:
        """The tokens that the provider counted, once it has."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        return self.input_tokens, self.cached_tokens, self.written_tokens, self.output_tokens


class Wire(Protocol):
    """One provider's SDK."""

    @property
    def broken(self) -> tuple[type[Exception], ...]:
        """The SDK's exceptions for a failed connection or an error of the provider."""

    async def stream(self, prompt: Prompt, incoming: Incoming) -> None:
        """Send the prompt and add what comes, to the end."""

    def failure(self, error: Exception) -> ProviderError | None:
        """The provider's error; None when it sent none because the connection broke."""

    def reached(self, error: Exception) -> bool:
        """Whether the request may have reached the provider."""

    async def close(self) -> None:
        """Close the connections."""


class Provider:
    """An Ask. Any number of calls at once, all in one event loop; close it in the same loop."""

    def __init__(self, who: str, wire: Wire, key: Key, patience: Patience) -> None:
        self.who, self._wire, self._key, self._patience = who, wire, key, patience

    def __repr__(self) -> str:
        return f"Provider({self.who})"

    async def __call__(self, prompt: Prompt) -> Answer:
        """The whole answer. RateLimitedError, OverloadedError, ProviderTimeoutError, BadAnswerError, or for good
        ProviderRefusedError."""
        watch = Watch(self._patience)
        incoming = Incoming(watch, ENDLESS_CHARS_A_TOKEN * prompt.max_answer_tokens)
        failures: tuple[type[Exception], ...] = (*self._wire.broken, *MALFORMED)
        try:
            async with watch:
                await self._wire.stream(prompt, incoming)
        except TimeoutError:
            unsent = None if watch.sent else NOTHING
            error: ProviderError = ProviderTimeoutError(f"{self.who}: {watch.reason}", None, unsent)
        except failures as broken:
            error = self._meaning(broken, incoming)
        else:
            return self._answer(prompt, incoming)
        raise error  # outside the handlers: else the SDK's error, whose request holds the key, would be attached

    async def close(self) -> None:
        """Close the connections."""
        await self._wire.close()

    def _meaning(self, broken: Exception, incoming: Incoming) -> ProviderError:
        watch = incoming.watch
        error = self._wire.failure(broken) or self._silent(broken, watch)
        if watch.status == 404:
            error = type(error)(f"{error}; asked was {_address_told(watch.url)}")
        refused = watch.status >= 300 and watch.status not in TIMEOUTS
        worked = watch.sent and not refused and self._wire.reached(broken)
        error.billed = None if worked else NOTHING  # None: what it cost is not known
        return error

    def _silent(self, broken: Exception, watch: Watch) -> ProviderError:
        """The error for a failure without a word from the provider."""
        root = _root(broken)
        what = one_line(self._key.scrub(f"{type(root).__name__}: {root}"), MESSAGE_CHARS).rstrip(": ")
        if isinstance(root, json.JSONDecodeError):
            return BadAnswerError(f"{self.who}: half of a JSON document in the answer")
        if isinstance(broken, MALFORMED):
            return BadAnswerError(f"{self.who}: not what the protocol says: {what}")
        if watch.status:
            return BadAnswerError(f"{self.who}: the connection broke in the middle of the answer ({what})")
        proxy = proxy_told(watch.url)
        way = f", asked by the proxy of {one_line(proxy, ADDRESS_CHARS)}" if proxy else ""
        host = one_line(urlsplit(watch.url).netloc, ADDRESS_CHARS)
        return OverloadedError(f"{self.who}: {host} cannot be reached, or the connection was lost ({what}){way}")

    def _answer(self, prompt: Prompt, incoming: Incoming) -> Answer:
        text, seconds = "".join(incoming.pieces), incoming.watch.seconds
        if incoming.stop is None:
            raise BadAnswerError(f"{self.who}: the answer did not come to its end, {len(text)} characters came")
        if incoming.stop == "end" and not text.strip() and not incoming.thought:
            raise BadAnswerError(f"{self.who}: the answer is empty", None, incoming.bill())
        billed = incoming.bill()
        estimated = billed is None
        given, cached, written, made = billed or (
            _tokens(*[prompt.system, prompt.context, *(message.text for message in prompt.messages)]),
            0,
            0,
            _tokens(text),
        )
        model = incoming.model or self.who.partition(":")[2]
        return Answer(text, incoming.stop, model, given, cached, made, seconds, written, estimated, incoming.thought)


def _address_told(url: str) -> str:
    """An address that does not exist, and what is often forgotten in it."""
    shown = one_line(url.partition("?")[0], ADDRESS_CHARS)
    forgot = url.endswith("/chat/completions") and "/v1/" not in url
    return f"{shown} (most servers want a base URL that ends in /v1)" if forgot else shown


def _root(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _tokens(*texts: str) -> int:
    return -(-sum(map(len, texts)) // CHARS_A_TOKEN)
