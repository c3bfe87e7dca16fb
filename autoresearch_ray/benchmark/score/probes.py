"""Does a model's prediction depend on anything but the tokens before it? Asked while it is scored.

    causal   later tokens of the same row
    rows     the other rows of the batch, or the row's position in it
    again    what the model was asked before

A probe asks for a batch a second time, changed where the answer may not depend on it, and compares the two answers.
Scored batches and probes come in one random order, and all are real text of the same shape. So a model cannot know
which of a pair counts. At full strength the probes go to a second process that loaded the same model: it cannot know
what the first one remembers.

A leak pays only by a higher log-probability of targets. So these may not move, whatever the scale of the logits.
Nowhere may one move by more than rounding. Rounding may hide a little, so just before the changed tokens the mean may
not move by more than chance.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from autoresearch_ray.benchmark.score import metric
from autoresearch_ray.benchmark.score.metric import InvalidModelError, Predict, Score
from autoresearch_ray.records.trials import Strength

Kind = Literal["causal", "rows", "again"]

# How far the log-probability of a target may move, in nats: at one position, and in the mean of all. Honest models
# move by rounding at most, in both directions.
MAX_MOVE = {None: 1e-3, torch.float16: 2e-2, torch.bfloat16: 1e-1}
MEAN_MOVE = {None: 1e-5, torch.float16: 2e-4, torch.bfloat16: 1e-3}
WINDOWS = (1, 8, 1 << 30)  # tokens before the changed ones in which a faint move is looked for
FAINT, CHANCE, LEAST_ROWS = 1e-4, 6.5, 30  # limit in nats; limit in standard errors; least rows for such a mean
NORMAL_SHARE = 1 / 60  # share of the batches that get each probe, at least one
FULL_SHARE: dict[Kind, float] = {"causal": 1 / 2, "rows": 1 / 8, "again": 1 / 8}
LEAST_FULL = 4
WHAT: dict[Kind, str] = {
    "causal": "tokens after its position",
    "rows": "other rows of the batch",
    "again": "what the model saw before",
}


@dataclass(frozen=True)
class Question:
    """A batch that the model is asked for: its own rows, or what a probe makes of them."""

    split: str
    rows: np.ndarray  # numbers of the rows (B,), repeated up to the batch's size
    tokens: np.ndarray  # (B, T + 1), what it sees
    targets: np.ndarray  # (B, T + 1), whose log-probabilities are asked
    still: np.ndarray  # (B, T), where they may not move; empty for a scored batch
    kind: Kind | None = None


def measure(
    predict: Predict,
    rival: Predict | None,
    splits: Mapping[str, np.ndarray],
    token_bytes: np.ndarray,
    size: int,
    amp_dtype: torch.dtype | None,
    strength: Strength,
    rng: np.random.Generator,
) -> dict[str, Score]:
    """The score of each split, its rows (N, T + 1), asked `size` at a time; InvalidModelError if a probe fails.

    `rival` (if any) answers the probes; `rng` must not be foreseeable by whoever answers.
    """
    scores = {name: torch.empty(len(rows), rows.shape[1] - 1, dtype=torch.float64) for name, rows in splits.items()}
    scored = [_batch(name, rows, start, size) for name, rows in splits.items() for start in range(0, len(rows), size)]
    probes = _probes(scored, splits, strength, rng)
    answers: list[tuple[Question, torch.Tensor]] = []
    order = scored + ([] if rival else probes)
    for index in rng.permutation(len(order)):
        question = order[index]
        answer = predict(question.tokens, question.targets)
        if question.kind is None:
            scores[question.split][question.rows] = answer
        else:
            answers.append((question, answer))
    if rival is not None:
        answers += [(probes[i], rival(probes[i].tokens, probes[i].targets)) for i in rng.permutation(len(probes))]
    moves = [(question, scores[question.split][question.rows] - answer) for question, answer in answers]
    for question, move in moves:
        _check_still(question, move, amp_dtype)
    _check_trend([(question.still, move.numpy()) for question, move in moves if question.kind == "causal"])
    return {name: metric.score_of(scores[name], rows, token_bytes) for name, rows in splits.items()}


def _batch(split: str, rows: np.ndarray, start: int, size: int) -> Question:
    numbers = metric.pad(np.arange(start, min(start + size, len(rows))), size)
    tokens = np.asarray(rows[numbers])
    return Question(split, numbers, tokens, tokens, np.empty(0))


def _probes(
    scored: list[Question], splits: Mapping[str, np.ndarray], strength: Strength, rng: np.random.Generator
) -> list[Question]:
    probes: list[Question] = []
    for kind, make in _MAKE.items():
        share = FULL_SHARE[kind] if strength == "full" else NORMAL_SHARE
        least = LEAST_FULL if strength == "full" else 1
        count = 0 if strength == "off" else max(least, round(share * len(scored)))
        for index in rng.permutation(max(count, len(scored)))[:count]:
            batch = scored[index % len(scored)]
            probes.append(make(batch, splits[batch.split], rng))
    return probes


def _causal(batch: Question, rows: np.ndarray, rng: np.random.Generator) -> Question:
    """Each row continues as another row from a position of its own; the positions are spread evenly."""
    size, length = batch.tokens.shape
    spread = (rng.permutation(size) + rng.random(size)) / size
    cut = (spread * (length - 2)).astype(np.int64)[:, None]  # the last x that stays
    other = _strangers(batch, rows, rng)
    positions = np.arange(length)
    tokens = np.where(positions <= cut, batch.tokens, other)
    return Question(batch.split, batch.rows, tokens, batch.tokens, positions[:-1] <= cut, "causal")


def _rows(batch: Question, rows: np.ndarray, rng: np.random.Generator) -> Question:
    """Half of the rows give way to others, and the rest change positions."""
    size = len(batch.rows)
    order = rng.permutation(size)
    kept = (np.arange(size) < (size + 1) // 2)[:, None]
    tokens = np.where(kept, batch.tokens[order], _strangers(batch, rows, rng))
    still = np.broadcast_to(kept, (size, batch.tokens.shape[1] - 1))
    return Question(batch.split, batch.rows[order], tokens, batch.tokens[order], still, "rows")


def _again(batch: Question, rows: np.ndarray, rng: np.random.Generator) -> Question:
    everywhere = np.ones((len(batch.rows), batch.tokens.shape[1] - 1), dtype=bool)
    return Question(batch.split, batch.rows, batch.tokens, batch.tokens, everywhere, "again")


_MAKE: dict[Kind, Callable[[Question, np.ndarray, np.random.Generator], Question]] = {
    "causal": _causal,
    "rows": _rows,
    "again": _again,
}


def _strangers(batch: Question, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many rows of real text as the batch has, each different from the row in its place, if possible."""
    free = np.setdiff1d(np.arange(len(rows)), batch.rows)
    if len(free):
        return np.asarray(rows[rng.choice(free, len(batch.rows))])
    if len(rows) > 1:
        return np.roll(batch.tokens, int(rng.integers(1, len(rows))), axis=0)
    return np.asarray(batch.tokens[:, rng.permutation(batch.tokens.shape[1])])


