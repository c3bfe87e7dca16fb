"""The calls of the conversation under way, and what they cost."""

import contextvars
from dataclasses import dataclass

from autoresearch_ray.propose.llm.metered import Call

calls_here: contextvars.ContextVar[list[Call]] = contextvars.ContextVar("calls_here")


@dataclass(slots=True)
class Bill:
    """What a conversation's calls cost, as far as no idea has it on its account yet."""

    calls: list[Call]
    taken: int = 0  # of the calls

    def take(self) -> int:
        """Millionths of a dollar, each call once."""
        fresh, self.taken = self.calls[self.taken :], len(self.calls)
        return sum(call.charge.micros for call in fresh)
