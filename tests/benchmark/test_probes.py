"""What low precision may hide, and what it may not."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from autoresearch_ray.benchmark.data.dataset import Dataset
from autoresearch_ray.benchmark.score import metric, probes
from autoresearch_ray.benchmark.score.metric import InvalidModelError
from autoresearch_ray.records.trials import Strength

CPU = torch.device("cpu")


class Attention(nn.Module):
    """A causal model, with this much of the next token added to its logits."""

    def __init__(self, vocab_size: int, peek: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.qkv, self.head = nn.Embedding(vocab_size, 64), nn.Linear(64, 192), nn.Linear(64, vocab_size)
        self.vocab_size, self.peek = vocab_size, peek

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.embed(x)
        q, k, v = self.qkv(h)[:, None].chunk(3, -1)
        h = h + nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)[:, 0]
        logits: torch.Tensor = 3 * self.head(h) + self.peek * nn.functional.one_hot(x.roll(-1, 1), self.vocab_size)
        return logits


def measure(model: nn.Module, dataset: Dataset, amp: torch.dtype | None, strength: Strength, seed: int) -> float:
    predict = metric.predictor(model, dataset.vocab_size, CPU, amp)
    splits = {"val": dataset.rows("val"), "holdout": dataset.rows("holdout")}
    rng = np.random.default_rng(seed)
    return probes.measure(predict, None, splits, dataset.token_bytes, 8, amp, strength, rng)["val"].bpb


@pytest.mark.parametrize("amp", [None, torch.float16, torch.bfloat16], ids=["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("seed", range(3))
def test_rounding_is_not_taken_for_a_peek_at_full_strength(
    dataset: Dataset, amp: torch.dtype | None, seed: int
) -> None:
    measure(Attention(dataset.vocab_size), dataset, amp, "full", seed)


@pytest.mark.parametrize("amp", [None, torch.float16, torch.bfloat16], ids=["fp32", "fp16", "bf16"])
def test_a_peek_of_a_hundredth_of_a_nat_is_caught_in_any_precision(dataset: Dataset, amp: torch.dtype | None) -> None:
    with pytest.raises(InvalidModelError, match="depend on tokens after its position"):
        measure(Attention(dataset.vocab_size, peek=0.01), dataset, amp, "full", 0)


@pytest.mark.skipif(not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this CPU has no bf16 products")
def test_products_of_bf16_turn_the_least_difference_into_one_of_their_rounding() -> None:
    before = torch.get_float32_matmul_precision()
    numbers, weights = torch.rand(512, 512, generator=torch.manual_seed(0)) + 1, torch.eye(512)
    moved = {}
    try:
        for precision in ("highest", "medium"):
            torch.set_float32_matmul_precision(precision)
            moved[precision] = float((numbers @ weights - (numbers * (1 + 1e-6)) @ weights).abs().max())
    finally:
        torch.set_float32_matmul_precision(before)
    assert moved["highest"] < 1e-5 and moved["medium"] > 1e-3


def test_scores_do_not_depend_on_the_order_of_questions(dataset: Dataset) -> None:
    model = Attention(dataset.vocab_size)
    assert measure(model, dataset, None, "normal", 1) == measure(model, dataset, None, "full", 2)


def test_a_second_process_is_asked_all_that_is_changed(dataset: Dataset) -> None:
    asked: list[list[bytes]] = [[], []]
    model = Attention(dataset.vocab_size)

    def answering(mine: list[bytes]) -> metric.Predict:
        predict = metric.predictor(model, dataset.vocab_size, CPU, None)

        def answer(tokens: np.ndarray, targets: np.ndarray) -> torch.Tensor:
            mine.append(tokens.tobytes())
            return predict(tokens, targets)

        return answer

    rows = dataset.rows("val")
    probes.measure(
        answering(asked[0]), answering(asked[1]), {"val": rows}, dataset.token_bytes, 8, None, "full",
        np.random.default_rng(0),
    )  # fmt: skip
    assert sorted(asked[0]) == sorted(np.asarray(rows[at : at + 8]).tobytes() for at in range(0, len(rows), 8))
    assert len(asked[1]) >= 3 * probes.LEAST_FULL


def _told_apart(change: Callable[[int], float]) -> bool:
    """Whether a model that answers its n-th question so differently from others is refused."""
    known = np.arange(64 * 9).reshape(64, 9) % 256
    count = [0]

    def predict(tokens: np.ndarray, targets: np.ndarray) -> torch.Tensor:
        count[0] += 1
        return torch.full((len(tokens), 8), -1.0 + change(count[0]), dtype=torch.float64)

    try:
        probes.measure(predict, None, {"val": known}, np.ones(256), 8, None, "full", np.random.default_rng(0))
    except InvalidModelError:
        return True
    return False


def test_answers_that_drift_are_refused() -> None:
    assert not _told_apart(lambda n: 0.0)
    assert _told_apart(lambda n: 0.002 * n)
