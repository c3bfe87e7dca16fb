"""Policies on a made-up world: greedy as upstream works, and the project's decisions without texts or store."""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from autoresearch_ray.decide.decide import decide
from autoresearch_ray.decide.estimate import Estimate
from autoresearch_ray.decide.panel import screen_seed
from autoresearch_ray.decide.plan import Replicate, Screen, plan, plan_overtime
from autoresearch_ray.decide.state import MergeIdea, Outcome, SearchState
from autoresearch_ray.records.decisions import Decision
from autoresearch_ray.records.trials import Proposal, Trial
from autoresearch_ray.settings.decision_rules import Rules
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
    trials: int = 0  # that it took
    ended: float = 0.0  # when, in trials' times


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
    queue: list[MergeIdea] = field(default_factory=list)
    tried: set[str] = field(default_factory=set)
    found: Found = field(default_factory=Found)
    now: float = 0.0
    estimate: Estimate | None = None
    log: Callable[[str], None] | None = None
    spent: dict[str, int] = field(default_factory=dict)
    overtime: int = 0  # trials beyond `trials`, for a last proof

    def __call__(self) -> Found:
        """To the end of its trials."""
        proposals, numbers = itertools.count(1), itertools.count(1)
        started = 0
        while True:
            while len(self.flight) < self.slots and started < self.trials + self.overtime:
                trial = self._next(next(numbers), self.trials - started, proposals)
                if trial is None:
                    break
                started += 1
                self.spent[trial.purpose] = self.spent.get(trial.purpose, 0) + 1
                length = 1 + 0.1 * self.world._uniform(8, started)
                heapq.heappush(self.flight, (self.now + length, started, trial))
            if not self.flight:
                break
            self.now, number, trial = heapq.heappop(self.flight)
            self._end(trial, number)
        self.found.trials, self.found.ended = started, self.now
        self.found.best = -self._truth(self.state.best.source_sha) if self.state.best else 0.0
        self.found.frontier = -self._truth(self.state.frontier.source_sha) if self.state.frontier else 0.0
        return self.found

    def _next(self, number: int, left: int, proposals: "itertools.count[int]") -> Trial | None:
        running = [trial for _, _, trial in sorted(self.flight)]
        what: Replicate | Screen | None
        if left > 0:
            what = plan(
                self.state, self.estimate, self.rules, running, baseline_sha="start", trials_left=left,
                slots=self.slots, ready=True, idle=False,
            )  # fmt: skip
        else:
            what = plan_overtime(self.state, self.estimate, self.rules, running, trials_left=left + self.overtime)
        if what is None:
            return None
        version = self.state.frontier.version if self.state.frontier else 1
        if isinstance(what, Replicate):
            proposal = Proposal(f"r{number}", "replicate", "search", what.source_sha, what.other_sha, version, "")
            return self._trial(number, proposal, what.purpose, what.seed_number)
        merge = self._next_merge(version)
        if merge is not None:
            return self._trial(number, merge, "screen", screen_seed(self.state.ledger, merge.parent_sha))
        frontier = self.state.frontier.source_sha if self.state.frontier else "start"
        proposal = self._propose(number, frontier, version, proposals)
        return self._trial(number, proposal, "screen", screen_seed(self.state.ledger, frontier))

    def _propose(self, number: int, frontier: str, version: int, proposals: "itertools.count[int]") -> Proposal:
        child = self._named(self.sets[frontier] | {next(proposals)})
        return Proposal(f"p{number}", "knobs", "tpe", child, frontier, version, "")

    def _next_merge(self, version: int) -> Proposal | None:
        while self.queue:
            idea = self.queue.pop(0)
            assert self.state.frontier is not None
            frontier = self.state.frontier.source_sha
            changes = self.sets[frontier] | (self.sets[idea.source_sha] - self.sets[idea.parent_sha])
            merged = self._named(changes)
            if merged != frontier and merged not in self.tried:
                self.tried.add(merged)
                parts = (idea.source_sha,)
                return Proposal(f"m{merged}", "merge", "merge", merged, frontier, version, "", merged=parts)
        return None

    def _trial(self, number: int, proposal: Proposal, purpose: str, seed_number: int | None) -> Trial:
        seed = FRESH + number if seed_number is None else seed_number
        return Trial(f"t{number}", proposal, purpose, seed, 0.0, seed_number=-1 if seed_number is None else seed_number)  # type: ignore[arg-type]

    def _end(self, trial: Trial, number: int) -> None:
        proposal, changes = trial.proposal, self.sets[trial.proposal.source_sha]
        value = self.world.run(changes, trial.seed, number)
        held_out = value + 0.3 * self.world._normal(9, number)
        outcome = Outcome(
            trial.trial_id, trial.purpose, proposal.proposal_id, proposal.kind, proposal.proposer, "",
            proposal.source_sha, proposal.parent_sha, "ok", value, held_out, 0, checks=("simulated",),
            seed_number=trial.seed_number, merged=proposal.merged,
        )  # fmt: skip
        before = self.state.best
        settled = decide(self.state, outcome, self.rules, 0.0, self.estimate)
        self.state, self.estimate = settled.state, settled.estimate
        best = settled.state.best
        if before is not None and best is not None and best.source_sha != before.source_sha:
            self.found.wins += 1
            self.found.false_wins += self._truth(best.source_sha) >= self._truth(before.source_sha)
        self.queue += settled.merges
        self._note(trial, settled.decisions)
        if self.log:
            told = settled.decisions[0] if settled.decisions else None
            self.log(
                f"{self.now:6.2f} t{number:<4} {trial.purpose:8} {proposal.source_sha:>24} on {proposal.parent_sha:>20}"
                f" seed {trial.seed_number:<8} y {value:6.2f} true {self.world.truth(changes):6.2f}"
                f" {told.verdict if told else '':10}{told.reason if told else ''}"
            )

    def _note(self, trial: Trial, decisions: tuple[Decision, ...]) -> None:
        """A trial has ended, and what follows."""

    def _named(self, changes: Changes) -> str:
        self.sets[name_of(changes)] = changes
        return name_of(changes)

    def _truth(self, name: str) -> float:
        return self.world.truth(self.sets[name])


def ours(rules: Rules, overtime: int = 0) -> Policy:
    """The project's decisions by these rules; J has no price of lines here."""
    return lambda world, trials, slots: Run(world, trials, slots, rules, overtime=overtime)()
