"""Scoring: validation bits per byte of a candidate's model, and the probe that it does not peek.

The model gets tokens x (B, T) and gives logits (B, T, V). Everything after that is done here: the logits are checked
and normalised in float32, the targets are gathered, nats are summed in float64 and divided by bytes of text. Targets
are never handed to the model, nor do they share memory with what is.
"""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch

from autoresearch_ray.errors import CandidateError

BATCH_LOGITS = {
    "cpu": 2**21,
    "cuda": 2**26,
}  # logits of one scoring batch, at most; on the CPU what fits its cache is fastest
# How far the log-probability of a target may move, in nats, when tokens after it change: at one position, and in the
# mean of all. Causal models move by rounding at most, in both directions; a leak that pays raises the mean.
MAX_MOVE = {None: 1e-3, torch.float16: 2e-2, torch.bfloat16: 1e-1}
MEAN_MOVE = {None: 1e-5, torch.float16: 2e-4, torch.bfloat16: 1e-3}


class InvalidModelError(CandidateError):
    """The returned model is not what the contract asks for; its trial is `invalid` and has no score."""


@dataclass(frozen=True)
class Score:
    """A split's score: bpb = nats / (ln 2 * bytes); lower is better."""

    bpb: float
    nats: float
    bytes: int


def score(
    model: torch.nn.Module,
    rows: np.ndarray,
    token_bytes: np.ndarray,
    device: torch.device,
    amp_dtype: torch.dtype | None,
    batch_rows: int | None = None,
) -> Score:
    """Bits per byte of `model` on `rows` (N, T + 1); targets of 0 bytes do not count. `token_bytes` is (V,).

    Raises InvalidModelError for logits of a wrong shape or type and for any that are not finite. `batch_rows` changes
    speed and memory, not the result.
    """
    size = batch_rows or default_batch_rows(rows, len(token_bytes), device)
    bytes_of = torch.from_numpy(np.asarray(token_bytes, dtype=np.int64))
    nats, count = 0.0, 0
    with _evaluating(model):
        for start in range(0, len(rows), size):
            block = rows[start : start + size]
            used = bytes_of[torch.from_numpy(block[:, 1:].astype(np.int64))]
            nll = -_log_probabilities(model, _padded(block, size), len(token_bytes), device, amp_dtype)[: len(block)]
            nats += float(nll[used > 0].sum())
            count += int(used.sum())
    assert count > 0, "no target stands for any text"
    return Score(nats / math.log(2) / count, nats, count)


def probe_causality(
    model: torch.nn.Module,
    rows: np.ndarray,
    vocab_size: int,
    device: torch.device,
    amp_dtype: torch.dtype | None,
    seed: int,
) -> None:
    """Raises InvalidModelError if logits depend on later tokens, on other rows, or on what the model saw before.

    Runs at the shape that `score` uses, and puts real text in place of real text, so that a model cannot tell the two
    apart. In each row the tokens after a random position are replaced, and the target's log-probability up to there
    may not move: this is what a leak must raise to pay, whatever the scale of the logits.
    """
    generator = np.random.default_rng(seed)
    size = max(2, default_batch_rows(rows, vocab_size, device))
    block = rows[generator.permutation(len(rows))[: 2 * size]]
    half = (len(block) + 1) // 2
    other = block[half:] if len(block) > 1 else generator.integers(vocab_size, size=block.shape)
    block, other = _padded(block[:half], size), _padded(other, size)
    steps = np.arange(block.shape[1])
    cut = generator.integers(0, block.shape[1] - 2, size=(size, 1))  # the last x that stays
    kept_row = generator.permutation(size)[:, None] % 2 == 0
    later = np.where(steps <= cut, block, other)
    swapped = np.where(kept_row, block, other)
    with _evaluating(model):

        def moved(inputs: np.ndarray, positions: np.ndarray, what: str) -> None:
            seen = _log_probabilities(model, inputs, vocab_size, device, amp_dtype, targets=block)
            _check_still(before - seen, torch.from_numpy(positions), amp_dtype, what)

        before = _log_probabilities(model, block, vocab_size, device, amp_dtype)
        everywhere = np.ones((size, block.shape[1] - 1), dtype=bool)
        moved(later, steps[:-1] <= cut, "tokens after its position")
        moved(swapped, everywhere & kept_row, "other rows of the batch")
        moved(block, everywhere, "what the model saw before")


def default_batch_rows(rows: np.ndarray, vocab_size: int, device: torch.device) -> int:
    """Rows scored at a time: as many as there are, within a bound on the memory of their logits."""
    most: int = BATCH_LOGITS[device.type] // ((rows.shape[1] - 1) * vocab_size)
    return max(1, min(most, len(rows)))


def _check_still(move: torch.Tensor, where: torch.Tensor, amp_dtype: torch.dtype | None, what: str) -> None:
    move = move[where]
    largest, mean = float(move.abs().max()), float(move.mean())
    if largest > MAX_MOVE[amp_dtype] or mean > MEAN_MOVE[amp_dtype]:
        raise InvalidModelError(
            f"the model's predictions depend on {what}: a target's log-probability moved by {largest:.2g} nats "
            f"(mean {mean:.2g}), expected at most {MAX_MOVE[amp_dtype]:g} (mean {MEAN_MOVE[amp_dtype]:g}); "
            "let position t of a row see positions up to t of the same row, and nothing else"
        )


def _log_probabilities(
    model: torch.nn.Module,
    block: np.ndarray,
    vocab_size: int,
    device: torch.device,
    amp_dtype: torch.dtype | None,
    targets: np.ndarray | None = None,
) -> torch.Tensor:
    """Log-probability (B, T) float64, on the CPU, of the next tokens of `targets` (`block`'s own) given `block`'s."""
    x = torch.from_numpy(block[:, :-1].astype(np.int64)).to(device)
    shape = (*x.shape, vocab_size)
    with _autocast(device, amp_dtype):
        output = model(x)
    logits = _checked(output, shape)
    y = torch.from_numpy((block if targets is None else targets)[:, 1:].astype(np.int64)).to(device)
    values = logits.float()
    chosen = values.gather(2, y[:, :, None])[:, :, 0] - values.logsumexp(2)
    return chosen.double().cpu()


def _checked(logits: object, shape: tuple[int, ...]) -> torch.Tensor:
    if type(logits) is not torch.Tensor:
        raise InvalidModelError(f"the model returned {type(logits).__name__}; expected one plain tensor of logits")
    if tuple(logits.shape) != shape or not logits.is_floating_point():
        raise InvalidModelError(
            f"the model returned {tuple(logits.shape)} of {logits.dtype}; expected floating logits (B, T, V) = {shape}"
        )
    low, high = logits.aminmax()
    if not (math.isfinite(float(low)) and math.isfinite(float(high))):
        raise InvalidModelError(f"the model returned logits from {float(low)} to {float(high)}; expected finite ones")
    return logits


def _padded(block: np.ndarray, size: int) -> np.ndarray:
    """`block` with rows repeated up to `size`: a compiled model sees one shape only."""
    return block[np.arange(size) % len(block)]


def _autocast(device: torch.device, amp_dtype: torch.dtype | None) -> AbstractContextManager[object]:
    return nullcontext() if amp_dtype is None else torch.autocast(device.type, dtype=amp_dtype)


@contextmanager
def _evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards each module is in the mode that it was in."""
    if not isinstance(model, torch.nn.Module):
        raise InvalidModelError(f"train returned {type(model).__name__}; expected a torch.nn.Module")
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
