"""The judge: a process that no candidate's code runs in. It has the targets, asks for logits, and computes the score.

On the CPU it gets all logits and normalises them itself: 0.8 ms more for a batch that takes 23 ms. On CUDA they are
too many (137 GB a split at 4M tokens of 8,192). There the model's process computes the log-probabilities of each row's
own next tokens. Afterwards it must show its logits at the last position of each row and at one that it could not
foresee; they have to agree with what it said.
"""

import math
import os
import socket
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from autoresearch_ray.benchmark.score import metric, own_metric, plausible, probes
from autoresearch_ray.benchmark.score.metric import InvalidModelError, Score
from autoresearch_ray.benchmark.trial import shared_logits
from autoresearch_ray.benchmark.trial.job import LENGTH, STATUSES, DataShape, Event, Job
from autoresearch_ray.benchmark.trial.shared_logits import Exchange
from autoresearch_ray.common.text import one_line

MOST_PARAMETERS, NAME = 1 << 50, 100  # most parameters believed; most characters of a device's name
SHOWN_APART = 1e-3  # largest difference between said and shown log-probabilities, in nats: more than rounding


class ModelError(Exception):
    """The model's process failed: status and line."""


@dataclass(frozen=True)
class Files:
    """Descriptors of the scoring data."""

    val: int
    holdout: int
    token_bytes: int


class Remote:
    """A model in another process, asked through shared memory; a `Predict`."""

    def __init__(self, channel: socket.socket, shared: Exchange, rng: np.random.Generator) -> None:
        self._channel, self._shared, self._rng = channel, shared, rng
        self._logits = torch.empty(shared.logits.shape if shared.layout.whole else 0)
        self._loaded = self._closed = False
        self.rows, self.whole = shared.layout.rows, shared.layout.whole
        self.facts: dict[str, object] = {}

    def __call__(self, tokens: np.ndarray, targets: np.ndarray) -> torch.Tensor:
        if not self._loaded:
            self.facts, self._loaded = self._ask({"load": True}), True
        count = len(tokens)
        self._shared.tokens[:count] = tokens[:, :-1]
        self._ask({"ask": count})
        if not self._shared.layout.whole:
            return self._sample(tokens, targets)
        logits = self._logits[:count].copy_(torch.from_numpy(self._shared.logits[:count]))
        return metric.log_probabilities(logits, targets[:, 1:])

    def _sample(self, tokens: np.ndarray, targets: np.ndarray) -> torch.Tensor:
        """The log-probabilities of the targets.

        They are the model's word on its own next tokens. Where a target differs from these, and at the end, they are
        computed from the logits that it shows.
        """
        count, length = len(tokens), tokens.shape[1] - 1
        rows = np.arange(count)
        answer = torch.from_numpy(self._shared.own[:count].copy()).double()
        other = tokens[:, 1:] != targets[:, 1:]
        anywhere = self._rng.integers(0, max(1, length - 1), count)
        position = np.where(other.any(1), other.argmax(1), anywhere)
        self._shared.positions[:count] = np.stack([position, np.full(count, length - 1)], 1)
        self._ask({"show": count})
        logits = torch.from_numpy(self._shared.logits[:count].copy())
        own = np.stack([tokens[rows, position + 1], targets[:, -1]], 1)
        shown = metric.log_probabilities(logits, own)
        has_next = position < length - 1  # the last target has no prediction
        apart = (shown[:, 0] - answer[rows, position])[torch.from_numpy(has_next)].abs()
        if not bool((apart <= SHOWN_APART).all()):
            raise InvalidModelError(
                f"the logits that it showed are {float(apart.max()):.2g} nats from what it had said"
            )
        answer[:, -1] = shown[:, 1]
        answer[rows, position] = metric.log_probabilities(logits[:, :1], targets[rows, position + 1][:, None])[:, 0]
        if not bool(torch.isfinite(answer).all()):
            raise InvalidModelError("the model returned logits that are not finite")
        return answer

    def close(self) -> None:
        """Ask whether the model is as it was, and let its process end."""
        if self._loaded and not self._closed:
            self._ask({"check": True})
        self._channel.close()
        self._closed = True

    def _ask(self, question: dict[str, object]) -> dict[str, Any]:
        try:
            shared_logits.tell(self._channel, question)
            answer = shared_logits.hear(self._channel)
        except (EOFError, BrokenPipeError):
            raise ModelError("crash", "the model's process ended while it was scored") from None
        except (ValueError, RecursionError):
            raise InvalidModelError("wrote on the scoring channel") from None
        if "failure" in answer:
            status, *error = answer["failure"] if isinstance(answer["failure"], list) else [""]
            raise ModelError(status if status in STATUSES else "crash", one_line(" ".join(map(str, error)), LENGTH))
        return answer


