"""Anthropic's Messages protocol as Amazon Bedrock serves it: the model in the path, events in AWS's binary frames."""

import base64
import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote

import wire_anthropic

CONTENT_TYPE = "application/vnd.amazon.eventstream"


def path(model: str) -> str:
    """Where a request for this model must go."""
    return f"/model/{quote(model, safe=':')}/invoke-with-response-stream"


def read(path: str, body: dict[str, Any]) -> tuple[str, str]:
    """The model and every text of a request."""
    assert body["anthropic_version"] and "model" not in body, body
    model = unquote(path.removeprefix("/model/").partition("/")[0])
    return model, wire_anthropic.read(path, body | {"model": model})[1]


def _frame(event: bytes) -> bytes:
    """A server-sent event as a frame: lengths and checksum, headers, payload, checksum."""
    data = event.decode().partition("data: ")[2].strip()
    payload = json.dumps({"bytes": base64.b64encode(data.encode()).decode()}).encode()
    names = {":message-type": "event", ":event-type": "chunk", ":content-type": "application/json"}
    headers = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in names.items()
    )
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    begun = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return begun + struct.pack(">I", zlib.crc32(begun))


def begin(model: str, counts: dict[str, int]) -> Iterator[bytes]:
    """What comes before any text."""
    yield from map(_frame, wire_anthropic.begin(model, counts))


def ping() -> bytes:
    """A sign of life."""
    return _frame(wire_anthropic.ping())


def thought(model: str, text: str) -> bytes:
    """A piece of thinking."""
    return _frame(wire_anthropic.thought(model, text))


def piece(model: str, text: str, counts: dict[str, int]) -> bytes:
    """Some text."""
    return _frame(wire_anthropic.piece(model, text, counts))


def finish(model: str, stop: str, counts: dict[str, int] | None) -> Iterator[bytes]:
    """What comes after the last text."""
    yield from map(_frame, wire_anthropic.finish(model, stop, counts))


def error(status: int, message: str, kind: str) -> bytes:
    """The body of an error."""
    return json.dumps({"message": message}).encode()
