"""Policies on a made-up world: greedy as upstream works, and the project's decisions without texts or store."""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from autoresearch_ray.decide.decide import decide
from autoresearch_ray.decide.panel import screen_seed
from autoresearch_ray.decide.plan import Replicate, plan
from autoresearch_ray.decide.state import Outcome, SearchState, Settled
from autoresearch_ray.records import Proposal, Trial
from autoresearch_ray.settings import Rules
from policy_sim.worlds import Changes, World

START: Changes = frozenset()
FRESH = 1 << 40  # the first of the seeds that no panel has


@dataclass
class Found:
    """True gains of what is reported and of where it searches on, in sd; wins, and those that are none."""

    best: float = 0.0
    frontier: float = 0.0
    wins: int = 0
    false_wins: int = 0


Policy = Callable[[World, int, int], Found]


def greedy(world: World, trials: int, slots: int, *, one_seed: bool) -> Found:
    """Keep if lower, rounds of `slots` trials side by side; with one seed for ever, or a new one for every run."""
    found, proposals, numbers = Found(), itertools.count(1), itertools.count()

    def score(changes: Changes) -> float:
        number = next(numbers)
        return world.run(changes, 0 if one_seed else FRESH + number, number)

    at, value, done = START, score(START), 1
    while done < trials:
        children = [at | {next(proposals)} for _ in range(min(slots, trials - done))]
        done += len(children)
        least, child = min(((score(child), child) for child in children), key=lambda pair: pair[0])
        if least < value:
            found.wins += 1
            found.false_wins += world.truth(child) >= world.truth(at)
            at, value = child, least
    found.best = found.frontier = -world.truth(at)
    return found


def name_of(changes: Changes) -> str:
    return "+".join(map(str, sorted(changes))) or "start"


@dataclass
class Run:
    """The project's decisions on one world; trials take about equally long."""

    world: World
    trials: int
    slots: int
    rules: Rules
    sets: dict[str, Changes] = field(default_factory=lambda: {"start": START})
    state: SearchState = field(default_factory=SearchState)
    flight: list[tuple[float, int, Trial]] = field(default_factory=list)
    queue: list[tuple[str, str]] = field(default_factory=list)  # (parent, candidate): merges, and steps by themselves
    tried: set[str] = field(default_factory=set)
    found: Found = field(default_factory=Found)
    now: float = 0.0

    def __call__(self) -> Found:
        """To the end of its trials."""
        proposals, numbers = itertools.count(1), itertools.count()
        started = 0
        while True:
            while len(self.flight) < self.slots and started < self.trials:
                trial = self._next(next(numbers), self.trials - started, proposals)
                if trial is None:
                    break
                started += 1
                length = 1 + 0.1 * self.world._uniform(8, started)
                heapq.heappush(self.flight, (self.now + length, started, trial))
            if not self.flight:
                break
            self.now, number, trial = heapq.heappop(self.flight)
            self._end(trial, number)
        self.found.best = -self._truth(self.state.best.source_sha) if self.state.best else 0.0
        self.found.frontier = -self._truth(self.state.frontier.source_sha) if self.state.frontier else 0.0
        return self.found

    def _next(self, number: int, left: int, proposals: "itertools.count[int]") -> Trial | None:
        running = [trial for _, _, trial in sorted(self.flight)]
        what = plan(
            self.state, self.rules, running, baseline_sha="start", trials_left=left, slots=self.slots, ready=True,
            idle=False,
        )  # fmt: skip
        if what is None:
            return None
        version = self.state.frontier.version if self.state.frontier else 1
        if isinstance(what, Replicate):
            proposal = Proposal(f"r{number}", "replicate", "search", what.source_sha, what.other_sha, version, "")
            return self._trial(number, proposal, what.purpose, what.seed_number)
        frontier = self.state.frontier.source_sha if self.state.frontier else "start"
        stale, self.queue = self.queue, []
        for base, merged in stale:
            if base == frontier:
                self.queue.append((base, merged))
            else:
                self._merge(base, merged)
        waiting = self.queue
        self.queue = waiting[1:]
        parent, child = waiting[0] if waiting else (frontier, self._named(self.sets[frontier] | {next(proposals)}))
        proposal = Proposal(
            f"p{number}", "merge" if waiting else "knobs", "merge" if waiting else "tpe", child, parent, version, ""
        )
        return self._trial(number, proposal, "screen", self._screen_seed(parent))

    def _screen_seed(self, parent: str) -> int | None:
        return screen_seed(self.state, parent)

    def _trial(self, number: int, proposal: Proposal, purpose: str, seed_number: int | None) -> Trial:
        seed = FRESH + number if seed_number is None else seed_number
        return Trial(f"t{number}", proposal, purpose, seed, 0.0, seed_number=-1 if seed_number is None else seed_number)  # type: ignore[arg-type]

    def _end(self, trial: Trial, number: int) -> None:
        proposal, changes = trial.proposal, self.sets[trial.proposal.source_sha]
        value = self.world.run(changes, trial.seed, number)
        held_out = value + 0.3 * self.world._normal(9, number)
        outcome = Outcome(
            trial.trial_id, trial.purpose, proposal.proposal_id, proposal.proposer, "", proposal.source_sha,
            proposal.parent_sha, "ok", value, held_out, 0, checks=("simulated",), seed_number=trial.seed_number,
        )  # fmt: skip
        self._settle(outcome)

    def _settle(self, outcome: Outcome) -> None:
        before, stack = self.state.best, self.state.stack if self.state.best else ()
        settled = self._decide(outcome)
        self.state = settled.state
        best = settled.state.best
        if before is not None and best is not None and best.source_sha != before.source_sha:
            self.found.wins += 1
            self.found.false_wins += self._truth(best.source_sha) >= self._truth(before.source_sha)
        if settled.dropped and before is not None:
            for parent, child in itertools.pairwise(standing.source_sha for standing in [before, *stack]):
                self._merge(parent, child)
        for screened in settled.retries:
            self._merge(screened.parent_sha, screened.source_sha)

    def _decide(self, outcome: Outcome) -> Settled:
        return decide(self.state, outcome, self.rules, 0.0)

    def _merge(self, parent: str, child: str) -> None:
        """Queue what `child` changes on `parent`, on the frontier."""
        assert self.state.frontier is not None
        frontier = self.state.frontier.source_sha
        merged = self._named(self.sets[frontier] | (self.sets[child] - self.sets[parent]))
        if merged != frontier and merged not in self.tried:
            self.tried.add(merged)
            self.queue.append((frontier, merged))

    def _named(self, changes: Changes) -> str:
        self.sets[name_of(changes)] = changes
        return name_of(changes)

    def _truth(self, name: str) -> float:
        return self.world.truth(self.sets[name])


def ours(rules: Rules) -> Policy:
    """The project's decisions by these rules; J has no price of lines here."""
    return lambda world, trials, slots: Run(world, trials, slots, rules)()
