"""What the search knows between two decisions: small, immutable, stored whole with every decision."""

from dataclasses import dataclass, field

from autoresearch_ray.decide.estimate import Estimate
from autoresearch_ray.decide.ledger import Ledger
from autoresearch_ray.records.decisions import Decision, Standing, Step
from autoresearch_ray.records.trials import OWN_SEED, Kind, Purpose, Result, Status, Trial
from autoresearch_ray.settings.score_words import ScoreWords
from autoresearch_ray.settings.scoring import OURS, Scoring


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a decision needs of one finished trial."""

    trial_id: str
    purpose: Purpose
    proposal_id: str
    kind: Kind
    proposer: str
    hypothesis: str
    source_sha: str
    parent_sha: str  # of a proof's replicate: the other side
    status: Status
    val_bpb: float
    holdout_bpb: float
    code_lines: int
    error: str = ""
    checks: tuple[str, ...] = ()  # that it passed at full strength; none at any other
    seed_number: int = OWN_SEED  # see panel.py
    merged: tuple[str, ...] = ()  # of a merge: the candidates whose own changes it brings onto its parent

    @classmethod
    def of(cls, trial: Trial, result: Result, code_lines: int) -> "Outcome":
        """What a decision needs of this trial; `code_lines` are its candidate's."""
        proposal = trial.proposal
        return cls(
            trial_id=trial.trial_id,
            purpose=trial.purpose,
            proposal_id=proposal.proposal_id,
            kind=proposal.kind,
            proposer=proposal.proposer,
            hypothesis=proposal.hypothesis,
            source_sha=proposal.source_sha,
            parent_sha=proposal.parent_sha,
            status=result.status,
            val_bpb=result.val_bpb,
            holdout_bpb=result.holdout_bpb,
            code_lines=code_lines,
            error=result.error,
            checks=result.checks if result.strength == "full" else (),
            seed_number=trial.seed_number,
            merged=proposal.merged,
        )

    @property
    def number(self) -> int:
        """Of its trial."""
        return int(self.trial_id.lstrip("t"))


@dataclass(frozen=True, slots=True)
class Proof:
    """Two candidates that are run on the same fresh seeds, the target and the best; their runs are in the ledger."""

    target_sha: str
    best_sha: str  # of a removal: the last best that was proven by a gain
    failures: int = 0  # of the target
    best_failures: int = 0
    probed: int = 0  # results of the target at full strength
    checks: tuple[str, ...] = ()  # that all of these passed
    removes: bool = False  # whether the target need only be no worse, see removal.py


@dataclass(frozen=True, slots=True)
class SearchState:
    """The whole state of the decisions."""

    ledger: Ledger = field(default_factory=Ledger)
    baseline_failures: tuple[str, ...] = ()
    waiting: tuple[Outcome, ...] = ()  # finished before the noise was known
    frontier: Standing | None = None  # where new proposals start; None before the baseline is measured
    best: Standing | None = None  # proven
    start_bpb: float = float("nan")  # val_bpb of the baseline
    proof: Proof | None = None
    failed: tuple[str, ...] = ()  # targets whose proof against this best failed
    replaced: tuple[str, ...] = ()  # the best before this one
    anchor: Standing | None = None  # the last best that was proven by a gain, if removals were kept since
    needed: tuple[str, ...] = ()  # removals from this anchor whose proof failed
    steps: int = 0  # made so far
    scoring: Scoring = OURS  # what the reasons call the scores; nothing is decided by it

    @property
    def words(self) -> ScoreWords:
        """How the reasons write scores: each by its own magnitude, for the noise changes as runs come in."""
        return ScoreWords(self.scoring)

    @property
    def unproven(self) -> bool:
        """The frontier is not the best."""
        return self.best is not None and self.frontier is not None and self.frontier.source_sha != self.best.source_sha


@dataclass(frozen=True, slots=True)
class MergeIdea:
    """A change that was found beside the frontier, to be brought onto it and tried."""

    frontier: Standing
    source_sha: str  # the change is what lies between this candidate and its parent
    parent_sha: str
    proposal_id: str
    proposer: str
    hypothesis: str
    expected: float  # effect on J


@dataclass(frozen=True, slots=True)
class Settled:
    """A new state, everything that must be written with it in one transaction, and the estimate that goes with it."""

    state: SearchState
    decisions: tuple[Decision, ...] = ()
    steps: tuple[Step, ...] = ()
    merges: tuple[MergeIdea, ...] = ()
    estimate: Estimate | None = field(default=None, compare=False)  # of the new state; None before there is a best
