"""A trial from proposal to result: the candidate, who proposed it, what is to be run, what came of it.

Records here and beside it cross module borders; `codec` makes JSON of them. They are frozen, with named fields and
units in the names. Times are UTC seconds since the epoch. A score that does not exist is NaN (null in JSON).
"""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from autoresearch_ray.common.paths import CANDIDATE_FILE
from autoresearch_ray.records import source_files

Kind = Literal["baseline", "knobs", "code", "merge", "replicate"]
Purpose = Literal["baseline", "screen", "confirm", "prove", "remove", "idle"]
MAY_BE_BEST: tuple[Purpose, ...] = ("baseline", "prove", "remove")  # of trials that make a best: all are probed alike
PROOFS: tuple[Purpose, ...] = ("prove", "remove")
OWN_SEED = -1  # the number of a seed that no other trial has
FailureStatus = Literal["crash", "timeout", "oom", "invalid"]  # that a candidate can bring about
Status = Literal["ok", FailureStatus, "lost", "stopped"]
Isolation = Literal["strict", "best", "none"]  # of candidates
Strength = Literal["off", "normal", "full"]  # of the probes of a model: full for a proof

HELD = "held for a human to see"  # in the error of a result that is held


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is searched over: texts by path, under one content hash. With our contract one text, `train.py`.

    A script's files stand in a tree; `text` is all of them as one, see `source_files.py`.
    """

    files: tuple[tuple[str, str], ...]  # (path, text) in the order of paths

    def __post_init__(self) -> None:
        if self.is_lone:
            return  # most are; a history has 100,000
        paths = [PurePosixPath(path) for path, _ in self.files]
        assert paths and paths == sorted(set(paths)), f"paths in order, each once: {paths}"
        assert not any(path.is_absolute() or ".." in path.parts for path in paths), f"paths below one folder: {paths}"

    @classmethod
    def of(cls, text: str) -> "Candidate":
        """The candidate with this text: a lone train.py, or files with headings (`source_files.py`)."""
        return cls(source_files.split(text) if source_files.has_headings(text) else ((CANDIDATE_FILE, text),))

    @property
    def is_lone(self) -> bool:
        """Whether train.py is its only file."""
        return len(self.files) == 1 and self.files[0][0] == CANDIDATE_FILE

    @property
    def text(self) -> str:
        """What search and models edit: the text of a lone train.py, else all files, each below its heading."""
        return self.files[0][1] if self.is_lone else source_files.join(self.files)

    @property
    def sha(self) -> str:
        """Its content hash, sha256 in hex: that of its text, if train.py is its only file."""
        return hashlib.sha256(self.encode()).hexdigest()

    def encode(self) -> bytes:
        """What is stored: the bare text of a lone train.py, else JSON behind a zero byte, which begins no source."""
        if self.is_lone:
            return self.text.encode()
        return b"\0" + json.dumps(self.files, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, stored: bytes) -> "Candidate":
        """The candidate that `encode` made this of."""
        if not stored.startswith(b"\0"):
            return cls.of(stored.decode())
        return cls(tuple((path, text) for path, text in json.loads(stored[1:])))


@dataclass(frozen=True, slots=True)
class Proposal:
    """A validated candidate with its parent and its hypothesis, waiting for a slot."""

    proposal_id: str
    kind: Kind
    proposer: str  # who made it: baseline, tpe, random, merge, search, anthropic:MODEL ...
    source_sha: str  # sha256 of the candidate's text, hex
    parent_sha: str  # the candidate that it started from; "" for the baseline
    parent_version: int  # the frontier's version when it was made
    hypothesis: str
    lines_added: int = 0
    lines_removed: int = 0
    expected_effect: float = math.nan  # on val_bpb, as its proposer said
    merged: tuple[str, ...] = ()  # of a merge: the candidates whose own changes it brings onto its parent
    direction: str = ""  # the direction that its model was asked to look in
    dollars: float = 0.0  # that its asking cost, and what its model was asked in vain before it


@dataclass(frozen=True, slots=True)
class Trial:
    """One execution of one candidate with one seed on one slot."""

    trial_id: str  # t00001, t00002 ... in the order of claiming
    proposal: Proposal
    purpose: Purpose
    seed: int
    claimed_at: float
    staleness: int = 0  # advances of the frontier since its proposal was made
    max_staleness: int | None = 0  # the run's bound on that when it was claimed; None: no bound
    seed_number: int = OWN_SEED  # of its seed in the panel or the proof


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One progress report of a trial, about twenty a trial."""

    seconds: float  # on the training clock
    step: int
    tokens: int
    train_bpb: float  # the mean of the losses it reported since the last point: its own word; NaN if it says nothing


@dataclass(frozen=True, slots=True)
class Result:
    """What a trial measured, or how it failed."""

    trial_id: str
    status: Status
    val_bpb: float = math.nan
    holdout_bpb: float = math.nan  # of a trial that can make a best: of no other is it scored
    training_seconds: float = 0.0
    startup_seconds: float = 0.0  # asked for to first batch, warm-up included
    eval_seconds: float = 0.0
    total_seconds: float = 0.0
    steps: int = 0
    tokens: int = 0
    parameters: int = 0
    peak_memory_mb: float = 0.0
    slot: int = 0
    node: str = ""
    device_name: str = ""
    gpus: float = 0.0
    cotenants: int = 0  # other trials beside it on the same device, or machine for CPU trials, on average
    isolation: str = ""
    started_at: float = 0.0
    finished_at: float = 0.0
    error: str = ""
    curve: tuple[CurvePoint, ...] = ()
    strength: str = ""  # of the probes: normal, or full for a proof; "" in what was stored before they were noted
    checks: tuple[str, ...] = ()  # what was probed and held; none without a score
    profile: tuple[tuple[int, float], ...] = ()  # (line of train.py, its share of the training time); on a CPU alone
    learned: tuple[tuple[str, tuple[float, ...]], ...] = ()  # (name, numbers) of the model's smallest parameters
    held: bool = False  # it is too good to be true, and somebody should look; its status is invalid
    expected_bpb: float = math.nan  # of a screen that was ended early: the val_bpb that its curve promised

    @property
    def estimated_bpb(self) -> float:
        """What is known of its val_bpb: the score, or what its curve promised; NaN for a failure."""
        return self.expected_bpb if self.status == "stopped" else self.val_bpb

    @property
    def tokens_per_second(self) -> float:
        """Training throughput; 0 when nothing was trained."""
        return self.tokens / self.training_seconds if self.training_seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class CoRun:
    """So many runs of one candidate side by side on one GPU."""

    tenants: int
    steps_per_second: tuple[float, ...] = ()  # of each, while all of them trained
    failure: str = ""  # why so many cannot share it: they ran out of memory, for one

    @property
    def rate(self) -> float:
        """Steps per GPU-second, of all together."""
        return sum(self.steps_per_second)
