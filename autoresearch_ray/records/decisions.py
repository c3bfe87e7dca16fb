"""What followed from results: a decision of each, the holders of frontier and best, and each change of them."""

import math
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["measure", "promising", "discard", "advance", "keep", "drop"]
StepKind = Literal["start", "advance", "keep", "drop"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What followed from one trial's result."""

    trial_id: str
    verdict: Verdict
    reason: str
    frontier_version: int  # that it was made against
    decided_at: float
    checks: tuple[str, ...] = ()  # of a keep: what every run of its proof passed at full strength
    code_lines: int = 0  # of the candidate
    expected_gain: float = math.nan  # in J over the frontier of that moment, by all runs until then
    expected_sd: float = math.nan  # of the expected gain
    pair_sd: float = math.nan  # noise of one more pair of candidate and frontier
    holdout_gain: float = math.nan  # of a proof so far, on the held-out split: no model may be told


@dataclass(frozen=True, slots=True)
class Standing:
    """A candidate that holds a role: the frontier or the best.

    `objective` is J = val_bpb + complexity_price * code_lines: for the frontier an estimate shrunk against luck, for
    the best the mean of its proof. `version` counts the holders of the role, from 1.
    """

    source_sha: str
    objective: float
    val_bpb: float
    code_lines: int
    version: int
    since: float


@dataclass(frozen=True, slots=True)
class Step:
    """One change of frontier or best: everything that its git commit is made of."""

    index: int  # 1, 2, 3 ... over the whole run
    kind: StepKind
    source_sha: str
    trial_id: str  # the trial that settled it
    proposal_id: str
    hypothesis: str
    proposer: str
    val_bpb: float
    reason: str
    at: float
    probability: float = math.nan  # of a keep: that it is better than the best before it; of a removal, not much worse
    gain: float = math.nan  # in J, over the best before it; of a removal, over the last best that was proven by a gain
    gain_low: float = math.nan  # 95 % interval
    gain_high: float = math.nan
    checks: tuple[str, ...] = ()  # of a keep, as in its decision
    holdout_gain: float = math.nan  # of a keep, as in its decision
    removes: bool = False  # a keep that takes out code, see decide/removal.py
    # Two that stores of earlier versions lack; `unproven` reads those by other means.
    proves: tuple[int, ...] | None = None  # indices of the advances that a keep proves
    disappointed: bool | None = None  # of a drop: an earlier candidate turned out to be better; else a proof failed
