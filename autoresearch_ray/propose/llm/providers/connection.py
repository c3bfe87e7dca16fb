"""The HTTP client that all three SDKs are given: it tells the call's watch of every byte.

Needs httpx2, which each of the SDKs brings along; so import it only after one of them.
"""

import ssl
from collections.abc import AsyncIterator

import anyio
import httpx2

from autoresearch_ray.propose.llm.providers.watch import Patience, Watch, current_watch

BROKEN: tuple[type[Exception], ...] = (  # exceptions of a broken connection or body, the SDKs' own aside
    httpx2.HTTPError,
    httpx2.StreamError,
    ssl.SSLError,
    OSError,
    anyio.EndOfStream,
    anyio.BrokenResourceError,
)
LAST_BYTES = 64  # the end of a body that is kept, to see how it ended

UNUSABLE: tuple[type[Exception], ...] = (  # exceptions of a client that cannot be set up: proxies, certificates
    ImportError,
    OSError,
    ValueError,
    httpx2.InvalidURL,
)


class _Told(httpx2.AsyncByteStream):
    """A body that tells the watch of each piece."""

    def __init__(self, body: httpx2.AsyncByteStream, watch: Watch) -> None:
        self._body, self._watch = body, watch

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._body:
            self._watch.bytes_came()
            self._watch.last_bytes = (self._watch.last_bytes + piece)[-LAST_BYTES:]
            yield piece

    async def aclose(self) -> None:
        await self._body.aclose()


def http_client(patience: Patience) -> httpx2.AsyncClient:
    """A client for any number of calls at once, each inside its own watch."""
    limits = {"connect": patience.connect_seconds, "read": None, "write": None, "pool": None}

    async def send(request: httpx2.Request) -> None:
        request.extensions = {**request.extensions, "timeout": limits}  # the watch limits the rest
        current_watch().sent, current_watch().url = True, str(request.url)

    async def receive(response: httpx2.Response) -> None:
        watch = current_watch()
        watch.status = response.status_code
        assert isinstance(response.stream, httpx2.AsyncByteStream), response.stream
        response.stream = _Told(response.stream, watch)

    return httpx2.AsyncClient(event_hooks={"request": [send], "response": [receive]})


def never_reached(error: BaseException) -> bool:
    """Whether the request cannot have reached the provider: no connection was made."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
