"""What counting tokens alone reaches on the validation text: something to compare a model's score with.

Witten and Bell's smoothing: P(token | context) = (c(context, token) + d(context) P(token | shorter context)) /
(c(context) + d(context)), where c counts in the training text and d is the number of different tokens that followed.
"""

import math

import numpy as np

from autoresearch_ray.benchmark.data.dataset import Dataset

MOST_TOKENS = 4_000_000  # training tokens that are counted, in about two seconds


def score_counts(dataset: Dataset, orders: int = 3) -> tuple[float, ...]:
    """Bits per byte of the validation text by counts of 1, 2 ... `orders` tokens in a row, without a network."""
    rows = dataset.rows("train")
    train = np.asarray(rows[: max(1, MOST_TOKENS // rows.shape[1])], dtype=np.int64)
    val = np.asarray(dataset.rows("val"), dtype=np.int64)
    probabilities, found = np.full(val[:, 1:].shape, 1 / dataset.vocab_size), []
    lengths = dataset.token_bytes[val[:, 1:]]
    for length in range(orders):
        probabilities = _smooth(train, val, length, dataset.vocab_size, probabilities)
        found.append(float(-np.log2(probabilities[lengths > 0]).sum() / lengths.sum()))
    return tuple(found)


def _smooth(train: np.ndarray, val: np.ndarray, length: int, vocab: int, shorter: np.ndarray) -> np.ndarray:
    """P of each token of `val` but the first of a row, given `length` tokens before it, else `shorter`."""
    assert (length + 1) * math.log2(vocab) < 63, (length, vocab)
    contexts, tokens = _contexts(train, length, vocab), train[:, max(1, length) :]
    pairs, pair_counts = np.unique(contexts * vocab + tokens, return_counts=True)
    before, starts = np.unique(pairs // vocab, return_index=True)
    totals, different = np.add.reduceat(pair_counts, starts), np.diff(np.append(starts, len(pairs)))
    asked = _contexts(val, length, vocab)
    count = _look_up(pairs, pair_counts, asked * vocab + val[:, max(1, length) :])
    total, kinds = _look_up(before, totals, asked), _look_up(before, different, asked)
    found, skipped = shorter.copy(), max(0, length - 1)
    lower = shorter[:, skipped:]
    found[:, skipped:] = np.where(total > 0, (count + kinds * lower) / np.maximum(total + kinds, 1), lower)
    return found


def _contexts(rows: np.ndarray, length: int, vocab: int) -> np.ndarray:
    """A number for the `length` tokens before each token that has as many before it; 0 where length is 0."""
    width = rows.shape[1] - max(1, length)
    contexts = np.zeros((len(rows), width), dtype=np.int64)
    for offset in range(length):
        contexts = contexts * vocab + rows[:, offset : offset + width]
    return contexts


def _look_up(keys: np.ndarray, values: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """The value of each asked key; 0 where it is not there."""
    indices = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[indices] == asked, values[indices], 0)
