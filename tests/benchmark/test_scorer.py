"""The judge against model processes that answer, lie, talk nonsense or are gone; here they are threads."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import nn

from autoresearch_ray.benchmark.data.dataset import Dataset
from autoresearch_ray.benchmark.score import metric, probes
from autoresearch_ray.benchmark.score.metric import InvalidModelError
from autoresearch_ray.benchmark.trial import model_process, shared_logits
from autoresearch_ray.benchmark.trial.job import Job
from autoresearch_ray.benchmark.trial.judge import ModelError, Remote
from autoresearch_ray.benchmark.trial.shared_logits import Exchange, Layout

CPU = torch.device("cpu")
ROWS = 8
Side = Callable[[socket.socket, Exchange], None]


class Bigram(nn.Module):
    """Logits by the token alone, and by the next one if it peeks."""

    def __init__(self, vocab_size: int, peek: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table, self.vocab_size, self.peek = nn.Embedding(vocab_size, vocab_size), vocab_size, peek

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.table(x) + self.peek * nn.functional.one_hot(x.roll(-1, 1), self.vocab_size)
        return logits


@contextmanager
def asked(side: Side, dataset: Dataset, whole: bool) -> Iterator[Remote]:
    """The judge's end of a model process that does this."""
    layout = Layout(ROWS, dataset.seq_len, dataset.vocab_size, whole)
    memory = shared_logits.new_memory(layout.size)
    ours, theirs = shared_logits.channel()

    def answer() -> None:
        with theirs:
            shared_logits.hear(theirs)
            shared_logits.tell(theirs, {})
            side(theirs, Exchange(memory, layout))

    thread = threading.Thread(target=answer)
    thread.start()
    with ours:
        yield Remote(ours, Exchange(memory, layout), np.random.default_rng(0))
    thread.join()


def serving(model: nn.Module) -> Side:
    job = Job("", "", 0, 1.0, "cpu", "none", 1, 0, 0.0)
    return lambda channel, shared: model_process.serve(job, model, channel, shared)


def measure(side: Side, dataset: Dataset, whole: bool) -> float:
    with asked(side, dataset, whole) as remote:
        splits = {"val": dataset.rows("val")}
        scores = probes.measure(remote, None, splits, dataset.token_bytes, ROWS, None, "full", np.random.default_rng(1))
        remote.close()
        return scores["val"].bpb


@pytest.mark.parametrize("whole", [True, False])
def test_the_score_is_that_of_the_model_in_this_process(dataset: Dataset, whole: bool) -> None:
    model = Bigram(dataset.vocab_size)
    predict = metric.predictor(model, dataset.vocab_size, CPU, None)
    splits = {"val": dataset.rows("val")}
    here = probes.measure(predict, None, splits, dataset.token_bytes, ROWS, None, "off", np.random.default_rng(0))
    assert measure(serving(model), dataset, whole) == pytest.approx(here["val"].bpb, abs=1e-6)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("peek", [0.01, 5.0])
def test_a_peek_is_caught_across_processes(dataset: Dataset, whole: bool, peek: float) -> None:
    with pytest.raises(InvalidModelError, match="depend on tokens after its position"):
        measure(serving(Bigram(dataset.vocab_size, peek)), dataset, whole)


def test_a_model_that_was_trained_with_shorter_products_is_scored_with_whole_ones(dataset: Dataset) -> None:
    seen, model = set[str](), Bigram(dataset.vocab_size)
    model.register_forward_pre_hook(lambda *_: seen.add(torch.get_float32_matmul_precision()))
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        measure(serving(model), dataset, True)
    finally:
        torch.set_float32_matmul_precision(before)
    assert seen == {"highest"}


def lying(model: nn.Module, lie: Callable[[np.ndarray], np.ndarray]) -> Side:
    """It shows its logits, but says something else of its own tokens before."""

    def side(channel: socket.socket, shared: Exchange) -> None:
        logits = torch.empty(0)
        while True:
            try:
                message = shared_logits.hear(channel)
            except EOFError:
                return
            if "ask" in message:
                tokens = shared.tokens[: message["ask"]].copy()
                logits = model(torch.from_numpy(tokens).long()).detach()
                own = metric.log_probabilities(logits, np.roll(tokens, -1, 1)).float().numpy()
                shared.own[: len(tokens)] = lie(own)
            if "show" in message:
                positions = torch.from_numpy(shared.positions.copy()).long()
                shared.logits[:] = logits.take_along_dim(positions[:, :, None], 1).numpy()
            shared_logits.tell(channel, {})

    return side


def test_a_model_that_shows_what_it_said_is_believed(dataset: Dataset) -> None:
    measure(lying(Bigram(dataset.vocab_size), lambda own: own), dataset, whole=False)


@pytest.mark.parametrize("share", [0.05, 1.0])
def test_a_model_that_says_better_than_it_shows_is_refused(dataset: Dataset, share: float) -> None:
    """A lie about one position in twenty is met by one of the positions, one in each row, that have to be shown."""
    rng = np.random.default_rng(3)

    def lie(own: np.ndarray) -> np.ndarray:
        return np.where(rng.random(own.shape) < share, own * 0.5, own)

    with pytest.raises(InvalidModelError, match="nats from what it had said"):
        measure(lying(Bigram(dataset.vocab_size), lie), dataset, whole=False)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_model_that_says_no_number_is_refused(dataset: Dataset, number: float) -> None:
    with pytest.raises(InvalidModelError):
        measure(lying(Bigram(dataset.vocab_size), lambda own: own * 0 + number), dataset, whole=False)


def saying(message: bytes) -> Side:
    def side(channel: socket.socket, shared: Exchange) -> None:
        shared_logits.hear(channel)
        if message:
            channel.send(message)

    return side


@pytest.mark.parametrize("message", [b"nonsense", b"[]", b'{"failure": ["ok", "no"', b'"ok"'])
def test_a_message_that_is_none_makes_the_model_invalid(dataset: Dataset, message: bytes) -> None:
    with pytest.raises(InvalidModelError, match="wrote on the scoring channel"):
        measure(saying(message), dataset, whole=True)


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (b"", "crash"),
        (b'{"failure": ["oom", "no"]}', "oom"),
        (b'{"failure": ["ok", "no"]}', "crash"),
        (b'{"failure": 3}', "crash"),
    ],
)
def test_a_failure_keeps_its_kind_and_can_be_no_success(dataset: Dataset, message: bytes, status: str) -> None:
    with pytest.raises(ModelError) as caught:
        measure(saying(message), dataset, whole=True)
    assert caught.value.args[0] == status
