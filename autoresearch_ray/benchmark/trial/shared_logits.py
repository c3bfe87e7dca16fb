"""Tokens one way, logits the other: memory that a candidate's scoring process shares with its judge, and their words.

Words are JSON messages on a socket. The judge asks `{"load": true}`, then `{"ask": B}` for the B rows that lie in
`tokens`. Where all logits are carried over, they lie in `logits` when that is answered. Where they are too many, the
log-probability of each row's own next tokens lies in `own`; then `{"show": B}` asks for the logits at two positions a
row, `positions`, which are told only now. At the end comes `{"check": true}`. Each is answered by `{}`, by facts about
the model, or by `{"failure": [status, error]}`.

No target is in here but what a row's own tokens say of the ones before. The other side of this memory is not trusted:
copy, then check.
"""

import fcntl
import json
import math
import mmap
import os
import socket
from dataclasses import dataclass
from typing import Any

import numpy as np

from autoresearch_ray.benchmark.score import metric

SAMPLED = 2  # positions in a row whose logits are sent where not all are
MESSAGE = 1 << 16


@dataclass(frozen=True)
class Layout:
    """How large the shared arrays are; the same on both sides."""

    rows: int  # asked at a time
    seq_len: int
    vocab_size: int
    whole: bool  # on the CPU all logits are carried over; else some, because PCI Express is too slow for all

    @property
    def positions(self) -> int:
        """The positions in a row whose logits are carried over."""
        return self.seq_len if self.whole else SAMPLED

    @property
    def size(self) -> int:
        """Bytes in all."""
        return 4 * self.rows * (2 * self.seq_len + SAMPLED + self.positions * self.vocab_size)


def layout_for(rows: int, seq_len: int, vocab_size: int, device_type: str) -> Layout:
    """The layout for a data set whose larger split has so many rows."""
    return Layout(metric.batch_rows(rows, seq_len, vocab_size, device_type), seq_len, vocab_size, device_type == "cpu")


class Exchange:
    """The shared arrays, mapped from a descriptor."""

    def __init__(self, descriptor: int, layout: Layout) -> None:
        self.layout = layout
        self._buffer, self._at = mmap.mmap(descriptor, layout.size), 0
        rows, length = layout.rows, layout.seq_len
        self.tokens = self._array(np.int32, rows, length)
        self.own = self._array(np.float32, rows, length)
        self.positions = self._array(np.int32, rows, SAMPLED)
        self.logits = self._array(np.float32, rows, layout.positions, layout.vocab_size)

    def _array(self, dtype: type[np.int32] | type[np.float32], *shape: int) -> np.ndarray:
        count, at = math.prod(shape), self._at
        self._at += 4 * count
        return np.frombuffer(self._buffer, dtype, count, at).reshape(shape)


def new_memory(size: int) -> int:
    """A descriptor of fresh shared memory whose size is sealed."""
    descriptor = os.memfd_create("exchange", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return descriptor


def channel() -> tuple[socket.socket, socket.socket]:
    """Two ends for messages."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def tell(end: socket.socket, message: dict[str, Any]) -> None:
    end.send(json.dumps(message).encode())


def hear(end: socket.socket) -> dict[str, Any]:
    """The next message. EOFError when the other side is gone, ValueError if it is no message."""
    try:
        data = end.recv(MESSAGE)
    except ConnectionResetError:
        data = b""
    if not data:
        raise EOFError
    message = json.loads(data)
    if not isinstance(message, dict):
        raise ValueError(f"{type(message).__name__} is no message")
    return message
