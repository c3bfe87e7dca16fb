"""Scoring: validation bits per byte of a candidate's model.

The model gets tokens x (B, T) and gives logits (B, T, V). Everything after that is done here: the logits are checked
and normalised in float32, the targets are gathered, nats are summed in float64 and divided by bytes of text. Whether
the model peeks is asked in `probes.py`; that it runs in another process than its judge, in `trial/judge.py`.
"""

import math
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.nn import functional

from autoresearch_ray.common.errors import CandidateError

BATCH_LOGITS = {
    "cpu": 2**21,
    "cuda": 2**26,
}  # logits of one scoring batch, at most; on the CPU what fits its cache is fastest
ZLIB_TOKENS = 1 << 20  # a split's tokens that are compressed for that

# From rows of tokens (B, T + 1) and of targets, of the same shape, to the log-probabilities (B, T), float64, on the
# CPU, of targets[:, 1:] given the tokens before each
Predict = Callable[[np.ndarray, np.ndarray], torch.Tensor]


class InvalidModelError(CandidateError):
    """The returned model is not what the contract asks for; its trial is `invalid` and has no score."""


@dataclass(frozen=True)
class Score:
    """A split's score: bpb = nats / (ln 2 * bytes); lower is better."""

    bpb: float
    nats: float
    bytes: int
    log_probabilities: torch.Tensor = field(repr=False, compare=False)  # (N, T) float64, of every target


def score_of(log_probabilities: torch.Tensor, rows: np.ndarray, token_bytes: np.ndarray) -> Score:
    """The score of a split from the log-probabilities (N, T) of its targets; those of 0 bytes do not count."""
    used = torch.from_numpy(np.asarray(token_bytes, dtype=np.int64)[rows[:, 1:]])
    count = int(used.sum())
    assert count > 0, "no target stands for any text"
    nats = -float(log_probabilities[used > 0].double().sum())
    return Score(nats / math.log(2) / count, nats, count, log_probabilities)


def zlib_bpb(rows: np.ndarray, token_bytes: np.ndarray) -> float:
    """Bits per byte that zlib needs for the tokens of a split (of its beginning, if it is long)."""
    part = np.ascontiguousarray(rows[: max(1, ZLIB_TOKENS // rows.shape[1]), 1:])
    return 8 * len(zlib.compress(part.tobytes())) / max(1, int(np.asarray(token_bytes)[part].sum()))


def forward(
    model: torch.nn.Module, tokens: np.ndarray, vocab_size: int, device: torch.device, amp_dtype: torch.dtype | None
) -> torch.Tensor:
    """Logits (B, T, V) on the device for tokens (B, T). InvalidModelError for a wrong shape or type."""
    x = torch.from_numpy(tokens.astype(np.int64)).to(device)
    with nullcontext() if amp_dtype is None else torch.autocast(device.type, dtype=amp_dtype):
        logits = model(x)
    if type(logits) is not torch.Tensor:
        raise InvalidModelError(f"the model returned {type(logits).__name__}; expected one plain tensor of logits")
    shape = (*x.shape, vocab_size)
    if tuple(logits.shape) != shape or not logits.is_floating_point():
        raise InvalidModelError(
            f"the model returned {tuple(logits.shape)} of {logits.dtype}; expected floating logits (B, T, V) = {shape}"
        )
    return logits


def log_probabilities(logits: torch.Tensor, targets: np.ndarray) -> torch.Tensor:
    """Log-probabilities of targets (B, T) by logits (B, T, V): float64 on the CPU. InvalidModelError if not finite."""
    low, high = (float(bound) for bound in logits.aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InvalidModelError(f"the model returned logits from {low} to {high}; expected finite ones")
    y = torch.from_numpy(targets.astype(np.int64)).to(logits.device)
    nats = functional.cross_entropy(logits.float().flatten(0, 1), y.flatten(), reduction="none")
    return -nats.view(y.shape).double().cpu()


def predictor(model: torch.nn.Module, vocab_size: int, device: torch.device, amp_dtype: torch.dtype | None) -> Predict:
    """The model, in evaluation mode meanwhile, in this process: for code that is trusted."""

    def predict(tokens: np.ndarray, targets: np.ndarray) -> torch.Tensor:
        with evaluating(model):
            return log_probabilities(forward(model, tokens[:, :-1], vocab_size, device, amp_dtype), targets[:, 1:])

    return predict


def batch_rows(rows: int, seq_len: int, vocab_size: int, device_type: str) -> int:
    """Rows scored at a time, at least two, within a bound on the memory of their logits."""
    return max(2, min(BATCH_LOGITS[device_type] // (seq_len * vocab_size), rows))


def pad(block: np.ndarray, size: int) -> np.ndarray:
    """`block` with rows repeated up to `size`: a compiled model sees one shape only."""
    return block[np.arange(size) % len(block)]


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
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