def _check_still(question: Question, move: torch.Tensor, amp_dtype: torch.dtype | None) -> None:
    assert question.kind is not None
    move = move[torch.from_numpy(question.still.copy())]
    largest, mean = float(move.abs().max()), float(move.mean().abs())
    if not (largest <= MAX_MOVE[amp_dtype] and mean <= MEAN_MOVE[amp_dtype]):
        raise InvalidModelError(
            f"the model's predictions depend on {WHAT[question.kind]}: a target's log-probability moved by "
            f"{largest:.2g} nats (mean {mean:.2g}), expected at most {MAX_MOVE[amp_dtype]:g} (mean "
            f"{MEAN_MOVE[amp_dtype]:g}); let position t of a row see positions up to t of the same row, nothing else"
        )


def _check_trend(moves: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Raises if later tokens help to predict the ones before them, however little: rounding has no such trend.

    `moves` are where the log-probabilities (B, T) may not move, and how they did.
    """
    for window in WINDOWS:
        means = np.concatenate([_means_before(still, move, window) for still, move in moves] or [np.empty(0)])
        if len(means) < LEAST_ROWS or not means.mean() > FAINT:
            continue
        if means.mean() > CHANCE * means.std(ddof=1) / len(means) ** 0.5:
            raise InvalidModelError(
                f"the model's predictions depend on tokens after its position: these raise a target's log-probability "
                f"by {means.mean():.2g} nats on average, over {len(means)} rows; let position t see positions up to t"
            )


def _means_before(still: np.ndarray, move: np.ndarray, window: int) -> np.ndarray:
    """Each row's mean move at the last positions that may not move."""
    count = still.sum(1, keepdims=True)  # positions 0 to count - 1
    positions = np.arange(still.shape[1])
    near = (positions < count) & (positions >= count - window)
    return np.asarray(np.where(near, move, 0.0).sum(1) / near.sum(1))
