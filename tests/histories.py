"""Histories made by hand: a realistic run with every status, an empty one, and one as long as is asked for."""

import hashlib
import json
import math
import random
from dataclasses import replace
from pathlib import Path

from autoresearch_ray.records.decisions import Decision, Step, StepKind, Verdict
from autoresearch_ray.records.history import History, TrialRow
from autoresearch_ray.records.proposers import Charge
from autoresearch_ray.records.trials import Candidate, CurvePoint, Kind, Proposal, Purpose, Result, Status, Trial
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.sqlite.store import SqliteStore

START = 1_750_000_000.0
SECONDS = 26.0  # from one trial's start to the next on a slot
SETTINGS = {
    "tag": "cpu-night",
    "slots": 2,
    "seed": 1,
    "experiment": {"name": "cpu", "data": "stdlib", "seq_len": 128, "vocab_size": 2048, "budget_seconds": 20.0},
    "versions": {"python": "3.11.9", "torch": "2.13.0"},
}
SOURCE = '''"""A small GPT."""

import torch

MATRIX_LR = 0.04  # Muon learning rate for 2-D weights; search log(0.005, 0.2)
DEPTH = 4  # transformer blocks; search int(2, 8)
ACTIVATION = "relu2"  # MLP non-linearity; search choice("relu2", "gelu", "swiglu")


class Block(torch.nn.Module):
    def forward(self, x):
        x = x + self.attention(self.norm(x))
        return x + self.mlp(self.norm(x))


def train(task):
    model = build(task)
    for inputs, targets in task.batches(8):
        step(model, inputs, targets)
    return model
'''
SECOND = SOURCE.replace("MATRIX_LR = 0.04 ", "MATRIX_LR = 0.0611 ")
THIRD = SECOND.replace("DEPTH = 4 ", "DEPTH = 3 ").replace(
    "        return x + self.mlp(self.norm(x))",
    "        x = x + self.mlp(self.norm(x))\n        return x * self.scale  # <b>learned</b> & small",
)


CHARGES = (  # a call of an earlier launch that nobody saw the end of stays charged
    Charge("anthropic:big", "settled", True, 5_000, 2_900, 0.0, 1_400, 900, 0, 150),
    Charge("anthropic:big", "open", True, 35_000, 35_000, 0.0),
    Charge("openai:own", "settled", False, 0, 0, 0.0, 50, 0, 0, 10),
)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def curve(final: float, seconds: float = 20.0) -> tuple[CurvePoint, ...]:
    """Loss that falls from about 11 bits to `final`, in twenty reports."""
    points = []
    for index in range(1, 21):
        share = index / 20
        points.append(CurvePoint(seconds * share, 20 * index, 20 * index * 1024, final + 4.0 * math.exp(-6 * share)))
    return tuple(points)


class Writer:
    """Adds trials and steps one after another, as a run does."""

    def __init__(self, settings: dict[str, object] | None = None, slots: int = 2) -> None:
        self.settings = dict(SETTINGS if settings is None else settings)
        self.slots = slots
        self.rows: list[TrialRow] = []
        self.steps: list[Step] = []
        self.commits: dict[int, str] = {}
        self.candidates: dict[str, Candidate] = {}

    def trial(
        self,
        source: str,
        kind: Kind,
        purpose: Purpose,
        hypothesis: str,
        status: Status | None = "ok",
        score: float = math.nan,
        verdict: Verdict = "measure",
        error: str = "",
        curved: bool = True,
    ) -> str:
        number = len(self.rows) + 1
        trial_id = f"t{number:05d}"
        self.candidates[sha(source)] = Candidate.of(source)
        slot = (number - 1) % self.slots
        start = START + (number - 1) // self.slots * SECONDS + 1.3 * slot
        proposer = {"baseline": "baseline", "knobs": "tpe", "code": "anthropic:MODEL", "merge": "merge"}.get(
            kind, "search"
        )
        proposal = Proposal(
            f"p{number:05d}", kind, proposer, sha(source), "" if kind == "baseline" else sha(SOURCE),
            len(self.steps), hypothesis, 1 if kind != "baseline" else 0, 1 if kind == "knobs" else 0,
        )  # fmt: skip
        trial = Trial(trial_id, proposal, purpose, 1000 + number, start - 0.2)
        if status is None:
            self.rows.append(TrialRow(trial, None, None))
            return trial_id
        ok = status == "ok"
        result = Result(
            trial_id, status, val_bpb=score, holdout_bpb=score + 0.01 if ok else math.nan,
            training_seconds=20.0 if ok else 3.0, startup_seconds=0.4, eval_seconds=1.9,
            total_seconds=22.5 if ok else 4.0, steps=400 if ok else 12, tokens=409_600 if ok else 12_288,
            parameters=1_220_608, peak_memory_mb=412.5, slot=slot, node="node-1", device_name="cpu", gpus=0.0,
            cotenants=self.slots - 1, isolation="process", started_at=start,
            finished_at=start + (22.5 if ok else 4.0), error=error,
            curve=curve(score + 0.05) if ok and curved else (),
            strength="full" if purpose in ("baseline", "prove") else "normal",
            checks=("clock", "causal", "bits") if ok else (),
        )  # fmt: skip
        decision = Decision(trial_id, verdict, f"{verdict}: see section 5", len(self.steps), start + 24.0)
        self.rows.append(TrialRow(trial, result, decision))
        return trial_id

    def step(self, kind: StepKind, source: str, trial_id: str, value: float, gain: float = math.nan) -> None:
        row = next((row for row in reversed(self.rows) if row.trial.trial_id == trial_id), None)
        hypothesis = row.trial.proposal.hypothesis if row else "the starting candidate"
        index = len(self.steps) + 1
        proven = kind in ("keep", "drop")
        self.steps.append(
            Step(
                index, kind, sha(source), trial_id, f"p{trial_id[1:]}", hypothesis, "tpe", value, f"{kind} {index}",
                row.result.finished_at if row and row.result else START,
                probability=(0.996 if kind == "keep" else 0.12) if proven else math.nan,
                gain=gain, gain_low=gain - 0.008, gain_high=gain + 0.008,
                checks=("clock", "causal", "bits") if kind == "keep" else (),
            )
        )  # fmt: skip
        self.commits[index] = hashlib.sha1(f"commit {index}".encode()).hexdigest()
        self.candidates[sha(source)] = Candidate.of(source)

    def history(self) -> History:
        return History(self.settings, tuple(self.rows), tuple(self.steps), self.commits, self.candidates)


