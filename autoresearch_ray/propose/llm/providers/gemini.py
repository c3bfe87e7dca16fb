"""Gemini, by Google's Gemini API (google-genai; its predecessor google-generativeai is no longer supported)."""

from typing import Literal

from google import genai
from google.genai import errors, types

from autoresearch_ray.common.errors import ProviderError
from autoresearch_ray.propose.llm.calls import Prompt
from autoresearch_ray.propose.llm.providers.connection import BROKEN, http_client, never_reached
from autoresearch_ray.propose.llm.providers.keys import Key
from autoresearch_ray.propose.llm.providers.provider import Incoming
from autoresearch_ray.propose.llm.providers.sdk import dig, status_failure
from autoresearch_ray.propose.llm.providers.watch import Patience

STOPS: dict[str, Literal["end", "length"]] = {"STOP": "end", "MAX_TOKENS": "length", "CONTINUATION": "length"}
BROKEN_STOPS = {"OTHER", "MALFORMED_RESPONSE", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"}
ROLES = {"user": "user", "assistant": "model"}


class GeminiWire:
    """See Wire in provider.py."""

    provider = "gemini"

    broken: tuple[type[Exception], ...] = (errors.APIError, errors.UnknownApiResponseError, *BROKEN)

    def __init__(self, model: str, key: Key, base_url: str | None, patience: Patience) -> None:
        self._model, self._key = model, key
        self._http = http_client(patience)  # given a client, the SDK uses neither aiohttp nor a retry of its own
        options = types.HttpOptions(
            base_url=base_url,
            httpx_async_client=self._http,
            headers={"X-Server-Timeout": f"{patience.call_seconds:.0f}"},
        )
        self._client = self._connect(key, options)

    def _connect(self, key: Key, options: types.HttpOptions) -> genai.Client:
        return genai.Client(api_key=key.reveal(), vertexai=False, http_options=options)

    async def stream(self, prompt: Prompt, incoming: Incoming) -> None:
        """Send the prompt and add what comes, to the end."""
        config = types.GenerateContentConfig(
            system_instruction=prompt.system or None,
            max_output_tokens=prompt.max_answer_tokens,
            automatic_continuation=False,  # it would send, and pay, one request after another
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        )
        chunks = await self._client.aio.models.generate_content_stream(
            model=self._model, contents=_contents(prompt), config=config
        )
        async for chunk in chunks:
            _take(chunk, incoming)

    def failure(self, error: Exception) -> ProviderError | None:
        """The provider's error; None when it sent none because the connection broke."""
        if not isinstance(error, errors.APIError):
            return None
        details = dig(error.details, "error", "details") or []
        kinds = [str(kind) for kind in (error.status, *(dig(detail, "reason") for detail in details)) if kind]
        headers = dict(getattr(error.response, "headers", None) or {})
        for detail in details:
            delay = str(dig(detail, "retryDelay") or "")
            if delay.endswith("s"):
                headers.setdefault("retry-after", delay[:-1])
        return status_failure(self.provider, self._model, self._key, error.code, kinds, str(error.message), headers)

    def reached(self, error: Exception) -> bool:
        """Whether the request may have reached the provider."""
        return not never_reached(error)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aio.aclose()
        await self._http.aclose()


def _contents(prompt: Prompt) -> list[types.ContentUnion]:
    contents: list[types.ContentUnion] = []
    for index, message in enumerate(prompt.messages):
        texts = [message.text] if index or not prompt.context else [prompt.context, message.text]
        parts = [types.Part(text=text) for text in texts]
        contents.append(types.Content(role=ROLES[message.role], parts=parts))
    return contents


def _take(chunk: types.GenerateContentResponse, incoming: Incoming) -> None:
    incoming.model = chunk.model_version or incoming.model
    usage = chunk.usage_metadata
    if usage is not None:
        incoming.input_tokens = usage.prompt_token_count or 0
        incoming.cached_tokens = usage.cached_content_token_count or 0
        incoming.output_tokens = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
    if chunk.prompt_feedback is not None and chunk.prompt_feedback.block_reason is not None:
        incoming.stop = "refusal"
    for candidate in chunk.candidates or []:
        for part in (candidate.content.parts if candidate.content else None) or []:
            if part.thought:
                incoming.thought = True
            else:
                incoming.add(part.text)
        if candidate.finish_reason is not None:
            reason = candidate.finish_reason.value
            incoming.stop = None if reason in BROKEN_STOPS else STOPS.get(reason, "refusal")
