"""OpenAI's models, and every server that speaks chat completions as OpenAI does: vLLM, Ollama, llama.cpp ...

Chat completions and not the newer Responses API, for that is what those servers have.
"""

import json
import logging
from typing import Any, Literal

import openai
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

from autoresearch_ray.common.errors import ProviderError, TooLongError
from autoresearch_ray.common.text import one_line
from autoresearch_ray.propose.llm.calls import Message, Prompt
from autoresearch_ray.propose.llm.providers.connection import BROKEN, http_client, never_reached
from autoresearch_ray.propose.llm.providers.failures import MESSAGE_CHARS
from autoresearch_ray.propose.llm.providers.keys import Key
from autoresearch_ray.propose.llm.providers.provider import Incoming
from autoresearch_ray.propose.llm.providers.sdk import dig, status_failure
from autoresearch_ray.propose.llm.providers.watch import Patience
from autoresearch_ray.propose.llm.providers.ways import Way, next_way

STOPS: dict[str, Literal["length", "refusal"]] = {"length": "length", "content_filter": "refusal"}
OWN_DOMAIN = "openai.com"
DONE = b"[DONE]"  # ends a stream, even one that gave no stop reason

logger = logging.getLogger(__name__)


class OpenAIWire:
    """See Wire in provider.py."""

    provider = "openai"  # another provider that speaks this protocol has its own name

    broken: tuple[type[Exception], ...] = (openai.OpenAIError, *BROKEN)

    def __init__(self, model: str, key: Key, base_url: str | None, patience: Patience) -> None:
        self._model, self._key = model, key
        self._client = self._connect(key, base_url, patience)
        self._way = Way(limit_names(self._client.base_url.host))

    def _connect(self, key: Key, base_url: str | None, patience: Patience) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            api_key=key.reveal(),
            base_url=base_url,
            max_retries=0,  # retry.py does it
            http_client=http_client(patience),
        )

    async def stream(self, prompt: Prompt, incoming: Incoming) -> None:
        """Send the prompt and add what comes, to the end; in another way, now and later, where one is refused."""
        while True:
            way = self._way
            try:
                await self._stream(prompt, incoming, way)
                return
            except openai.APIStatusError as error:
                message, param = self._message(error), str(dig(error.body, "param") or "")
                other = next_way(way, error.status_code, message, param)
                if other is None or isinstance(self.failure(error), TooLongError):
                    raise
            if self._way == way:  # else another call has already found it out
                self._way = other
                who = f"{self.provider}:{self._model}"
                logger.info(
                    "%s refused (%s); asked %s from now on", who, one_line(message, MESSAGE_CHARS), other.describe()
                )

    async def _stream(self, prompt: Prompt, incoming: Incoming, way: Way) -> None:
        more: dict[str, Any] = {way.limits[0]: prompt.max_answer_tokens}
        if way.stream and way.counts:
            more["stream_options"] = {"include_usage": True}
        if not way.stream:
            incoming.watch.expect_whole()
        stream = await self._client.chat.completions.create(
            model=self._model,
            messages=_messages(prompt, way.system),
            stream=True,  # the SDK reads both sorts of answer then
            extra_body=more if way.stream else more | {"stream": False},
        )
        async with stream:
            if "json" in stream.response.headers.get("content-type", ""):  # not streamed, asked for or not
                _take_whole(json.loads(await stream.response.aread()), stream.response.request, incoming)
                return
            async for chunk in stream:
                _take(chunk, incoming)
        if incoming.stop is None and DONE in incoming.watch.last_bytes:
            incoming.stop = "end"

    def failure(self, error: Exception) -> ProviderError | None:
        """What the provider said was wrong; None when it said nothing, for the connection broke."""
        if not isinstance(error, openai.APIError) or isinstance(error, openai.APIConnectionError):
            return None
        kinds = [str(kind) for kind in (error.type, error.code) if kind]  # some have numbers there
        status, headers = 200, {}
        if isinstance(error, openai.APIStatusError):
            status, headers = error.status_code, dict(error.response.headers)
        return status_failure(self.provider, self._model, self._key, status, kinds, self._message(error), headers)

    def _message(self, error: openai.APIError) -> str:
        """The provider's own words, without the key."""
        return self._key.scrub(str(dig(error.body, "message") or error.message))

    def reached(self, error: Exception) -> bool:
        """Whether the request may have reached the provider."""
        return not never_reached(error)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def limit_names(host: str) -> tuple[str, str]:
    """Names of the answer's limit: OpenAI's reasoning models refuse max_tokens, many other servers know only that."""
    own = host == OWN_DOMAIN or host.endswith(f".{OWN_DOMAIN}")
    return ("max_completion_tokens", "max_tokens") if own else ("max_tokens", "max_completion_tokens")


def _messages(prompt: Prompt, has_system: bool) -> list[ChatCompletionMessageParam]:
    # Chat templates of many local models only accept one system and one user message first.
    first, *rest = prompt.messages
    system = prompt.system if has_system else ""
    head = Message("user", "\n\n".join(filter(None, ("" if system else prompt.system, prompt.context, first.text))))
    said: list[ChatCompletionMessageParam] = [{"role": "system", "content": system}] if system else []
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
        _add(choice.delta.content, incoming)
        extra = choice.delta.model_extra or {}  # the name depends on the server
        incoming.thought = incoming.thought or bool(extra.get("reasoning_content") or extra.get("reasoning"))
        if choice.delta.refusal:
            incoming.add(choice.delta.refusal)
            incoming.stop = "refusal"
        if choice.finish_reason and incoming.stop != "refusal":
            incoming.stop = STOPS.get(choice.finish_reason, "end")


def _add(content: Any, incoming: Incoming) -> None:
    """A piece of text, or a list of parts of which some are thinking, as Mistral's reasoning models send it."""
    for part in content if isinstance(content, list) else [{"type": "text", "text": content}]:
        incoming.thought = incoming.thought or part["type"] == "thinking"
        incoming.add(part["text"] if part["type"] == "text" else None)


def _take_whole(body: Any, request: Any, incoming: Incoming) -> None:
    """An answer in one piece, as the one chunk of a stream; or an error, which some send with status 200."""
    if error := dig(body, "error"):
        raise openai.APIError(str(dig(error, "message") or error), request, body=error)
    choices = [choice | {"delta": choice["message"]} for choice in body["choices"]]
    _take(ChatCompletionChunk.construct(**body | {"choices": choices}), incoming)
    incoming.stop = incoming.stop or "end"
