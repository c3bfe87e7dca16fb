"""Anthropic's Messages protocol, as a server speaks it."""

import json
from collections.abc import Iterator
from typing import Any

STOPS = {"end": "end_turn", "length": "max_tokens", "refusal": "refusal"}
KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def path(model: str) -> str:
    """Where a request for this model must go."""
    return "/v1/messages"


def read(path: str, body: dict[str, Any]) -> tuple[str, str]:
    """The model and every text of a request."""
    parts = [body.get("system", [])] + [message["content"] for message in body["messages"]]
    return body["model"], "\n".join(text for part in parts for text in _texts(part))


def _texts(content: Any) -> list[str]:
    return [content] if isinstance(content, str) else [block["text"] for block in content]


def _event(data: dict[str, Any]) -> bytes:
    return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode()


def begin(model: str, counts: dict[str, int]) -> Iterator[bytes]:
    """What comes before any text."""
    usage = {
        "input_tokens": counts["input"] - counts["cached"] - counts["written"],  # the rest alone, unlike elsewhere
        "cache_creation_input_tokens": counts["written"],
        "cache_read_input_tokens": counts["cached"],
        "output_tokens": 1,
        "service_tier": "standard",
    }
    message = {"id": "msg_01", "type": "message", "role": "assistant", "model": model, "content": []}
    yield _event({"type": "message_start", "message": message | {"stop_reason": None, "usage": usage}})
    yield _event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    yield ping()


def ping() -> bytes:
    """A sign of life."""
    return _event({"type": "ping"})


def thought(model: str, text: str) -> bytes:
    """A piece of thinking."""
    return _event({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": text}})


def piece(model: str, text: str, counts: dict[str, int]) -> bytes:
    """Some text."""
    return _event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})


def finish(model: str, stop: str, counts: dict[str, int] | None) -> Iterator[bytes]:
    """What comes after the last text."""
    yield _event({"type": "content_block_stop", "index": 0})
    usage = {"output_tokens": counts["output"] if counts else 0}
    delta = {"stop_reason": STOPS.get(stop, stop), "stop_sequence": None}
    yield _event({"type": "message_delta", "delta": delta, "usage": usage})
    yield _event({"type": "message_stop"})


def error(status: int, message: str, kind: str) -> bytes:
    """The body of an error."""
    kind = kind or KINDS.get(status, "api_error")
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_01"}).encode()


def stream_error() -> bytes:
    """An error in mid-stream: overloaded."""
    return _event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})


def half() -> bytes:
    """An event whose JSON breaks off."""
    return b'event: content_block_delta\ndata: {"type": "content_block_delta", "index": 0, "del\n\n'
