"""What the search knows between two decisions: small, immutable, stored whole with every decision."""

from dataclasses import dataclass, field

from autoresearch_ray.decide.noise import Noise
from autoresearch_ray.records import Decision, Purpose, Standing, Status, Step

REMEMBERED_FRONTIERS = 16  # a result whose parent is older is compared with the oldest of them
REMEMBERED_RUNS = 6  # of each of them on numbered seeds


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a decision needs of one finished trial."""

    trial_id: str
    purpose: Purpose
    proposal_id: str
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
    seed_number: int = -1  # see panel.py


@dataclass(frozen=True, slots=True)
class PanelRun:
    """One run of a candidate that others are compared with: J on a numbered seed."""

    source_sha: str
    seed_number: int
    objective: float


@dataclass(frozen=True, slots=True)
class Contender:
    """A screened candidate that waits for its confirming replicate."""

    outcome: Outcome
    parent_objective: float  # what it beat: its parent's J on the same seed, or the estimate of its parent


@dataclass(frozen=True, slots=True)
class Proof:
    """Replicates of a frontier (the target) and of the best on the same seeds. Values of J, then held-out J."""

    target: Standing
    best_sha: str
    target_values: tuple[float, ...] = ()
    best_values: tuple[float, ...] = ()
    target_holdout: tuple[float, ...] = ()
    best_holdout: tuple[float, ...] = ()
    failures: int = 0  # of the target
    best_failures: int = 0
    probed: int = 0  # results of the target at full strength
    checks: tuple[str, ...] = ()  # that all of these passed
    target_seeds: tuple[int, ...] = ()  # numbers, in the order of the values; of older runs none
    best_seeds: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class SearchState:
    """The whole state of the decisions."""

    noise: Noise = field(default_factory=Noise)
    baseline_failures: tuple[str, ...] = ()
    waiting: tuple[Outcome, ...] = ()  # finished before the noise was known
    contenders: tuple[Contender, ...] = ()
    frontiers: tuple[Standing, ...] = ()  # the latest is the frontier
    frontier_weight: float = 0.0  # runs' worth of evidence behind the frontier's estimate
    best: Standing | None = None
    proof: Proof | None = None
    disproven: tuple[str, ...] = ()  # sources of the stack that failed a proof while a better frontier stood on them
    steps: int = 0  # made so far
    runs: tuple[PanelRun, ...] = ()  # of candidates that others start from or are proven against, oldest first
    next_seed: int = 0  # the first number that no frontier has been run on for a new panel
    screens: int = 0  # finished since the panel was new

    def runs_of(self, source_sha: str) -> tuple[PanelRun, ...]:
        """What is known of a candidate on numbered seeds, oldest first."""
        return tuple(run for run in self.runs if run.source_sha == source_sha)

    def on_seed(self, source_sha: str, seed_number: int) -> float | None:
        """J of a candidate on a numbered seed, if it was run there."""
        return next((run.objective for run in self.runs_of(source_sha) if run.seed_number == seed_number), None)

    @property
    def frontier(self) -> Standing | None:
        """The candidate that new proposals start from; None before the baseline is measured."""
        return self.frontiers[-1] if self.frontiers else None

    @property
    def stack(self) -> tuple[Standing, ...]:
        """The frontiers since the best, oldest first: what a proof would judge."""
        assert self.best is not None
        newer: list[Standing] = []
        for frontier in reversed(self.frontiers):
            if frontier.source_sha == self.best.source_sha:
                break
            newer.append(frontier)
        return tuple(reversed(newer))

    def on_stack(self, source_sha: str) -> Standing | None:
        """The unproven frontier of this source whose proof is not over; the latest if there were several."""
        open_ones = (f for f in reversed(self.stack) if f.source_sha not in self.disproven)
        return next((f for f in open_ones if f.source_sha == source_sha), None)

    @property
    def unproven(self) -> bool:
        """The frontier is not the best."""
        return self.best is not None and bool(self.stack)


@dataclass(frozen=True, slots=True)
class Settled:
    """A new state and everything that must be written with it, in one transaction."""

    state: SearchState
    decisions: tuple[Decision, ...] = ()
    steps: tuple[Step, ...] = ()
    retries: tuple[Outcome, ...] = ()  # confirmed beside a frontier that has moved: to be merged with it and tested
    dropped: bool = False  # the frontier failed its proof: its steps go back to the queue one by one
