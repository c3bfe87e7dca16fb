"""OpenAI's models, and every server that speaks chat completions as OpenAI does: vLLM, Ollama, llama.cpp ...

Chat completions and not the newer Responses API, for that is what those servers have.
"""

from typing import Any, Literal

import openai
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

from autoresearch_ray.errors import ProviderError
from autoresearch_ray.propose.llm.calls import Message, Prompt
from autoresearch_ray.propose.llm.providers.connection import BROKEN, http_client, never_reached
from autoresearch_ray.propose.llm.providers.keys import Key
from autoresearch_ray.propose.llm.providers.provider import Incoming
from autoresearch_ray.propose.llm.providers.sdk import dig, status_failure
from autoresearch_ray.propose.llm.providers.watch import Patience

STOPS: dict[str, Literal["length", "refusal"]] = {"length": "length", "content_filter": "refusal"}
OWN_DOMAIN = "openai.com"


class OpenAIWire:
    """See Wire in provider.py."""

    provider = "openai"  # another one that speaks this protocol has its own name

    broken: tuple[type[Exception], ...] = (openai.OpenAIError, *BROKEN)

    def __init__(self, model: str, key: Key, base_url: str | None, patience: Patience) -> None:
        self._model, self._key = model, key
        self._client = openai.AsyncOpenAI(
            api_key=key.reveal(),
            base_url=base_url,
            max_retries=0,  # retry.py does it
            http_client=http_client(patience),
        )
        self._limit = limit_name(self._client.base_url.host)

    async def stream(self, prompt: Prompt, incoming: Incoming) -> None:
        """Send the prompt and add what comes, to the end."""
        limit: dict[str, Any] = {self._limit: prompt.max_answer_tokens}
        stream = await self._client.chat.completions.create(
            model=self._model,
            messages=_messages(prompt),
            stream=True,
            stream_options={"include_usage": True},
            extra_body=limit,
        )
        async with stream:
            async for chunk in stream:
                _take(chunk, incoming)

    def failure(self, error: Exception) -> ProviderError | None:
        """What the provider said was wrong; None when it said nothing, for the connection broke."""
        if not isinstance(error, openai.APIError) or isinstance(error, openai.APIConnectionError):
            return None
        kinds = [kind for kind in (error.type, error.code) if kind]
        status, headers = 200, {}
        if isinstance(error, openai.APIStatusError):
            status, headers = error.status_code, dict(error.response.headers)
        message = dig(error.body, "message") or error.message
        return status_failure(self.provider, self._model, self._key, status, kinds, str(message), headers)

    def reached(self, error: Exception) -> bool:
        """Whether the request may have reached the provider."""
        return not never_reached(error)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def limit_name(host: str) -> str:
    """What limits the answer: OpenAI's reasoning models refuse max_tokens, many other servers know nothing else."""
    return "max_completion_tokens" if host == OWN_DOMAIN or host.endswith(f".{OWN_DOMAIN}") else "max_tokens"


def _messages(prompt: Prompt) -> list[ChatCompletionMessageParam]:
    # One system and one user message first: chat templates of many local models take no other order.
    first, *rest = prompt.messages
    head = Message("user", f"{prompt.context}\n\n{first.text}" if prompt.context else first.text)
    said: list[ChatCompletionMessageParam] = [{"role": "system", "content": prompt.system}] if prompt.system else []
    for message in (head, *rest):
        if message.role == "user":
            said.append({"role": "user", "content": message.text})
        else:
            said.append({"role": "assistant", "content": message.text})
    return said


def _take(chunk: ChatCompletionChunk, incoming: Incoming) -> None:
    incoming.model = chunk.model or incoming.model
    usage = chunk.usage
    if usage is not None:
        details = usage.prompt_tokens_details
        incoming.input_tokens, incoming.output_tokens = usage.prompt_tokens, usage.completion_tokens
        incoming.cached_tokens = (details.cached_tokens if details else None) or 0
        incoming.written_tokens = (details.cache_write_tokens if details else None) or 0
    for choice in chunk.choices:
        incoming.add(choice.delta.content)
        if choice.delta.refusal:
            incoming.add(choice.delta.refusal)
            incoming.stop = "refusal"
        if choice.finish_reason and incoming.stop != "refusal":
            incoming.stop = STOPS.get(choice.finish_reason, "end")
