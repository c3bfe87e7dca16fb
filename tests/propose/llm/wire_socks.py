"""A SOCKS5 proxy on loopback (RFC 1928, no password, names and IPv4): it connects through and counts how often."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class _Proxy(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    connected: list[tuple[str, int]]


class _Handler(socketserver.BaseRequestHandler):
    server: _Proxy

    def handle(self) -> None:
        client: socket.socket = self.request
        methods = client.recv(2)[1]
        client.recv(methods)
        client.sendall(b"\x05\x00")
        kind = client.recv(4)[3]
        host = socket.inet_ntoa(client.recv(4)) if kind == 1 else client.recv(client.recv(1)[0]).decode()
        port = int.from_bytes(client.recv(2), "big")
        self.server.connected.append((host, port))
        with socket.create_connection((host, port)) as there:
            client.sendall(b"\x05\x00\x00\x01" + bytes(6))
            back = threading.Thread(target=_copy, args=(there, client))
            back.start()
            _copy(client, there)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(1 << 16):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def socks_proxy() -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """The proxy's URL, and where it was asked to connect to."""
    with _Proxy(("127.0.0.1", 0), _Handler) as proxy:
        proxy.connected = []
        threading.Thread(target=proxy.serve_forever, args=(0.02,), daemon=True).start()
        yield f"socks5://127.0.0.1:{proxy.server_address[1]}", proxy.connected
        proxy.shutdown()
