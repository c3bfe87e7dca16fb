"""Scoring against a computation by hand, and attacks on it that must not pass."""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from autoresearch_ray.benchmark.data.dataset import Dataset
from autoresearch_ray.benchmark.score import metric, probes
from autoresearch_ray.benchmark.score.metric import InvalidModelError, Score
from autoresearch_ray.benchmark.trial.device import choose_amp, choose_device, device_name, peak_memory_mb, use_threads
from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.records.trials import Strength

CPU = torch.device("cpu")


class Bigram(nn.Module):
    """Logits from the token alone; records how it was called."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(vocab_size, vocab_size)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.drop(self.table(x))
        return logits


class Causal(nn.Module):
    """A small causal attention layer: what an honest candidate returns."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.head = nn.Embedding(vocab_size, 32), nn.Linear(32, vocab_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.embed(x)[:, None]
        logits: torch.Tensor = self.head(nn.functional.scaled_dot_product_attention(h, h, h, is_causal=True)[:, 0])
        return logits


class Wrapped(nn.Module):
    """A model whose forward is a function of the tokens and an honest model's logits."""

    def __init__(self, vocab_size: int, change: Callable[[torch.Tensor, torch.Tensor], object]) -> None:
        super().__init__()
        self.inner, self.change = Causal(vocab_size), change

    def forward(self, x: torch.Tensor) -> object:
        return self.change(x, self.inner(x))


def _measure(
    model: nn.Module,
    dataset: Dataset,
    amp: torch.dtype | None = None,
    seed: int = 0,
    strength: Strength = "normal",
    batch_rows: int | None = None,
    split: str = "val",
) -> Score:
    """The model asked in this process."""
    rows = dataset.rows(split)  # type: ignore[arg-type]  # one of the three
    predict = metric.predictor(model, dataset.vocab_size, CPU, amp)
    size = batch_rows or metric.batch_rows(len(rows), dataset.seq_len, dataset.vocab_size, "cpu")
    rng = np.random.default_rng(seed)
    return probes.measure(predict, None, {split: rows}, dataset.token_bytes, size, amp, strength, rng)[split]


def _score(model: nn.Module, dataset: Dataset, batch_rows: int | None = None) -> Score:
    return _measure(model, dataset, strength="off", batch_rows=batch_rows)


def _probe(model: nn.Module, dataset: Dataset, amp: torch.dtype | None = None, seed: int = 0) -> None:
    _measure(model, dataset, amp, seed, batch_rows=8)


def test_val_bpb_is_what_a_computation_by_hand_gives(dataset: Dataset) -> None:
    model, encoding = Bigram(dataset.vocab_size), dataset.encoding()
    table = model.table.weight.tolist()
    bits, size = 0.0, 0
    for row in dataset.rows("val").tolist():
        for token, target in pairwise(row):
            text = encoding.decode_single_token_bytes(target)
            if text == b"<|bos|>":
                continue
            total = math.fsum(math.exp(logit) for logit in table[token])
            bits -= math.log2(math.exp(table[token][target]) / total)
            size += len(text)
    result = _score(model, dataset)
    assert result.bytes == size
    assert result.bpb == pytest.approx(bits / size, abs=1e-6)
    assert result.nats == pytest.approx(bits * math.log(2), rel=1e-6)


def test_a_model_that_knows_nothing_needs_the_logarithm_of_the_vocabulary(dataset: Dataset) -> None:
    rows, sizes = dataset.rows("val")[:, 1:], dataset.token_bytes
    expected = int((sizes[rows] > 0).sum()) * math.log2(dataset.vocab_size) / int(sizes[rows].sum())
    blank = Wrapped(dataset.vocab_size, lambda x, logits: logits * 0)
    assert _score(blank, dataset).bpb == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("batch_rows", [1, 3, 7, 32, 1000])
def test_the_score_does_not_depend_on_the_scoring_batch(dataset: Dataset, batch_rows: int) -> None:
    model = Causal(dataset.vocab_size)
    one, other = _score(model, dataset), _score(model, dataset, batch_rows=batch_rows)
    assert other.bpb == pytest.approx(one.bpb, abs=1e-6)
    assert other.bytes == one.bytes


def test_the_model_is_scored_in_evaluation_mode_and_given_back_as_it_was(dataset: Dataset) -> None:
    model = Bigram(dataset.vocab_size).train()
    model.table.eval()
    assert _score(model, dataset) == _score(model, dataset)  # dropout would differ
    assert model.training and model.drop.training and not model.table.training


def test_shifting_all_logits_does_not_pay(dataset: Dataset) -> None:
    shifted = Wrapped(dataset.vocab_size, lambda x, logits: logits + 50)
    assert _score(shifted, dataset).bpb == pytest.approx(_score(Causal(dataset.vocab_size), dataset).bpb, abs=1e-5)


class Subclass(torch.Tensor):
    """A tensor that could answer `gather` as it likes."""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, logits: logits[:, :-1], r"expected floating logits \(B, T, V\)"),
        (lambda x, logits: logits[..., :-1], r"expected floating logits \(B, T, V\)"),
        (lambda x, logits: logits.long(), "int64"),
        (lambda x, logits: (logits, None), "returned tuple"),
        (lambda x, logits: logits.as_subclass(Subclass), "returned Subclass"),
        (lambda x, logits: logits.index_fill(2, torch.tensor([5]), math.nan), "expected finite"),
        (lambda x, logits: logits.index_fill(2, torch.tensor([5]), math.inf), "expected finite"),
        (lambda x, logits: logits.index_fill(2, torch.tensor([5]), -math.inf), "expected finite"),
    ],
)
def test_wrong_or_infinite_logits_have_no_score(
    dataset: Dataset, change: Callable[[torch.Tensor, torch.Tensor], object], message: str
) -> None:
    with pytest.raises(InvalidModelError, match=message):
        _score(Wrapped(dataset.vocab_size, change), dataset)


