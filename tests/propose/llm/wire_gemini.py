"""Gemini's streamGenerateContent protocol, as a server speaks it."""

import json
from collections.abc import Iterator
from typing import Any

STOPS = {"end": "STOP", "length": "MAX_TOKENS", "refusal": "PROHIBITED_CONTENT"}
KINDS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def path(model: str) -> str:
    """Where a request for this model must go."""
    return f"/v1/models/{model}:streamGenerateContent"


def read(path: str, body: dict[str, Any]) -> tuple[str, str]:
    """The model and every text of a request."""
    contents = [body.get("systemInstruction", {"parts": []}), *body["contents"]]
    texts = [part["text"] for content in contents for part in content["parts"]]
    return path.partition("/models/")[2].partition(":")[0], "\n".join(texts)


def _event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\r\n\r\n".encode()


def _usage(counts: dict[str, int]) -> dict[str, Any]:
    thoughts = counts["output"] // 2  # half of the output is thinking, and costs like the rest
    return {
        "promptTokenCount": counts["input"],
        "cachedContentTokenCount": counts["cached"],
        "candidatesTokenCount": counts["output"] - thoughts,
        "thoughtsTokenCount": thoughts,
        "totalTokenCount": counts["input"] + counts["output"],
    }


def _answer(model: str, parts: list[dict[str, Any]], finish_reason: str | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if finish_reason:
        candidate["finishReason"] = finish_reason
    return {"candidates": [candidate], "modelVersion": model, "responseId": "r01"}


def begin(model: str, counts: dict[str, int]) -> Iterator[bytes]:
    """What comes before any text: nothing."""
    yield from ()


def thought(model: str, text: str) -> bytes:
    """A piece of thinking."""
    return _event(_answer(model, [{"text": text, "thought": True}]))


def ping() -> bytes:
    """A sign of life: another thought, for there are no pings here, and the SDK stumbles over comments."""
    return _event(_answer("", [{"text": "Still thinking.", "thought": True}]))


def piece(model: str, text: str, counts: dict[str, int]) -> bytes:
    """Some text."""
    return _event(_answer(model, [{"text": text}]))


def finish(model: str, stop: str, counts: dict[str, int] | None) -> Iterator[bytes]:
    """What comes after the last text."""
    last = _answer(model, [{"text": ""}], STOPS.get(stop, stop))
    if stop == "CONTINUATION":
        last["candidates"][0]["continuationToken"] = "Z28gb24="
    yield _event(last | {"usageMetadata": _usage(counts)} if counts else last)


def error(status: int, message: str, kind: str) -> bytes:
    """The body of an error; the kind is a reason in its details."""
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": kind}] if kind else []
    status_name = KINDS.get(status, "UNKNOWN")
    return json.dumps(
        {"error": {"code": status, "message": message, "status": status_name, "details": details}}
    ).encode()


def stream_error() -> bytes:
    """An error in mid-stream: overloaded."""
    return _event({"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}})


def half() -> bytes:
    """An event whose JSON breaks off."""
    return b'data: {"candidates": [{"content": {"parts": [{"te\r\n\r\n'
