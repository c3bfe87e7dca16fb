"""A language model's provider on loopback, scripted: it speaks the provider's real wire protocol, faults included.

    with WireServer("anthropic", [Say("hello"), Fail(429, retry_after="2"), Drop()]) as server:
        ... base_url=server.url ...
        server.requests[0].text     # all that the prompt said

The script is a list, whose last reply is repeated, or a function from request to reply. Protocols: anthropic
(Messages), gemini (streamGenerateContent), openai (chat completions), each as server-sent events, as the official
SDKs ask for them, and what Azure, Bedrock and Vertex make of these. Any process of the machine may be a client.
"""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import wire_anthropic
import wire_azure
import wire_bedrock
import wire_gemini
import wire_openai
import wire_vertex
from wire_replies import Drop, Fail, Reply, Request, Say, Script, Silence, tokens

__all__ = ["PROTOCOLS", "Drop", "Fail", "Protocol", "Reply", "Request", "Say", "Script", "Silence", "WireServer"]

Protocol = Literal["anthropic", "gemini", "openai", "azure", "bedrock", "vertex"]
PROTOCOLS: tuple[Protocol, ...] = ("anthropic", "gemini", "openai")
SPOKEN: dict[Protocol, Any] = {
    "anthropic": wire_anthropic,
    "gemini": wire_gemini,
    "openai": wire_openai,
    "azure": wire_azure,
    "bedrock": wire_bedrock,
    "vertex": wire_vertex,
}


class WireServer:
    """The server; starts when entered, ends everything that hangs when left."""

    def __init__(self, protocol: Protocol, script: Script) -> None:
        self.protocol, self.script = protocol, script
        self.requests: list[Request] = []
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.wire = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """What a client takes as its base URL."""
        root = f"http://127.0.0.1:{self._server.server_address[1]}"
        return root + "/v1" if self.protocol == "openai" else root

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def reply_to(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> tuple[Request, Reply]:
        """Record a request and look up its reply."""
        model, text = SPOKEN[self.protocol].read(path, body)
        with self._lock:
            number = len(self.requests)
            request = Request(number, path, headers, body, model, text)
            self.requests.append(request)
        if callable(self.script):
            return request, self.script(request)
        return request, self.script[min(number, len(self.script) - 1)]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = True
    request_queue_size = 64
    wire: WireServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is part of the script."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    timeout = 30.0
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        wire = self.server.wire
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request, reply = wire.reply_to(self.path, headers, body)
        if urlsplit(self.path).path != SPOKEN[wire.protocol].path(request.model):
            reply = Fail(404, f"no such path: {self.path}")
        if isinstance(reply, Silence):
            wire.closing.wait(reply.seconds)
        if isinstance(reply, Say):
            self._say(request, reply)
        elif isinstance(reply, Fail):
            self._fail(reply)
        else:
            self._reset()

    def _fail(self, reply: Fail) -> None:
        spoken = SPOKEN[self.server.wire.protocol]
        body = reply.body if reply.body is not None else spoken.error(reply.status, reply.message, reply.kind)
        self.send_response(reply.status)
        self.send_header("content-type", reply.content_type)
        self.send_header("content-length", str(len(body)))
        if reply.retry_after is not None:
            self.send_header("retry-after", reply.retry_after)
        self.end_headers()
        self.wfile.write(body)

    def _say(self, request: Request, reply: Say) -> None:
        self.send_response(200)
        sort = getattr(SPOKEN[self.server.wire.protocol], "CONTENT_TYPE", "text/event-stream; charset=utf-8")
        self.send_header("content-type", sort)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in self._events(request, reply):
            self._chunk(event)
        if reply.end == "whole":
            self._chunk(b"")
        elif reply.end == "error":
            self._chunk(SPOKEN[self.server.wire.protocol].stream_error())
            self._chunk(b"")
        elif reply.end == "stall":
            self.server.wire.closing.wait(600)
        elif reply.end == "half":
            self._chunk(SPOKEN[self.server.wire.protocol].half())
            self._chunk(b"")
        elif reply.end == "reset":
            self._reset()
        self.close_connection = self.close_connection or reply.end != "whole"

    def _events(self, request: Request, reply: Say) -> Iterator[bytes]:
        """The stream's events with their pauses; those that end the answer only if it ends whole."""
        spoken, closing = SPOKEN[self.server.wire.protocol], self.server.wire.closing
        counts = tokens(request, reply)
        yield from spoken.begin(request.model, counts)
        for _ in range(reply.pings):
            closing.wait(reply.wait / reply.pings)
            yield spoken.ping()
        if not reply.pings:
            closing.wait(reply.wait)
        if reply.thinking:
            yield spoken.thought(request.model, reply.thinking)
        for index, text in enumerate(reply.texts):
            if index:
                closing.wait(reply.pause)
            yield spoken.piece(request.model, text, counts)
        if reply.end == "whole":
            yield from spoken.finish(request.model, reply.stop, counts if reply.usage else None)

    def _chunk(self, data: bytes) -> None:
        with suppress(OSError):
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.connection.close()
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
