"""An S3 server on loopback: moto's, which speaks the protocol and keeps buckets in memory.

It checks "create if absent" and then writes, not both at once: two writers at one instant are tested on a folder.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from moto.server import ThreadedMotoServer

HOST = "127.0.0.1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "hunter2", "AWS_REGION": "us-east-1"}


class S3Server:
    """A server that may be stopped and started again with everything that it held."""

    def __init__(self, host: str = HOST) -> None:
        self._host, self._port = host, 0
        self.start()

    @property
    def endpoint(self) -> str:
        return f"http://{self._host}:{self._port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs."""
        return CREDENTIALS | {"AWS_ENDPOINT_URL": self.endpoint, "NO_PROXY": self._host}

    def start(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line a request
        self._server = ThreadedMotoServer(self._host, self._port, verbose=False)
        self._server.start()
        self._port = self._server.get_host_and_port()[1]

    def stop(self) -> None:
        self._server.stop()

    def make_bucket(self, name: str) -> str:
        """A new bucket's URL."""
        requests.put(f"{self.endpoint}/{name}", timeout=30).raise_for_status()
        return f"s3://{name}"

    @contextmanager
    def strangers_refused(self) -> Iterator[None]:
        """Credentials that nobody has made are refused, until the end of `with`."""
        reset = f"{self.endpoint}/moto-api/reset-auth"
        requests.post(reset, data="0", timeout=30).raise_for_status()
        try:
            yield
        finally:
            requests.post(reset, data="inf", timeout=30).raise_for_status()


@contextmanager
def running_s3(host: str = HOST) -> Iterator[S3Server]:
    """A server, until the end of `with`; clients of this process and of those it starts find it."""
    server = S3Server(host)
    before = dict(os.environ)
    os.environ |= server.environment
    try:
        yield server
    finally:
        os.environ.clear()
        os.environ |= before
        server.stop()
