"""The chat completions protocol, as OpenAI and the many servers that are compatible speak it."""

import json
from collections.abc import Iterator
from typing import Any

STOPS = {"end": "stop", "length": "length", "refusal": "content_filter"}
KINDS = {400: "invalid_request_error", 401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}


def path(model: str) -> str:
    """Where a request for this model must go."""
    return "/v1/chat/completions"


def read(path: str, body: dict[str, Any]) -> tuple[str, str]:
    """The model and every text of a request."""
    return body["model"], "\n".join(message["content"] for message in body["messages"])


def _event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


def _chunk(model: str, choices: list[dict[str, Any]], **more: Any) -> bytes:
    head = {"id": "chatcmpl-01", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": model}
    return _event(head | {"choices": choices} | more)


def _choice(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def begin(model: str, counts: dict[str, int]) -> Iterator[bytes]:
    """What comes before any text."""
    yield _chunk(model, [_choice({"role": "assistant", "content": ""})], usage=None)


def ping() -> bytes:
    """A sign of life."""
    return b": keep-alive\n\n"


def piece(model: str, text: str, counts: dict[str, int]) -> bytes:
    """Some text."""
    return _chunk(model, [_choice({"content": text})], usage=None)


def thought(model: str, text: str) -> bytes:
    """A piece of thinking, as vLLM, SGLang and DeepSeek name it."""
    return _chunk(model, [_choice({"reasoning_content": text})], usage=None)


def finish(model: str, stop: str | None, counts: dict[str, int] | None) -> Iterator[bytes]:
    """What comes after the last text."""
    yield _chunk(model, [_choice({}, STOPS.get(stop, stop) if stop else stop)], usage=None)
    if counts:
        usage = {
            "prompt_tokens": counts["input"],
            "completion_tokens": counts["output"],
            "total_tokens": counts["input"] + counts["output"],
            "prompt_tokens_details": {"cached_tokens": counts["cached"], "cache_write_tokens": counts["written"]},
        }
        yield _chunk(model, [], usage=usage)
    yield b"data: [DONE]\n\n"


def error(status: int, message: str, kind: str) -> bytes:
    """The body of an error."""
    kind = kind or KINDS.get(status, "server_error")
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": kind}}).encode()


def stream_error() -> bytes:
    """An error in mid-stream: overloaded."""
    body = {"message": "The server is overloaded.", "type": "server_error", "code": "server_error", "param": None}
    return _event({"error": body})


def half() -> bytes:
    """An event whose JSON breaks off."""
    return b'data: {"id": "chatcmpl-01", "choices": [{"index": 0, "de\n\n'
