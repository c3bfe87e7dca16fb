"""Every call's tokens and dollars: reserved before the call, settled after it, kept in the run's store.

    spending          what is spent and reserved, in millionths of a dollar
    spent/<call id>   a Charge

The limit holds because of the order. A reservation is the most that the call can cost. It is written with the total in
one transaction, which fails when another process changed the total. A call that never settles, because its process was
killed or its answer was lost, stays charged in full. Money is whole millionths; no sum is ever rounded down.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import ROUND_FLOOR, Decimal
from typing import Literal

from autoresearch_ray.records.codec import from_json, to_json
from autoresearch_ray.records.proposers import MICROS, Charge
from autoresearch_ray.store.contract import Compare, Delete, Get, KeyValue, Op, Put, Store, absent

TOTAL = "spending"
CALLS = "spent/"
Outcome = Literal["reserved", "wait", "spent", "enough"]  # what became of a request to call
Tokens = tuple[int, int, int, int]  # input (with cached and written), cached, written, output


class Spending:
    """The run's purse; any thread may call. One for all proposers of a process."""

    def __init__(
        self,
        store: Store,
        limit_dollars: float | None = None,
        limit_calls: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._clock, self.limit_calls = store, clock, limit_calls
        self.limit_micros = None if limit_dollars is None else to_micros(limit_dollars)
        self._lock = threading.Lock()
        self._open: set[str] = set()  # calls of this process that are under way

    def reserve(self, call_id: str, who: str, micros: int, priced: bool = True) -> Outcome:
        """Set aside what a call may cost at most. `wait`: no room as long as other calls are under way; `spent`: none.
        `enough`: there were as many calls as there may be.

        `call_id` is new. Calls of this process alone are waited for.
        """
        charge = Charge(who, "open", priced, micros, micros, self._clock())
        key = CALLS + call_id
        with self._lock:
            if self.limit_calls is not None and self._store.range(CALLS, limit=1).count >= self.limit_calls:
                return "enough"
            while True:
                total, revision = self._total()
                if self.limit_micros is not None and total + micros > self.limit_micros:
                    return "wait" if self._open else "spent"
                unchanged = [Compare(TOTAL, "mod", "==", revision), absent(key)]
                answer = self._store.txn(unchanged, [_put_total(total + micros), _put(key, charge)], [Get(key)])
                if answer.succeeded:
                    self._open.add(call_id)
                    return "reserved"
                assert not answer.responses[0].kvs, f"call {call_id} is reserved twice"

    def settle(self, call_id: str, micros: int, tokens: Tokens, priced: bool | None = None) -> Charge:
        """Replace the reservation by what the call cost; settling again changes nothing.

        `priced` says whether that is known, where the reservation did not.
        """
        return self._close(call_id, lambda charge: _settle(charge, micros, tokens, priced))

    def lose(self, call_id: str) -> Charge:
        """The provider may charge for the call, but the amount is unknown: the reservation stays for good."""
        return self._close(call_id, lambda charge: replace(charge, state="lost"))

    def release(self, call_id: str) -> None:
        """The call was never sent: as if it had not been reserved."""
        key = CALLS + call_id
        while (kv := self._store.get(key)) is not None:
            total, revision = self._total()
            same = [Compare(TOTAL, "mod", "==", revision), Compare(key, "mod", "==", kv.mod_revision)]
            freed = total - _charge(kv).micros
            self._store.txn(same, [_put_total(freed), Delete(key)])
        self.forget(call_id)

    def forget(self, call_id: str) -> None:
        """Wait for the call no longer; what it has reserved stays charged."""
        with self._lock:
            self._open.discard(call_id)

    def sum_spent_micros(self) -> int:
        """The sum that all processes have spent and reserved so far."""
        return self._total()[0]

    def charges(self) -> dict[str, Charge]:
        """Every call's charge by its id."""
        return {kv.key.removeprefix(CALLS): _charge(kv) for kv in self._store.range(CALLS).kvs}

    def _close(self, call_id: str, change: Callable[[Charge], Charge]) -> Charge:
        key = CALLS + call_id
        while True:
            kv = self._store.get(key)
            assert kv is not None, f"call {call_id} was never reserved"
            charge = _charge(kv)
            total, revision = self._total()
            closed = change(charge) if charge.state == "open" else charge
            same = [Compare(TOTAL, "mod", "==", revision), Compare(key, "mod", "==", kv.mod_revision)]
            writes: list[Op] = [_put_total(total + closed.micros - charge.micros), _put(key, closed)]
            if charge.state != "open" or self._store.txn(same, writes).succeeded:
                self.forget(call_id)
                return closed

    def _total(self) -> tuple[int, int]:
        kv = self._store.get(TOTAL)
        return (int(kv.value), kv.mod_revision) if kv else (0, 0)


def to_micros(amount: float) -> int:
    """Dollars as whole millionths, rounded down (it is a limit); from the number as it is written."""
    return int((Decimal(str(amount)) * MICROS).to_integral_value(ROUND_FLOOR))


def _settle(charge: Charge, micros: int, tokens: Tokens, priced: bool | None) -> Charge:
    given, cached, written, made = tokens
    return replace(
        charge,
        state="settled",
        priced=charge.priced if priced is None else priced,
        micros=micros,
        input_tokens=given,
        cached_tokens=cached,
        written_tokens=written,
        output_tokens=made,
    )


def _charge(kv: KeyValue) -> Charge:
    return from_json(Charge, kv.value)


def _put(key: str, charge: Charge) -> Put:
    return Put(key, to_json(charge).encode())


def _put_total(micros: int) -> Put:
    return Put(TOTAL, str(micros).encode())
