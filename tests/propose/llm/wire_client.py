"""One call or more through a real SDK to a scripted server, as a test sees it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from wire import WireServer

from autoresearch_ray.common.errors import ProviderError
from autoresearch_ray.propose.llm.calls import Answer, Message, Prompt
from autoresearch_ray.propose.llm.providers.connect import connect
from autoresearch_ray.propose.llm.providers.keys import Key
from autoresearch_ray.propose.llm.providers.provider import Provider
from autoresearch_ray.propose.llm.providers.watch import Patience

SECRET = "sk-test-0123456789abcdef"
KEY = Key(SECRET)
MODEL = "test-model"
PROMPT = Prompt("the contract", "the frontier", (Message("user", "propose"),), 1_000)
REPAIR = Prompt(
    "the contract",
    "the frontier",
    (Message("user", "propose"), Message("assistant", "an edit"), Message("user", "it does not apply")),
    1_000,
)
PATIENT = Patience(first_seconds=60, stall_seconds=60, call_seconds=120)  # where nothing is to time out
T = TypeVar("T")


def with_provider(server: WireServer, use: Callable[[Provider], Awaitable[T]], patience: Patience = PATIENT) -> T:
    """What `use` makes of a provider that talks to the server, in an event loop of its own."""

    async def run() -> T:
        provider = connect(server.protocol, MODEL, KEY, server.url, patience)
        try:
            return await use(provider)
        finally:
            await provider.close()

    return asyncio.run(run())


def ask(server: WireServer, prompt: Prompt = PROMPT, patience: Patience = PATIENT) -> Answer:
    """One call's answer."""
    return with_provider(server, lambda provider: provider(prompt), patience)


async def outcome(call: Awaitable[Answer]) -> Answer | ProviderError:
    """The answer or the failure."""
    try:
        return await call
    except ProviderError as error:
        return error


def fails(server: WireServer, patience: Patience = PATIENT) -> ProviderError:
    """One call's failure."""
    result = with_provider(server, lambda provider: outcome(provider(PROMPT)), patience)
    assert isinstance(result, ProviderError), result
    return result
