"""From an experiment's documents to the files of its data set: tokenizer, token rows, sizes and fingerprint.

The cache around it (who builds, what is found, what is damaged) is in `dataset.py`.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from autoresearch_ray.benchmark.data.corpus import (
    Spool,
    copies_in_library,
    cut,
    documents,
    lies_here,
    pool_limit,
    split,
)
from autoresearch_ray.benchmark.data.local_files import sha256_of
from autoresearch_ray.benchmark.data.rows import SplitSize, write_exact_rows, write_rows
from autoresearch_ray.benchmark.data.tokenizer import bytes_of_tokens, save_tokenizer, train_tokenizer
from autoresearch_ray.common.errors import DataError
from autoresearch_ray.settings.experiment import Experiment

SPLITS = ("train", "val", "holdout")
WITHHELD = "withheld.json"
TOKENIZER_BYTES = 200_000_000  # most training text for the tokenizer
CUTS = 8  # longest part of a cut document: a pool's limit over this; a character has up to four bytes

Progress = Callable[[str], None]


class _TooLittleError(DataError):
    """The corpus gives too few rows."""


class _LongDocumentsError(Exception):
    """The splits fail because documents are long, and each is in one split. Holds the length to cut them to."""


def build(
    experiment: Experiment, spec: dict[str, str | int], label: str, partial: Path, hub: Path, say: Progress
) -> None:
    """Write all files of the data set to the folder `partial`; `hub` is the cache of `datasets`. DataError."""
    say(f"reading {experiment.data}")
    try:
        content = _spool(experiment, documents(experiment, hub), partial, say)
    except _LongDocumentsError as error:
        (length,) = error.args
        say(
            f"the documents are too long to be shared out between training and scoring: they are cut at ends of lines, "
            f"into parts of at most {length:,} characters"
        )
        content = _spool(experiment, cut(documents(experiment, hub), length), partial, say)
    (partial / "documents.utf8").unlink()
    meta = {"name": label, "spec": spec, "fingerprint": fingerprint(content), "content": content}
    (partial / "meta.json").write_text(json.dumps(meta, indent=1))
    for path in partial.iterdir():
        path.chmod(0o444)


def _spool(experiment: Experiment, texts: Iterator[str], partial: Path, say: Progress) -> dict[str, Any]:
    """The content of these documents. _LongDocumentsError if it is too little because of their length."""
    spool = Spool(partial / "documents.utf8", texts, experiment.corpus_mb * 1_000_000)
    try:
        return _content(experiment, spool, partial, say)
    except _TooLittleError:
        total = spool.total_bytes or experiment.corpus_mb * 1_000_000
        limit = pool_limit(total, experiment.eval_tokens)
        longest = max((spool.size(number) for number in range(len(spool))), default=total)
        if longest > limit // 2 and not lies_here(experiment.data) and limit >= CUTS:
            raise _LongDocumentsError(limit // CUTS) from None
        raise
    finally:
        spool.close()


def _content(experiment: Experiment, spool: Spool, partial: Path, say: Progress) -> dict[str, Any]:
    """Writes everything but meta.json; returns what the fingerprint is made of."""
    pools = split(spool, experiment.eval_tokens)
    if not pools.train:
        raise _TooLittleError(f"{experiment.data}: holds no text; expected documents to train on, see corpus_mb")
    say(f"training a tokenizer of {experiment.vocab_size:,} tokens on {len(pools.train):,} documents")
    encoding = train_tokenizer(_cap(spool, pools.train), experiment.vocab_size)
    token_bytes = bytes_of_tokens(encoding)
    save_tokenizer(encoding, partial / "tokenizer.json")
    np.save(partial / "token_bytes.npy", token_bytes)

    say(f"writing {spool.total_bytes / 1e6:,.1f} MB of text as rows of {experiment.seq_len + 1} tokens")
    sizes: dict[str, SplitSize] = {}
    used = {"train": list(pools.train)}
    eval_rows = max(1, experiment.eval_tokens // experiment.seq_len)
    for name, pool in (("val", pools.val), ("holdout", pools.holdout)):
        sizes[name] = write_exact_rows(
            partial / f"{name}.bin", spool, pool, encoding, token_bytes, experiment.seq_len, eval_rows
        )
        used[name] = pool[: sizes[name].documents]
        used["train"] += pool[sizes[name].documents :]  # reserved, and not needed
    sizes["train"] = write_rows(partial / "train.bin", spool, used["train"], encoding, token_bytes, experiment.seq_len)
    _check_sizes(experiment, spool, sizes, eval_rows)
    _check_apart(experiment, spool, used)
    if lies_here(experiment.data):
        scored = {spool.digest(number) for name in ("val", "holdout") for number in used[name]}
        (partial / WITHHELD).write_text(json.dumps(copies_in_library(scored)))
    files = ["tokenizer.json", "token_bytes.npy", *(f"{name}.bin" for name in SPLITS)]
    return {
        "seq_len": experiment.seq_len,
        "vocab_size": experiment.vocab_size,
        "splits": {name: asdict(sizes[name]) for name in SPLITS},
        "texts": {name: hashlib.sha256(b"".join(map(spool.digest, used[name]))).hexdigest() for name in SPLITS},
        "files": {name: sha256_of(partial / name) for name in files},
    }


def _check_sizes(experiment: Experiment, spool: Spool, sizes: dict[str, SplitSize], eval_rows: int) -> None:
    for name, least in (("val", eval_rows), ("holdout", eval_rows), ("train", 1)):
        if sizes[name].rows < least:
            raise _TooLittleError(
                f"{experiment.data}: {len(spool):,} documents of {spool.total_bytes / 1e6:.2f} MB give {name} "
                f"{sizes[name].rows} rows of {experiment.seq_len} tokens, expected {least} (from a fifth of the "
                "corpus at most); take more text, or lower eval_tokens or seq_len"
            )


def _check_apart(experiment: Experiment, spool: Spool, used: dict[str, list[int]]) -> None:
    """No text may be in two splits, by the hash of its content."""
    seen: set[bytes] = set()
    for name in SPLITS:
        mine = {spool.digest(number) for number in used[name]}
        if mine & seen:
            raise DataError(f"{experiment.data}: {len(mine & seen)} documents of {name} are in another split too")
        seen |= mine


def _cap(spool: Spool, numbers: list[int]) -> Iterator[str]:
    bytes_left = TOKENIZER_BYTES
    for number in numbers:
        bytes_left -= spool.size(number)
        if bytes_left < 0:
            return
        yield spool.text(number)


def fingerprint(content: dict[str, Any]) -> str:
    """The sha256 (hex) of what a data set holds."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
