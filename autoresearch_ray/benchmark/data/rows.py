"""Documents to token rows of one fixed length, written as they are made, so that memory stays small.

Every row begins with `<|bos|>`, so does every document. Documents lie one after another; where a row is full, the
document goes on in the next, behind that row's `<|bos|>`. Nothing is cropped; only the last, incomplete row of train
is dropped. (Upstream fills rows by best fit and crops what does not fit. On the standard library at seq_len 128 that
keeps 2.3 % of the tokens, for most files are longer than a row and lose all but its length.)
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tiktoken

from autoresearch_ray.benchmark.data.corpus import Spool
from autoresearch_ray.benchmark.data.tokenizer import encode

BATCH_BYTES = 4_000_000  # text encoded at a time


@dataclass(frozen=True)
class SplitSize:
    """How much a split holds."""

    rows: int
    tokens: int  # targets: rows * seq_len, document starts included
    bytes: int  # bytes of text that the targets stand for
    documents: int  # documents in it, the last perhaps in part


def write_rows(
    path: Path, spool: Spool, numbers: list[int], encoding: tiktoken.Encoding, token_bytes: np.ndarray, seq_len: int
) -> SplitSize:
    """Writes the whole rows (N, seq_len + 1) uint16 of the documents `numbers`; the incomplete last row is dropped."""
    rows = size = 0
    rest = np.empty(0, dtype=np.uint16)
    with path.open("wb") as file:
        for tokens, _ in token_batches(spool, numbers, encoding):
            stream = np.concatenate([rest, tokens])
            body = stream[: len(stream) // seq_len * seq_len].reshape(-1, seq_len)
            rest = stream[body.size :]
            file.write(_with_bos(body, encoding).tobytes())
            rows += len(body)
            size += int(token_bytes[body].sum(dtype=np.int64))
    return SplitSize(rows, rows * seq_len, size, len(numbers))


def write_exact_rows(
    path: Path,
    spool: Spool,
    numbers: list[int],
    encoding: tiktoken.Encoding,
    token_bytes: np.ndarray,
    seq_len: int,
    rows: int,
) -> SplitSize:
    """Writes exactly `rows` rows from the first of `numbers`, or as many as they give; `documents` says how many."""
    wanted, have, used = rows * seq_len, 0, 0
    parts: list[np.ndarray] = []
    for tokens, lengths in token_batches(spool, numbers, encoding):
        parts.append(tokens)
        needed = int(np.searchsorted(np.cumsum(lengths), wanted - have)) + 1
        used += min(needed, len(lengths))
        have += len(tokens)
        if have >= wanted:
            break
    stream = np.concatenate(parts) if parts else np.empty(0, dtype=np.uint16)
    body = stream[: min(wanted, have // seq_len * seq_len)].reshape(-1, seq_len)
    path.write_bytes(_with_bos(body, encoding).tobytes())
    return SplitSize(len(body), body.size, int(token_bytes[body].sum(dtype=np.int64)), used)


def token_batches(
    spool: Spool, numbers: list[int], encoding: tiktoken.Encoding
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches of whole documents: tokens (n,) uint16, each document led by `<|bos|>`, and their lengths."""
    bos, threads = encoding.n_vocab - 1, min(8, os.cpu_count() or 1)
    for batch in _batches(spool, numbers):
        texts = [spool.text(number) for number in batch]
        encoded = encode(encoding, texts, threads)
        lengths = np.array([len(tokens) + 1 for tokens in encoded], dtype=np.int64)
        stream = np.empty(int(lengths.sum()), dtype=np.uint16)
        at = 0
        for tokens in encoded:
            stream[at] = bos
            stream[at + 1 : at + 1 + len(tokens)] = tokens
            at += len(tokens) + 1
        yield stream, lengths


def _batches(spool: Spool, numbers: list[int]) -> Iterator[list[int]]:
    batch: list[int] = []
    size = 0
    for number in numbers:
        batch.append(number)
        size += spool.size(number)
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _with_bos(body: np.ndarray, encoding: tiktoken.Encoding) -> np.ndarray:
    bos = np.full((len(body), 1), encoding.n_vocab - 1, dtype=np.uint16)
    return np.hstack([bos, body])
