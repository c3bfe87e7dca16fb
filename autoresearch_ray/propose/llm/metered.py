"""An Ask whose every call is paid from the run's purse.

    purse = Spending(store, limit_dollars=5)
    ask = Retrying(Metered(provider, provider.who, find_price("anthropic", "claude-opus-5-5"), purse))

Inside the retries, so that each attempt is reserved, settled and told by itself.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from autoresearch_ray.common.errors import ProviderError, ProviderRefusedError, SettingsError
from autoresearch_ray.propose.llm.calls import Answer, Ask, Prompt
from autoresearch_ray.propose.llm.prices import Price
from autoresearch_ray.propose.llm.spending import Spending, Tokens
from autoresearch_ray.records.proposers import Charge, dollars

NOTHING: Tokens = (0, 0, 0, 0)
WAIT_SECONDS = 0.2  # between two looks whether other calls have settled below their reservation


@dataclass(frozen=True, slots=True)
class Call:
    """One call that has ended, for the records: an answer or an error, and what it cost."""

    call_id: str
    who: str
    prompt: Prompt
    answer: Answer | None
    error: ProviderError | None
    charge: Charge


class Metered:
    """An Ask that reserves before each call of another one, settles after it and tells `on_call` of it."""

    def __init__(
        self,
        ask: Ask,
        who: str,
        price: Price | None,
        spending: Spending,
        on_call: Callable[[Call], None] | None = None,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if price is None and spending.limit_micros is not None and spending.limit_calls is None:
            raise SettingsError(
                f"--max-cost-usd {dollars(spending.limit_micros)}: the price of {who} is not known, so the limit could "
                f"not be held; give its price, take a model that has one, or leave the limit away"
            )
        self._ask, self.who, self._price, self._spending = ask, who, price, spending
        self._on_call, self._new_id, self._sleep = on_call, new_id, sleep

    async def __call__(self, prompt: Prompt) -> Answer:
        """The answer; ProviderRefusedError when the limit leaves no room for this call."""
        call_id = self._new_id()
        await self._reserve(call_id, self._price.most_micros(prompt) if self._price else 0)
        try:
            answer = await self._ask(prompt)
        except ProviderError as error:
            await self._close(call_id, prompt, None, error, error.billed)
            raise
        except BaseException:  # cancelled in the middle: what is reserved stays charged
            self._spending.forget(call_id)
            raise
        billed = (answer.input_tokens, answer.cached_tokens, answer.written_tokens, answer.output_tokens)
        unsure = answer.estimated and self._price is not None and self._price.most_micros(prompt) > 0
        await self._close(call_id, prompt, answer, None, None if unsure else billed)
        return answer

    async def _reserve(self, call_id: str, micros: int) -> None:
        priced = self._price is not None
        while True:
            asked = asyncio.ensure_future(asyncio.to_thread(self._spending.reserve, call_id, self.who, micros, priced))
            try:
                outcome = await asyncio.shield(asked)
            except asyncio.CancelledError:
                if await asked == "reserved":
                    self._spending.release(call_id)
                raise
            if outcome == "reserved":
                return
            if outcome == "enough":
                raise ProviderRefusedError(
                    f"{self.who}: --max-calls {self._spending.limit_calls} is reached", billed=NOTHING
                )
            if outcome == "spent":
                raise self._limit_reached(micros)
            await self._sleep(WAIT_SECONDS)

    def _limit_reached(self, micros: int) -> ProviderRefusedError:
        assert self._spending.limit_micros is not None
        limit, spent = dollars(self._spending.limit_micros), dollars(self._spending.sum_spent_micros())
        most = dollars(micros)
        return ProviderRefusedError(
            f"{self.who}: --max-cost-usd {limit} leaves no room: {spent} are spent and the next call may cost {most}",
            billed=NOTHING,
        )

    async def _close(
        self, call_id: str, prompt: Prompt, answer: Answer | None, error: ProviderError | None, billed: Tokens | None
    ) -> None:
        micros = answer.micros if answer is not None else None
        charge = await asyncio.shield(asyncio.to_thread(self._charge, call_id, billed, micros))
        if self._on_call is not None:
            self._on_call(Call(call_id, self.who, prompt, answer, error, charge))

    def _charge(self, call_id: str, billed: Tokens | None, micros: int | None) -> Charge:
        if billed is None:
            return self._spending.lose(call_id)
        if micros is not None:
            return self._spending.settle(call_id, micros, billed, priced=True)
        return self._spending.settle(call_id, self._price.micros(*billed) if self._price else 0, billed)
