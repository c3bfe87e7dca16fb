"""The short way to the store actor for processes of its machine: a Unix socket, for transactions alone.

A call through Ray takes about a millisecond, more than a synced commit does. The socket has a random abstract name,
which Linux forgets with the process. Before either side unpickles anything, both prove that they know a secret that is
told through Ray: on kernels that do not keep candidates from abstract sockets, one of them may knock here too. Who
cannot get there (another node, another network namespace) goes on through Ray, and so does who loses the connection,
under the same request ids.

    client: 32 random bytes; server: 32 others, and its proof for the client's; client: its proof for the server's
    then messages, either way: the length in 8 bytes, and so many bytes of pickle
"""

import asyncio
import hmac
import pickle
import secrets
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from autoresearch_ray.common.errors import StoreError
from autoresearch_ray.store.contract import Txn, TxnResult

Answers = list[TxnResult | StoreError]

AGAIN_SECONDS = 10.0  # until one who could not get there tries again
PROOF_SECONDS = 5.0  # for a stranger to prove itself
RANDOM_BYTES = 32

_LENGTH = struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the socket is, and what who comes must know."""

    name: str
    secret: bytes

    def proof(self, of: str, challenge: bytes) -> bytes:
        """What the client or the server answers to the other's random bytes."""
        return hmac.digest(self.secret, of.encode() + challenge, "sha256")


Place = Endpoint  # as an actor that has outlived a driver of an older version sends it


async def serve(answer: Callable[[list[Txn]], Awaitable[Answers]]) -> Endpoint:
    """Answer all who come to the endpoint that is returned, as long as the event loop lives."""
    endpoint = Endpoint(secrets.token_hex(16), secrets.token_bytes(RANDOM_BYTES))

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PROOF_SECONDS):
                is_known = await _prove(endpoint, reader, writer)
            while is_known:
                (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                told = await _answer_or_error(answer, pickle.loads(await reader.readexactly(length)))
                writer.write(_message(told))
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):  # TimeoutError too
            return  # the client is gone
        finally:
            writer.close()

    await asyncio.start_unix_server(talk, f"\0{endpoint.name}")
    return endpoint


class NearLine:
    """One client's connection. One thread at a time may ask."""

    def __init__(self, find: Callable[[], Endpoint | None]) -> None:
        """`find` asks the actor for its endpoint."""
        self._find = find
        self._socket: socket.socket | None = None
        self._again_at = 0.0

    def ask(self, txns: list[Txn], timeout_seconds: float) -> Answers | None:
        """The answers, or None where this way leads nowhere now. StoreError as the actor's, TimeoutError."""
        connected = self._socket or self._connect()
        if connected is None:
            return None
        try:
            connected.settimeout(timeout_seconds)
            connected.sendall(_message(txns))
            (length,) = _LENGTH.unpack(_receive(connected, _LENGTH.size))
            told: Answers | StoreError = pickle.loads(_receive(connected, length))
        except TimeoutError:
            self.close()  # or its answer would be taken for the next one's
            raise
        except OSError:
            self.close()
            return None
        if isinstance(told, StoreError):
            raise told
        return told

    def close(self) -> None:
        """Hang up; the next one who asks connects again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> socket.socket | None:
        if time.monotonic() < self._again_at:
            return None
        self._again_at = time.monotonic() + AGAIN_SECONDS
        endpoint = self._find()
        if endpoint is None:
            return None
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(PROOF_SECONDS)
        try:
            made.connect(f"\0{endpoint.name}")
            challenge = secrets.token_bytes(RANDOM_BYTES)
            made.sendall(challenge)
            theirs, proof = _receive(made, RANDOM_BYTES), _receive(made, RANDOM_BYTES)
            if not hmac.compare_digest(proof, endpoint.proof("server", challenge)):
                raise ConnectionRefusedError("another has taken the actor's place")
            made.sendall(endpoint.proof("client", theirs))
        except OSError:
            made.close()
            return None
        self._socket, self._again_at = made, 0.0
        return made


async def _prove(endpoint: Endpoint, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Prove who we are, and hear whether the other knows the secret."""
    challenge = secrets.token_bytes(RANDOM_BYTES)
    writer.write(challenge + endpoint.proof("server", await reader.readexactly(RANDOM_BYTES)))
    return hmac.compare_digest(await reader.readexactly(RANDOM_BYTES), endpoint.proof("client", challenge))


async def _answer_or_error(answer: Callable[[list[Txn]], Awaitable[Answers]], txns: list[Txn]) -> Answers | StoreError:
    try:
        return await answer(txns)
    except StoreError as error:
        return error


def _message(content: object) -> bytes:
    pickled = pickle.dumps(content)
    return _LENGTH.pack(len(pickled)) + pickled


def _receive(connected: socket.socket, length: int) -> bytes:
    received = bytearray()
    while len(received) < length:
        part = connected.recv(min(length - len(received), 1 << 20))
        if not part:
            raise ConnectionResetError("the other side has ended")
        received += part
    return bytes(received)
