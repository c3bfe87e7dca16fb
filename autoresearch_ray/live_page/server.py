"""The server of a run's page, for the browsers of this machine: it listens on loopback alone, and only reads.

    GET /               the page
    GET /data           what it shows now, as JSON; 304 to a client that has this revision
    GET /trial/ID       all about one trial, as JSON
    GET /files/PATH     a file of the run as plain text, see `run_files`

Requests for another host or from another origin are refused. Otherwise a foreign web page could read this one through
a name of its own that leads to 127.0.0.1 (DNS rebinding).
"""

import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from autoresearch_ray.common.errors import AutoresearchError
from autoresearch_ray.live_page.page import LivePage
from autoresearch_ray.live_page.run_files import read_shown
from autoresearch_ray.observe.report.page import policy

LOOPBACK = "127.0.0.1"
IDLE_SECONDS = 60.0  # a connection without a request is closed after it
TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
JSON = "application/json"
NOTHING = "default-src 'none'; frame-ancestors 'none'"  # a policy for what is no page


class PageServer(ThreadingHTTPServer):
    """Serves one run; `serve_forever` until `shutdown`. OSError if the port is taken (0: a free one)."""

    daemon_threads = True

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.folder, self.page = folder, LivePage(folder)
        super().__init__((LOOPBACK, port), _Handler)
        self.hosts = frozenset(f"{host}:{self.server_port}" for host in (LOOPBACK, "localhost", "[::1]"))

    @property
    def url(self) -> str:
        """The page's address."""
        return f"http://{LOOPBACK}:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that has gone is no error; all else is told on standard error."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "autoresearch", ""
    timeout = IDLE_SECONDS

    def do_GET(self) -> None:
        if not self._is_ours():
            self._tell(403, f"This page is for browsers of this machine, at {self.server.url}")
            return
        path = unquote(urlsplit(self.path).path)
        try:
            self._answer(path)
        except AutoresearchError as error:
            self._tell(503, f"The run cannot be read: {error}")

    do_HEAD = do_GET

    def _refuse(self) -> None:
        self.close_connection = True  # its body was not read
        self._tell(405, "This page is only read: GET or HEAD")

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_CONNECT = do_TRACE = _refuse

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not told."""

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)

    def _answer(self, path: str) -> None:
        if path == "/":
            self._send(200, HTML, self.server.page.render().document, f"{policy(True)}; frame-ancestors 'none'")
        elif path == "/data":
            rendered = self.server.page.render()
            tag = f'"{rendered.revision}"'
            is_known = self.headers.get("If-None-Match") == tag
            self._send(304 if is_known else 200, JSON, b"" if is_known else rendered.data, tag=tag)
        elif path.startswith("/trial/"):
            content = self.server.page.trial(path.removeprefix("/trial/"))
            if content is None:
                self._tell(404, "The run has no such trial")
            else:
                self._send(200, JSON, content)
        elif path.startswith("/files/"):
            content = read_shown(self.server.folder, path.removeprefix("/files/"))
            if content is None:
                self._tell(404, "The run has no such file to show")
            else:
                self._send(200, TEXT, content)
        else:
            self._tell(404, "There is nothing here")

    def _is_ours(self) -> bool:
        hosts, origins = self.headers.get_all("Host", []), self.headers.get_all("Origin", [])
        own = {f"http://{host}" for host in self.server.hosts}
        return len(hosts) == 1 and hosts[0].lower() in self.server.hosts and set(origins) <= own

    def _tell(self, status: int, words: str) -> None:
        self._send(status, TEXT, f"{words}\n".encode())

    def _send(self, status: int, kind: str, content: bytes, rules: str = NOTHING, tag: str = "") -> None:
        self.send_response(status)
        headers = {
            "Content-Type": kind,
            "Content-Security-Policy": rules,
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-cache" if tag else "no-store",
        }
        headers |= {"ETag": tag} if tag else {}
        headers |= {"Content-Length": str(len(content))} if status != 304 else {}
        headers |= {"Allow": "GET, HEAD"} if status == 405 else {}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