def realistic(seed: int = 1) -> History:
    """Thirty-two trials: every status, an advance that fails its proof, two proven wins, one trial still running."""
    noise, run = random.Random(seed), Writer()
    baseline = [
        run.trial(SOURCE, "baseline", "baseline", "the starting candidate", score=1.760 + noise.gauss(0, 0.01))
        for _ in range(3)
    ]
    run.step("start", SOURCE, baseline[-1], 1.7603)
    run.trial(SOURCE + "\nA = 1\n", "knobs", "screen", "MATRIX_LR 0.04 -> 0.19", score=1.851, verdict="discard")
    run.trial(SOURCE + "\nA = 2\n", "knobs", "screen", "DEPTH 4 -> 8", score=1.902, verdict="discard")
    failures: tuple[tuple[Status, str], ...] = (
        ("crash", 'Traceback (most recent call last):\n  File "train.py", line 12\nTypeError: unsupported operand'),
        ("oom", "torch.OutOfMemoryError: tried to allocate 20.00 GiB"),
        ("timeout", "no first batch within 60 s"),
        ("invalid", "causality probe: logits at position 17 moved by 0.31"),
        ("lost", "the worker died"),
        ("stopped", "ended at 41 % of its time: P(worthwhile) 0.012, its loss is 0.0340 bpb above its parent's"),
    )
    for status, error in failures:
        run.trial(
            SOURCE + f"\nB = {status!r}\n", "code", "screen", f"try {status}", status, verdict="discard", error=error
        )
    run.trial(SOURCE + "\nC = 1\n", "code", "screen", "no weight decay at all", score=8.12, verdict="discard")
    run.trial(SECOND, "knobs", "screen", "MATRIX_LR 0.04 -> 0.0611", score=1.731, verdict="promising")
    won = run.trial(SECOND, "replicate", "confirm", "MATRIX_LR 0.04 -> 0.0611", score=1.738, verdict="advance")
    run.step("advance", SECOND, won, 1.7362)
    for _ in range(2):
        run.trial(SECOND, "replicate", "prove", "MATRIX_LR 0.04 -> 0.0611", score=1.737 + noise.gauss(0, 0.01))
        run.trial(SOURCE, "replicate", "prove", "the starting candidate", score=1.76 + noise.gauss(0, 0.01))
    won = run.trial(SECOND, "replicate", "prove", "MATRIX_LR 0.04 -> 0.0611", score=1.735, verdict="keep")
    run.step("keep", SECOND, won, 1.7370, gain=0.0233)
    lost = run.trial(SECOND + "\nD = 1\n", "code", "screen", "bigger batches late", score=1.721, verdict="advance")
    run.step("advance", SECOND + "\nD = 1\n", lost, 1.7290)
    lost = run.trial(SECOND + "\nD = 1\n", "replicate", "prove", "bigger batches late", score=1.745, verdict="drop")
    run.step("drop", SECOND, lost, 1.7370)
    for value in (1.749, 1.768):
        run.trial(
            SECOND + f"\nE = {value}\n", "knobs", "screen", f"EMBED_LR -> {value}", score=value, verdict="discard"
        )
    won = run.trial(
        THIRD, "merge", "screen", "DEPTH 4 -> 3 with a learned residual scale", score=1.702, verdict="advance"
    )
    run.step("advance", THIRD, won, 1.7110)
    for _ in range(2):
        run.trial(
            THIRD, "replicate", "prove", "DEPTH 4 -> 3 with a learned residual scale", score=1.71 + noise.gauss(0, 0.01)
        )
        run.trial(SECOND, "replicate", "prove", "MATRIX_LR 0.04 -> 0.0611", score=1.737 + noise.gauss(0, 0.01))
    won = run.trial(
        THIRD, "replicate", "prove", "DEPTH 4 -> 3 with a learned residual scale", score=1.709, verdict="keep"
    )
    run.step("keep", THIRD, won, 1.7095, gain=0.0271)
    run.trial(THIRD + "\nF = 1\n", "knobs", "screen", "ADAM_LR 0.003 -> 0.005", status=None)
    return run.history()


