"""Data and metric of the stand-in: parquet shards of text in the user's cache, and bits per byte. Read-only."""

import math
import os

import pyarrow.parquet as pq
import torch

MAX_SEQ_LEN = 32  # bytes of context
TIME_BUDGET = 1  # seconds of training
EVAL_TOKENS = 64 * 32  # bytes that are scored

CACHE_DIR = os.path.join(os.path.expanduser("~"), ".cache", "autoresearch")
DATA_DIR = os.path.join(CACHE_DIR, "data")
VAL_FILENAME = "shard_06542.parquet"


class Tokenizer:
    """A byte is a token."""

    def get_vocab_size(self):
        return 256

    def encode(self, text):
        return list(text.encode())


def make_dataloader(tokenizer, rows, length, split):
    """Batches of (inputs, targets) without an end."""
    names = sorted(name for name in os.listdir(DATA_DIR) if name.endswith(".parquet"))
    chosen = [name for name in names if (name == VAL_FILENAME) == (split == "val")]
    assert chosen, f"no shards for {split} in {DATA_DIR}"
    texts = [text for name in chosen for text in pq.read_table(os.path.join(DATA_DIR, name))["text"].to_pylist()]
    tokens = torch.tensor(tokenizer.encode("\n".join(texts)))
    at, taken = 0, rows * length
    while True:
        at = 0 if at + taken + 1 > len(tokens) else at
        window = tokens[at : at + taken + 1]
        yield window[:-1].view(rows, length), window[1:].view(rows, length)
        at += taken


@torch.no_grad()
def evaluate_bpb(model, tokenizer, rows):
    """Bits per byte on the validation shard."""
    loader, steps = make_dataloader(tokenizer, rows, MAX_SEQ_LEN, "val"), EVAL_TOKENS // (rows * MAX_SEQ_LEN)
    losses = [model(*next(loader)).item() for _ in range(steps)]
    return sum(losses) / len(losses) / math.log(2)
