"""A byte-level BPE tokenizer: trained by rustbpe, applied by tiktoken, kept as JSON.

The vocabulary is the 256 bytes, the merges, and last the one special token `<|bos|>` that begins documents and rows.
Every text can be encoded, and decoding gives the same bytes back.
"""

import base64
import json
import re
from collections.abc import Iterator
from itertools import chain, islice, pairwise
from pathlib import Path

import numpy as np
import rustbpe
import tiktoken

from autoresearch_ray.common.errors import DataError

BOS = "<|bos|>"
# GPT-4's split, with groups of two digits in place of three, as in nanochat: small vocabularies have no room for 1,000.
PATTERN = (
    r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}|"""
    r""" ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"""
)
# The engine of both libraries panics where `\s+(?!\S)` meets a longer run of blanks. What lies before an end of a line
# is taken by the alternative before.
LONGEST_RUN = 999_998
BLANKS = "\t\x0b\x0c \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
TOO_LONG_RUN = re.compile(f"(?<![{BLANKS}])[{BLANKS}]{{{LONGEST_RUN + 1},}}+(?![\r\n])")


def train_tokenizer(texts: Iterator[str], vocab_size: int) -> tiktoken.Encoding:
    """A tokenizer of exactly `vocab_size` tokens, `<|bos|>` included; DataError if the text is too small for that."""
    trainer = rustbpe.Tokenizer()
    trainer.train_from_iterator(chain.from_iterable(map(_parts, texts)), vocab_size - 1, pattern=PATTERN)
    tokens = [bytes(token) for token, _ in sorted(trainer.get_mergeable_ranks(), key=lambda pair: pair[1])]
    if len(tokens) != vocab_size - 1:
        raise DataError(
            f"the training text gives {len(tokens) + 1} tokens, expected vocab_size: {vocab_size}; "
            "lower vocab_size or take more text"
        )
    return _encoding(PATTERN, tokens)


def save_tokenizer(encoding: tiktoken.Encoding, path: Path) -> None:
    """Writes pattern, special token and the other tokens in order of their ids, each as base64."""
    tokens = [base64.b64encode(token).decode() for token in _tokens(encoding)]
    path.write_text(json.dumps({"pattern": PATTERN, "bos": BOS, "tokens": tokens}, indent=0))


def load_tokenizer(path: Path) -> tiktoken.Encoding:
    """The tokenizer that `save_tokenizer` wrote."""
    stored = json.loads(path.read_text())
    return _encoding(stored["pattern"], [base64.b64decode(token) for token in stored["tokens"]])


def encode(encoding: tiktoken.Encoding, texts: list[str], threads: int) -> list[list[int]]:
    """The tokens of each text."""
    parts = [_parts(text) for text in texts]
    encoded = iter(encoding.encode_ordinary_batch(list(chain.from_iterable(parts)), num_threads=threads))
    return [next(encoded) if len(own) == 1 else list(chain.from_iterable(islice(encoded, len(own)))) for own in parts]


def bytes_of_tokens(encoding: tiktoken.Encoding) -> np.ndarray:
    """Bytes of text that each token stands for: (V,) int32, 0 for `<|bos|>`."""
    return np.array([len(token) for token in _tokens(encoding)] + [0], dtype=np.int32)


def _parts(text: str) -> list[str]:
    """The text in parts that the pattern can split: one part, unless a run of blanks is too long."""
    if len(text) <= LONGEST_RUN:
        return [text]
    cuts = [at for run in TOO_LONG_RUN.finditer(text) for at in range(run.start(), run.end(), LONGEST_RUN // 2)]
    return [text[begin:end] for begin, end in pairwise([0, *cuts, len(text)])]


def _tokens(encoding: tiktoken.Encoding) -> list[bytes]:
    return [encoding.decode_single_token_bytes(token) for token in range(encoding.n_vocab - 1)]


def _encoding(pattern: str, tokens: list[bytes]) -> tiktoken.Encoding:
    ranks = {token: rank for rank, token in enumerate(tokens)}
    return tiktoken.Encoding(
        "autoresearch_ray", pat_str=pattern, mergeable_ranks=ranks, special_tokens={BOS: len(tokens)}
    )