def test_what_is_no_module_has_no_score(dataset: Dataset) -> None:
    with pytest.raises(InvalidModelError, match=r"expected a torch\.nn\.Module"):
        _score(lambda x: x, dataset)  # type: ignore[arg-type]  # the attack


@pytest.mark.parametrize("amp", [None, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("seed", range(5))
def test_an_honest_model_passes_the_probe(dataset: Dataset, amp: torch.dtype | None, seed: int) -> None:
    for model in (Causal(dataset.vocab_size), Bigram(dataset.vocab_size)):
        _probe(model, dataset, amp, seed)


def _next_token_peek(strength: float) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    def peek(x: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        return logits + strength * nn.functional.one_hot(x.roll(-1, 1), logits.shape[2])

    return peek


def _whole_row_peek(x: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    return logits + nn.functional.one_hot(x, logits.shape[2]).float().mean(1, keepdim=True)


def _hidden_by_a_huge_logit(x: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    return _next_token_peek(3.0)(x, logits).index_fill(2, torch.tensor([0]), -1e6)


@pytest.mark.parametrize("amp", [None, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("change", [_next_token_peek(5.0), _next_token_peek(0.3), _whole_row_peek])
def test_a_model_that_sees_the_future_is_caught(
    dataset: Dataset, change: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], amp: torch.dtype | None
) -> None:
    with pytest.raises(InvalidModelError, match="depend on tokens after its position"):
        _probe(Wrapped(dataset.vocab_size, change), dataset, amp)


def test_a_huge_logit_does_not_hide_a_peek(dataset: Dataset) -> None:
    with pytest.raises(InvalidModelError, match="depend on tokens after its position"):
        _probe(Wrapped(dataset.vocab_size, _hidden_by_a_huge_logit), dataset)


def test_a_model_whose_rows_look_at_each_other_is_caught(dataset: Dataset) -> None:
    def mix(x: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        seen = nn.functional.one_hot(x, logits.shape[2]).float().cumsum(1)  # causal in each row, summed over rows
        return logits + 0.1 * seen.sum(0, keepdim=True)

    with pytest.raises(InvalidModelError, match="depend on"):
        _probe(Wrapped(dataset.vocab_size, mix), dataset)


def test_a_model_that_mixes_first_tokens_of_rows_is_caught(dataset: Dataset) -> None:
    def mix(x: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        return logits + nn.functional.one_hot(x[:, 1].roll(1), logits.shape[2])[:, None]

    with pytest.raises(InvalidModelError, match="depend on"):
        _probe(Wrapped(dataset.vocab_size, mix), dataset)


def test_a_model_that_remembers_what_it_saw_is_caught(dataset: Dataset) -> None:
    counts = torch.zeros(dataset.vocab_size)

    def remember(x: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        old = counts.clone()
        counts.add_(torch.bincount(x.reshape(-1), minlength=len(counts)))
        return logits + torch.log1p(old)

    with pytest.raises(InvalidModelError, match="depend on"):
        _probe(Wrapped(dataset.vocab_size, remember), dataset)


def test_probes_come_at_the_shape_of_scoring(dataset: Dataset) -> None:
    shapes: set[tuple[int, ...]] = set()

    def look(x: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        shapes.add(tuple(x.shape))
        return logits

    _measure(Wrapped(dataset.vocab_size, look), dataset, strength="full", batch_rows=5)
    assert shapes == {(5, dataset.seq_len)}


def test_a_single_row_can_be_probed(dataset: Dataset) -> None:
    class OneRow:
        vocab_size, seq_len, token_bytes = dataset.vocab_size, dataset.seq_len, dataset.token_bytes

        def rows(self, split: str) -> np.ndarray:
            return np.array(dataset.rows("val")[:1])

    _measure(Causal(dataset.vocab_size), OneRow())  # type: ignore[arg-type]  # a data set of one row
    with pytest.raises(InvalidModelError):
        _measure(Wrapped(dataset.vocab_size, _next_token_peek(5.0)), OneRow())  # type: ignore[arg-type]


def test_the_cpu_trains_in_float32_unless_asked() -> None:
    assert choose_device("cpu") == CPU
    assert choose_amp("auto", CPU) is None
    assert choose_amp("none", CPU) is None
    assert choose_amp("fp16", CPU) is torch.float16


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_that_is_not_there_is_refused() -> None:
    assert choose_device("auto") == CPU
    with pytest.raises(SettingsError, match="device: cuda"):
        choose_device("cuda")


def test_the_device_names_itself_and_its_peak() -> None:
    assert device_name(CPU)
    assert 10 < peak_memory_mb(CPU) < 1e6


def test_a_slot_has_at_least_one_thread() -> None:
    before = torch.get_num_threads()
    try:
        assert (use_threads(0.25), torch.get_num_threads()) == (1, 1)
    finally:
        torch.set_num_threads(before)
