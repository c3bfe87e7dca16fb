"""A TCP proxy on loopback that loses answers, as a network does that fails after a request got through."""

import contextlib
import socket
import threading
from collections.abc import Iterator


class LossyProxy:
    """Forwards every connection; `lose` makes it swallow answers, `cut` ends all connections."""

    def __init__(self, target: str) -> None:
        host, _, port = target.partition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._sparing, self._losing = 0, 0
        self.lost = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def lose(self, answers: int, after: int = 0) -> None:
        """Let some answers through, then swallow as many and hang up instead."""
        self._sparing, self._losing = after, answers

    def cut(self) -> None:
        """End all connections; new ones are served."""
        for connection in list(self._open):
            _close(connection)

    def close(self) -> None:
        """End everything."""
        _close(self._listener)
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._open += [client, server]
                threading.Thread(target=self._forward, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._forward, args=(server, client, True), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if answers and self._is_lost():
                    break
                sink.sendall(data)
        _close(source)
        _close(sink)

    def _is_lost(self) -> bool:
        if self._sparing:
            self._sparing -= 1
            return False
        if self._losing:
            self._losing, self.lost = self._losing - 1, self.lost + 1
            return True
        return False


@contextlib.contextmanager
def lossy_proxy(target: str) -> Iterator[LossyProxy]:
    """A proxy to this host:port until the end of `with`."""
    proxy = LossyProxy(target)
    try:
        yield proxy
    finally:
        proxy.close()


def _close(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