def leading(seed: int = 1) -> History:
    """The same until just before its first win: the frontier is ahead, and its proof is open."""
    whole = realistic(seed)
    won = next(number for number, row in enumerate(whole.rows) if row.decision and row.decision.verdict == "keep")
    return replace(whole, rows=whole.rows[:won], steps=whole.steps[:2])


SCRIPT = {  # a classifier that prints its own accuracy
    "contract": "script",
    "name": "digits",
    "command": "python fit.py",
    "editable": ["fit.py"],
    "metric": "accuracy",
    "direction": "higher",
    "budget_seconds": 20.0,
}


def scripted(**said: object) -> History:
    """The realistic run as one of a script: its accuracy is 0.94 at the start, and higher is better.

    `said`: other keys of the experiment.
    """

    def turn(value: float) -> float:
        return 0.5 * (value - 1.76) - 0.94  # what decisions read: the accuracy with its sign turned

    rows = []
    for row in realistic().rows:
        result = row.result and replace(
            row.result, val_bpb=turn(row.result.val_bpb), holdout_bpb=turn(row.result.holdout_bpb), curve=()
        )
        rows.append(replace(row, result=result))
    steps = [
        replace(
            step,
            val_bpb=turn(step.val_bpb),
            gain=0.5 * step.gain,
            gain_low=0.5 * step.gain_low,
            gain_high=0.5 * step.gain_high,
        )
        for step in realistic().steps
    ]
    settings = {**SETTINGS, "experiment": {**SCRIPT, **said}}
    return replace(realistic(), settings=settings, rows=tuple(rows), steps=tuple(steps))


def empty() -> History:
    """A run that has started and measured nothing."""
    return History(dict(SETTINGS), (), (), {}, {})


def long(trials: int, wins: int = 23, seed: int = 2) -> History:
    """A night on many slots: screening scores round a best that falls in `wins` steps, with failures and outliers."""
    noise, run = random.Random(seed), Writer(slots=16)
    best, kept = 1.76, 0
    for _ in range(3):
        baseline = run.trial(SOURCE, "baseline", "baseline", "the start", score=best + noise.gauss(0, 0.003))
    run.step("start", SOURCE, baseline, best)
    while len(run.rows) < trials:
        number = len(run.rows)
        if kept < wins and number >= trials * ((kept + 1) / (wins + 1)) ** 1.5:
            gain, kept = 0.02 * 0.85**kept, kept + 1
            best -= gain
            source = SOURCE.replace("DEPTH = 4 ", f"DEPTH = {10 + kept} ")
            trial_id = run.trial(
                source, "code", "prove", f"win {kept}: an idea about layer {kept}", score=best, verdict="keep"
            )
            run.step("advance", source, trial_id, best - 0.001)
            run.step("keep", source, trial_id, best, gain=gain)
        elif number % 29 == 7:
            run.trial(SOURCE, "code", "screen", "x", "crash", verdict="discard", error="ValueError: x")
        elif number % 97 == 5:
            run.trial(SOURCE, "code", "screen", "diverges", score=8.0, verdict="discard", curved=False)
        else:
            luck = best + abs(noise.gauss(0, 0.02)) + noise.gauss(0, 0.003)
            run.trial(SOURCE, "knobs", "screen", f"MATRIX_LR -> {number}", score=luck, verdict="discard", curved=False)
    return run.history()


def with_text(history: History, text: str) -> History:
    """The same history with `text` in every place that a model or a failing program may write."""
    rows = tuple(
        TrialRow(
            replace(row.trial, proposal=replace(row.trial.proposal, hypothesis=text, proposer=text)),
            row.result and replace(row.result, error=text, node=text, device_name=text),
            row.decision and replace(row.decision, reason=text),
        )
        for row in history.rows
    )
    steps = tuple(replace(step, hypothesis=text, reason=text, proposer=text) for step in history.steps)
    candidates = {key: Candidate.of(one.text + "\n" + text) for key, one in history.candidates.items()}
    return replace(history, rows=rows, steps=steps, candidates=candidates, settings={**history.settings, "tag": text})


def stored(history: History, folder: Path) -> None:
    """Write a history into a run's folder, as its store."""
    with SqliteStore(folder / "state.db") as store:
        board = Board(store)
        board.put_settings_once(json.dumps(history.settings).encode())
        for candidate in history.candidates.values():
            board.candidates.put(candidate)
        for row in history.rows:
            board.start(row.trial)
            if row.result:
                board.finish(row.result)
        decisions = [row.decision for row in history.rows if row.decision]
        board.settle(0, b"{}", decisions, steps=history.steps)
        for index, commit in history.commits.items():
            board.put_commit(index, commit)
