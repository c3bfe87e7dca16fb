"""The seam between what asks a language model and what reaches one: a prompt goes in, an answer comes out.

    ask: Ask = ...                     # a provider, with retries and a spending cap around it
    answer = await ask(Prompt(system, context, (Message("user", "Propose a change."),), max_answer_tokens=8_000))

Whoever asks knows no provider; whoever provides knows nothing of candidates.
"""

from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of the conversation."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What one call sends. The parts that change least come first, so that providers can cache the beginning."""

    system: str  # never changes within a run: contract and answer format
    context: str  # changes seldom: program.md and the frontier's source
    messages: tuple[Message, ...]  # the asking, then repair turns; the first is the user's
    max_answer_tokens: int


@dataclass(frozen=True, slots=True)
class Answer:
    """One call's whole answer; `stop` says whether it was cut at the token limit, or refused."""

    text: str
    stop: Literal["end", "length", "refusal"]
    model: str  # the provider's name for the model that answered
    input_tokens: int  # the whole prompt, cached tokens included
    cached_tokens: int  # part of the input, read from the provider's cache
    output_tokens: int  # thinking included
    seconds: float
    written_tokens: int = 0  # part of the input, written to the provider's cache (Anthropic charges more for it)
    estimated: bool = False  # the server counted no tokens; these are from the length of the texts
    thought: bool = False  # thinking came, beside the text or without any
    micros: int | None = None  # millionths of a dollar that the call cost, where it says so itself
    log: str = ""  # the end of what a coding agent printed


class Ask(Protocol):
    """One call to a model. Any number may be under way at once; cancelling one frees what it holds."""

    async def __call__(self, prompt: Prompt) -> Answer:
        """The answer, or a child of ProviderError that says what kind of failure it was."""
        ...
