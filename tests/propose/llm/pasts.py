"""Pasts of any length, with everything a run meets: advances, proofs, crashes, merges, replicates."""

import hashlib
import math
import random
from dataclasses import dataclass, field, replace
from pathlib import Path

from autoresearch_ray.candidate.normal_form import code_lines
from autoresearch_ray.propose.llm.prompt.past import Past
from autoresearch_ray.propose.llm.prompt.view import ExperimentView, Moment, SearchView
from autoresearch_ray.records.decisions import Decision, Standing, Step, StepKind
from autoresearch_ray.records.proposers import Refusal, RejectedIdea
from autoresearch_ray.records.trials import CurvePoint, Kind, Proposal, Purpose, Result, Status, Trial

ROOT = Path(__file__).parents[3]
TRAIN = (ROOT / "experiments/train.py").read_text()
PROGRAM = (ROOT / "program.md").read_text()
EXPERIMENT = ExperimentView("cpu", "stdlib", 128, 2048, 20.0, "a laptop", "none", 2)
HELD_OUT = 7.654321  # what no prompt may show, in numbers and in words
KNOBS = (("MATRIX_LR = 0.04 ", 0.04), ("EMBED_LR = 1.5 ", 1.5), ("WARMDOWN = 0.5 ", 0.5), ("MOMENTUM = 0.95 ", 0.95))
CODE = (
    ("        h = F.linear(x, weights[0])\n", "        h = F.linear(x, weights[0]) * {value}\n"),
    ("    if progress < WARMUP:\n", "    progress = progress ** {value}\n    if progress < WARMUP:\n"),
    ("    model.zero_grad(set_to_none=True)\n    return fast", "    model.zero_grad()  # {value}\n    return fast"),
    ('    """x / rms(x) over', '    x = x * {value}\n    """x / rms(x) over'),
)
ERRORS: tuple[tuple[Status, str], ...] = (
    ("crash", "RuntimeError: shape '[8, 128]' is invalid for input of size 4711 (train.py line 133, in attend)"),
    ("crash", "NameError: name 'scale' is not defined (train.py line 12, in norm)"),
    ("oom", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 512 MiB"),
    ("timeout", "no end of training 40 s after the budget"),
    ("invalid", "the model looks at later tokens: logits moved by 3.1"),
)
REFUSED: tuple[tuple[Refusal, str, str], ...] = (
    ("rule", "Read more text from disk", "imports: line 12: os is not among what a candidate may use; remove it"),
    (
        "dry_run",
        "A third projection",
        "the dry run ended as crash: IndexError: index 3 is out of bounds\nTraceback ...",
    ),
    ("edit", "Halve the heads", "block 1: its SEARCH text is nowhere in train.py"),
    ("duplicate", "Squared relu", "It does the same as t00004, which reached val_bpb 1.7012; try another idea"),
    ("moved", "Warm up the momentum", "the frontier changed while it waited for a slot"),
)
Event = Trial | Result | Decision | Step | RejectedIdea


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def tell(past: Past, record: Event) -> None:
    """A record of any kind."""
    match record:
        case Trial():
            past.note_trial(record)
        case Result():
            past.note_result(record)
        case Decision():
            past.note_decision(record)
        case Step():
            past.note_step(record)
        case RejectedIdea():
            past.note_rejection(record)


@dataclass
class Story:
    """Writes a past, one event after another."""

    sources: dict[str, str] = field(default_factory=dict)
    past: Past = field(init=False)
    told: list[Event] = field(default_factory=list)  # to the past, in order
    trials: int = 0
    steps: int = 0
    frontier: str = TRAIN
    best: str = TRAIN
    queued: tuple[Proposal, ...] = ()
    noise_sd: float = 0.007

    def __post_init__(self) -> None:
        self.past = Past(self.sources.__getitem__)
        self.keep_source(TRAIN)
        self.step("start", TRAIN, 1.7275, "starting candidate")

    def tell(self, record: Event) -> None:
        """Hand a record to the past, and remember it."""
        self.told.append(record)
        tell(self.past, record)

    def keep_source(self, text: str) -> str:
        self.sources[sha(text)] = text
        return sha(text)

    def proposal(self, text: str, hypothesis: str, kind: Kind = "code", proposer: str = "anthropic:m") -> Proposal:
        return Proposal(
            f"p{self.trials + 1:06d}", kind, proposer, self.keep_source(text), sha(self.frontier), 1, hypothesis
        )

    def trial(self, text: str, hypothesis: str, purpose: Purpose = "screen", kind: Kind = "code") -> str:
        self.trials += 1
        trial = Trial(f"t{self.trials:05d}", self.proposal(text, hypothesis, kind), purpose, 1, 0.0)
        self.tell(trial)
        return trial.trial_id

    def result(self, trial_id: str, score: float = math.nan, status: Status = "ok", error: str = "") -> None:
        self.tell(
            Result(
                trial_id, status, val_bpb=score, holdout_bpb=HELD_OUT, steps=391, tokens=409_600,
                training_seconds=20.0, parameters=1_220_608, peak_memory_mb=412.0, error=error,
                curve=tuple(CurvePoint(float(second), 20 * second, 0, 4 - second / 10) for second in range(1, 21)),
            )
        )  # fmt: skip

    def decision(self, trial_id: str, verdict: str, reason: str) -> None:
        self.tell(Decision(trial_id, verdict, reason, 1, 0.0))  # type: ignore[arg-type]

    def step(self, kind: StepKind, text: str, score: float, hypothesis: str) -> None:
        self.steps += 1
        proven = kind in ("keep", "drop")
        self.tell(
            Step(
                self.steps, kind, self.keep_source(text), f"t{self.trials:05d}", "p", hypothesis, "x", score,
                f"P(better) 0.999, gain 0.0100, held-out gain {HELD_OUT:.4f}", 0.0,
                probability=0.999 if proven else math.nan, gain=0.01 if proven else math.nan,
            )
        )  # fmt: skip
        self.frontier = text
        self.best = self.best if kind == "advance" else text

    def rejected(self, refusal: Refusal, hypothesis: str, detail: str) -> None:
        name = f"anthropic-{sum(isinstance(record, RejectedIdea) for record in self.told):05d}-1"
        self.tell(RejectedIdea(name, "anthropic:m", refusal, hypothesis, detail, 0.0))

    def moment(self, ideas: int = 3) -> Moment:
        frontier = Standing(sha(self.frontier), 1.7, 1.69, code_lines(self.frontier), 2, 0.0)
        best = replace(frontier, source_sha=sha(self.best), code_lines=code_lines(self.best))
        return Moment(PROGRAM, EXPERIMENT, 0.00005, 0.5, frontier, best, self.noise_sd, 12, self.queued, ideas)

    def view(self, ideas: int = 3) -> SearchView:
        return self.past.view(self.moment(ideas))


def long_story(trials: int, seed: int = 0) -> Story:
    """Knobs and code in turns; one in eight fails, one in twelve advances, every fifth advance is proven."""
    rng, story, advances = random.Random(seed), Story(), 0
    while story.trials < trials:
        text, hypothesis, kind = _change(story.frontier, rng)
        if rng.random() < 1 / 10:
            story.rejected(*rng.choice(REFUSED))
        trial_id = story.trial(text, hypothesis, kind=kind)
        if rng.random() < 1 / 8:
            status, error = rng.choice(ERRORS)
            story.result(trial_id, status=status, error=error)
            story.decision(trial_id, "discard", f"{status}: {error}")
            continue
        story.result(trial_id, 1.69 + rng.gauss(0.01, 0.02))
        if rng.random() > 1 / 12:
            story.decision(trial_id, "discard", "1.3 sd above its parent, an advance needs 0.5 sd")
            continue
        story.decision(trial_id, "promising", "1.3 sd below its parent, to be confirmed")
        again = story.trial(text, f"again: {hypothesis}", purpose="confirm", kind="replicate")
        story.result(again, 1.68)
        story.decision(again, "advance", f"confirmed, expected gain 0.0100, held-out gain {HELD_OUT:.4f}")
        story.step("advance", _base(text, kind), 1.69, hypothesis)
        advances += 1
        if advances % 5 == 0:
            proof = story.trial(story.frontier, "frontier again, for its proof", purpose="prove", kind="replicate")
            story.result(proof, 1.68)
            story.decision(proof, "keep", f"P(better) 0.999, gain 0.0100, held-out gain {HELD_OUT:.4f}")
            story.step("keep", story.frontier, 1.685, "frontier again, for its proof")
    return story


def _change(frontier: str, rng: random.Random) -> tuple[str, str, Kind]:
    value = round(rng.uniform(0.1, 2.0), 4)
    if rng.random() < 0.5:
        old, start = rng.choice(KNOBS)
        name = old.split(" ")[0]
        return (
            frontier.replace(old, f"{name} = {start * value:.6g} "),
            f"{name} {start} -> {start * value:.6g}",
            "knobs",
        )
    old, new = rng.choice(CODE)
    words = f"Idea number {value}: scaling this by {value} should help because signals grow with depth"
    return frontier.replace(old, new.format(value=value)), words, "code"


def _base(text: str, kind: Kind) -> str:
    """An advance keeps the frontier editable: only comments of it change here."""
    return TRAIN + f"# {sha(text)[:8]} {kind}\n"
