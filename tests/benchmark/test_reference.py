"""Scores of counts, against a slow and plain way to make them."""

import math
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from small_corpus import small_experiment

from autoresearch_ray.benchmark.data.dataset import prepare
from autoresearch_ray.benchmark.data.reference import score_counts


def test_counts_of_one_two_and_three_tokens_score_as_counted_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTORESEARCH_HOME", str(tmp_path / "home"))
    dataset = prepare(small_experiment(tmp_path))
    found = score_counts(dataset)
    train, val = dataset.rows("train"), dataset.rows("val")
    followers: defaultdict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    for row in train.tolist():
        for at in range(1, len(row)):
            for length in range(min(3, at + 1)):
                followers[tuple(row[at - length : at])][row[at]] += 1

    def probability(context: tuple[int, ...], token: int) -> float:
        shorter = probability(context[1:], token) if context else 1 / dataset.vocab_size
        seen = followers.get(context)
        return (seen[token] + len(seen) * shorter) / (seen.total() + len(seen)) if seen else shorter

    lengths = np.asarray(dataset.token_bytes)
    for order, bpb in enumerate(found):
        bits = [
            -math.log2(probability(tuple(row[max(0, at - order) : at]), row[at]))
            for row in val.tolist()
            for at in range(1, len(row))
            if lengths[row[at]]
        ]
        assert bpb == pytest.approx(sum(bits) / lengths[val[:, 1:]].sum())
    assert found[0] > found[1]