class ImplausibleScoreError(InvalidModelError):
    """A score that is too good to be true."""


def judge(job: Job, shape: DataShape, files: Files, remotes: list[Remote], rng: np.random.Generator) -> Event:
    """Score the model; the second of `remotes`, if there is one, answers the probes. An event: result or failure."""
    begin = time.monotonic()
    torch.set_num_threads(job.threads)
    try:
        val, holdout = _scores(job, shape, files, remotes, rng)
    except ModelError as error:
        status, line = error.args
        return Event("failure", time.monotonic(), status=status, error=line)
    except InvalidModelError as error:
        held = isinstance(error, ImplausibleScoreError)
        return Event("failure", time.monotonic(), status="invalid", error=one_line(str(error), LENGTH), held=held)
    parameters, name = remotes[0].facts.get("parameters"), remotes[0].facts.get("device_name")
    return Event(
        "result",
        time.monotonic(),
        val_bpb=val,
        holdout_bpb=holdout,
        eval_seconds=time.monotonic() - begin,
        parameters=parameters if isinstance(parameters, int) and 0 <= parameters < MOST_PARAMETERS else 0,
        device_name=one_line(name, NAME) if isinstance(name, str) else "",
        checks=" ".join(_checks(job, remotes)),
    )


def _scores(
    job: Job, shape: DataShape, files: Files, remotes: list[Remote], rng: np.random.Generator
) -> tuple[float, float]:
    splits = {"val": map_rows(files.val, shape.val_rows, shape.seq_len)}
    if job.held_out:
        splits["holdout"] = map_rows(files.holdout, shape.holdout_rows, shape.seq_len)
    with os.fdopen(files.token_bytes, "rb") as file:
        token_bytes = np.load(file, allow_pickle=False)

    def rival(tokens: np.ndarray, targets: np.ndarray) -> torch.Tensor:
        remotes[0].close()  # it is not needed any more, and its memory is free for the second
        return remotes[1](tokens, targets)

    size = remotes[0].rows
    second = rival if len(remotes) > 1 else None
    scores = probes.measure(remotes[0], second, splits, token_bytes, size, _rounding(job), job.strength, rng)
    for remote in remotes:
        remote.close()
    if job.strength != "off":
        for name, rows in splits.items():
            least = plausible.least_bpb(metric.zlib_bpb(rows, token_bytes), job.reference)
            if doubt := plausible.too_good(name, scores[name].bpb, least):
                raise ImplausibleScoreError(doubt)
    values = {name: _value(job, score, splits[name], token_bytes) for name, score in scores.items()}
    return values["val"], values.get("holdout", math.nan)


def _value(job: Job, score: Score, rows: np.ndarray, token_bytes: np.ndarray) -> float:
    """A split's score as decisions read it: lower is better."""
    if not job.metric_source:
        return score.bpb
    told = score.log_probabilities.numpy()
    return job.sign * own_metric.score_with(job.metric_source, job.metric_name, told, rows, token_bytes)


def map_rows(descriptor: int, rows: int, seq_len: int) -> np.ndarray:
    """The token rows in an open file, memory-mapped read-only: (rows, seq_len + 1) uint16."""
    with os.fdopen(descriptor, "rb") as file:
        return np.memmap(file, dtype=np.uint16, mode="r", shape=(rows, seq_len + 1))


def _rounding(job: Job) -> torch.dtype | None:
    """The number format by whose rounding answers may differ; `auto` on CUDA is at most bf16's."""
    auto = "none" if job.device == "cpu" else "bf16"
    return {"none": None, "fp16": torch.float16, "bf16": torch.bfloat16}[auto if job.amp == "auto" else job.amp]


def _checks(job: Job, remotes: list[Remote]) -> list[str]:
    probed = [] if job.strength == "off" else list(probes.WHAT)
    shown = "logits" if remotes[0].whole else "sampled-logits"
    return [*probed, shown, "weights", "bits", *(["second-process"] if len(remotes) > 1 else [])]
