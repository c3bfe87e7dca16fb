"""Claude, by Anthropic's Messages API."""

from typing import Literal

import anthropic
from anthropic.types import MessageParam, RawMessageStreamEvent, TextBlockParam

from autoresearch_ray.common.errors import ProviderError
from autoresearch_ray.propose.llm.calls import Prompt
from autoresearch_ray.propose.llm.providers.connection import BROKEN, http_client, never_reached
from autoresearch_ray.propose.llm.providers.keys import Key
from autoresearch_ray.propose.llm.providers.provider import Incoming
from autoresearch_ray.propose.llm.providers.sdk import dig, status_failure
from autoresearch_ray.propose.llm.providers.watch import Patience

STOPS: dict[str, Literal["end", "length", "refusal"]] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
}
Client = anthropic.AsyncAnthropic | anthropic.AsyncAnthropicBedrock


class AnthropicWire:
    """See Wire in provider.py."""

    provider = "anthropic"

    broken: tuple[type[Exception], ...] = (anthropic.AnthropicError, *BROKEN)

    def __init__(self, model: str, key: Key, base_url: str | None, patience: Patience) -> None:
        self._model, self._key = model, key
        self._client = self._connect(key, base_url, patience)

    def _connect(self, key: Key, base_url: str | None, patience: Patience) -> Client:
        return anthropic.AsyncAnthropic(
            api_key=key.reveal(),
            base_url=base_url,
            max_retries=0,  # retry.py does it
            http_client=http_client(patience),
        )

    async def stream(self, prompt: Prompt, incoming: Incoming) -> None:
        """Send the prompt and add what comes, to the end."""
        stream = await self._client.messages.create(
            model=self._model,
            max_tokens=prompt.max_answer_tokens,
            system=_blocks(prompt.system),
            messages=_messages(prompt),
            stream=True,
        )
        async with stream:
            async for event in stream:
                _take(event, incoming)

    def failure(self, error: Exception) -> ProviderError | None:
        """The provider's error; None when it sent none because the connection broke."""
        if not isinstance(error, anthropic.APIStatusError):
            return None
        kinds = [kind for kind in (error.type, error.error_code) if kind]
        message = dig(error.body, "error", "message") or dig(error.body, "message") or error.message
        headers = dict(error.response.headers)
        return status_failure(self.provider, self._model, self._key, error.status_code, kinds, str(message), headers)

    def reached(self, error: Exception) -> bool:
        """Whether the request may have reached the provider."""
        return not never_reached(error)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _blocks(text: str) -> list[TextBlockParam]:
    """The text as a block up to which the provider caches; an empty one is not allowed."""
    return [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}] if text.strip() else []


def _messages(prompt: Prompt) -> list[MessageParam]:
    first, *rest = prompt.messages
    asking: TextBlockParam = {"type": "text", "text": first.text}
    messages: list[MessageParam] = [{"role": "user", "content": [*_blocks(prompt.context), asking]}]
    for message in rest:
        if message.role == "user":
            messages.append({"role": "user", "content": message.text})
        else:
            messages.append({"role": "assistant", "content": message.text})
    return messages


def _take(event: RawMessageStreamEvent, incoming: Incoming) -> None:
    if event.type == "message_start":
        incoming.model = event.message.model
        usage = event.message.usage
        incoming.cached_tokens = usage.cache_read_input_tokens or 0
        incoming.written_tokens = usage.cache_creation_input_tokens or 0
        incoming.input_tokens = usage.input_tokens + incoming.cached_tokens + incoming.written_tokens
    elif event.type == "content_block_delta" and event.delta.type == "text_delta":
        incoming.add(event.delta.text)
    elif event.type == "content_block_delta" and event.delta.type == "thinking_delta":
        incoming.thought = True
    elif event.type == "message_delta":
        incoming.output_tokens = event.usage.output_tokens
        if event.delta.stop_reason:
            incoming.stop = STOPS.get(event.delta.stop_reason, "end")
