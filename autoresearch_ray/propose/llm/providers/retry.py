"""Ask again after failures that pass: capped exponential back-off with full jitter, and the provider's own wait.

    ask = Retrying(provider)

The SDKs' own retries are turned off, for three reasons. Each attempt is reserved and recorded by itself. The SDKs
start again only before an answer's first byte. One of them sleeps up to ten seconds unasked. A call with a wrong key
or an unknown model is never repeated.
"""

import asyncio
import email.utils
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from autoresearch_ray.common.errors import (
    BadAnswerError,
    OverloadedError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitedError,
)
from autoresearch_ray.common.repeating import pause_after
from autoresearch_ray.propose.llm.calls import Answer, Ask, Prompt

logger = logging.getLogger(__name__)


def _attempts() -> Mapping[type[ProviderError], int]:
    # Waiting is free, because calls run ahead of the slots. A timeout or a bad answer may cost its tokens each time.
    return {RateLimitedError: 8, OverloadedError: 6, ProviderTimeoutError: 2, BadAnswerError: 3}


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often a call is tried for each kind of failure, and how long it waits in between."""

    attempts: Mapping[type[ProviderError], int] = field(default_factory=_attempts)  # in total; other kinds: 1
    first_seconds: float = 1.0  # the first wait is between 0 and this, the next ones between 0 and twice as much
    cap_seconds: float = 60.0
    longest_wait_seconds: float = 300.0  # a provider that asks for more gets no second try from this call

    def wait_seconds(self, failures: int, asked_seconds: float | None, jitter: float) -> float:
        """The wait after so many failures, with jitter in [0, 1); never less than the provider asked for."""
        drawn = jitter * pause_after(failures, (self.first_seconds, self.cap_seconds))
        return drawn if asked_seconds is None else asked_seconds + jitter * self.first_seconds


class Retrying:
    """An Ask that asks another one until it answers or the attempts are used up; the last failure is raised."""

    def __init__(
        self,
        ask: Ask,
        backoff: Backoff | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._ask, self._backoff, self._sleep, self._jitter = ask, backoff or Backoff(), sleep, jitter

    async def __call__(self, prompt: Prompt) -> Answer:
        """The answer, or the failure that was one too many of its kind."""
        seen: Counter[type[ProviderError]] = Counter()
        while True:
            try:
                return await self._ask(prompt)
            except ProviderError as error:
                seen[type(error)] += 1
                wait = self._wait(error, seen)
                if wait is None:
                    raise
                logger.info("%s; asking again in %.1f s", error, wait)
            await self._sleep(wait)

    def _wait(self, error: ProviderError, seen: Counter[type[ProviderError]]) -> float | None:
        asked = error.retry_after_seconds
        if seen[type(error)] >= self._backoff.attempts.get(type(error), 1):
            return None
        if asked is not None and asked > self._backoff.longest_wait_seconds:
            return None
        return self._backoff.wait_seconds(seen.total(), asked, self._jitter())


def retry_after_seconds(headers: Mapping[str, str], now: float) -> float | None:
    """The wait that an answer's headers (names in lower case) ask for: milliseconds, seconds or a date (RFC 9110).

    A date counts from the server's own clock when it says what time it has, else from `now` (UTC, epoch seconds).
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is not None:
        return seconds
    at = _date(text)
    if at is None:
        return None
    there = _date(headers.get("date"))
    return max(0.0, at - (now if there is None else there))


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None


def _date(text: str | None) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(text or "").timestamp()
    except (ValueError, OverflowError):
        return None
