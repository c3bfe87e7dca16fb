"""Worlds in which proposers and directions differ, and runs that share slots among them, as earned or by fixed weights.

A change's number says which proposer made it and in which direction, so every policy meets the same proposals of an arm
in the same order. What an arm brings is a `Family` of its own; it may dry up, or begin to bring something only when the
frontier has changes of another direction.
"""

import itertools
import math
from collections import Counter
from dataclasses import dataclass, field

from autoresearch_ray.decide.portfolio import Portfolio
from autoresearch_ray.records.decisions import Decision
from autoresearch_ray.records.trials import Proposal, Result, Trial
from policy_sim.policies import Run
from policy_sim.worlds import Changes, Family, World

INCOMPATIBLE = 0.1  # of the pairs of changes
STRIDE = 100_000  # change numbers of an arm
DIRECTIONS = 8
DEAD = Family(0.0, 0.3, 0.0, math.inf)
TUNER = Family(0.15, 0.25, 1.0, 150)
SLOT_SECONDS = 300.0


@dataclass(frozen=True)
class Model:
    """A scripted model: what it brings in each direction, and the dollars of an idea."""

    name: str
    families: tuple[Family, ...]
    dollars: float = 0.002


@dataclass(frozen=True)
class Scenario:
    """Who proposes; `opens` names directions that are dead until the frontier has so many changes of another."""

    tuner: Family
    models: tuple[Model, ...]
    opens: dict[int, tuple[int, int]] = field(default_factory=dict)  # direction -> (other direction, changes)

    @property
    def arms(self) -> list[tuple[str, int, Family]]:
        """(proposer, direction or -1, what it brings), in the order of change numbers."""
        found = [("tuner", -1, self.tuner)]
        return found + [(model.name, d, family) for model in self.models for d, family in enumerate(model.families)]


def _rich(good: float, size: float = 1.5, decay: float = math.inf) -> Family:
    return Family(good, 0.3, size, decay)


def _spread(*rich: tuple[int, Family]) -> tuple[Family, ...]:
    known = dict(rich)
    return tuple(known.get(direction, DEAD) for direction in range(DIRECTIONS))


FAIR, GOOD = _rich(0.15, 1.0), _rich(0.3, 1.5)
SCENARIOS = {
    "one rich direction": Scenario(TUNER, (Model("model", _spread((2, GOOD))),)),
    "few directions": Scenario(TUNER, (Model("model", _spread((1, GOOD), (4, FAIR), (6, FAIR))),)),
    "strong and weak model": Scenario(
        TUNER, (Model("strong", (_rich(0.25),) * DIRECTIONS), Model("weak", (_rich(0.03),) * DIRECTIONS))
    ),
    "a model that only costs": Scenario(TUNER, (Model("costly", (DEAD,) * DIRECTIONS, 0.2),)),
    "directions dry up": Scenario(
        TUNER, (Model("model", _spread((0, _rich(0.4, 1.5, 12)), (3, _rich(0.4, 1.5, 12)), (5, _rich(0.4, 1.5, 12)))),)
    ),
    "one opens another": Scenario(
        TUNER, (Model("model", _spread((1, _rich(0.3, 1.0, 20)), (6, _rich(0.4, 2.0)))),), {6: (1, 2)}
    ),
    "all alike": Scenario(FAIR, (Model("model", (FAIR,) * DIRECTIONS),)),
}


class ArmsWorld(World):
    """A world whose changes are worth what their arm brings."""

    def __init__(self, scenario: Scenario, seed: int, seed_share: float) -> None:
        super().__init__(scenario.tuner, seed, seed_share, INCOMPATIBLE)
        self.scenario = scenario

    def effect(self, change: int) -> float:
        """What the change adds to J by itself; below 0 it improves."""
        if change not in self._effects:
            arm, number = divmod(change, STRIDE)
            self._effects[change] = self._draw(self.scenario.arms[arm][2], change, number)
        return self._effects[change]

    def truth(self, changes: Changes) -> float:
        """J of a candidate, 0 for the start; what a direction brings before it has opened does nothing."""
        return super().truth(frozenset(change for change in changes if self._is_open(change, changes)))

    def _is_open(self, change: int, changes: Changes) -> bool:
        _, direction, _ = self.scenario.arms[change // STRIDE]
        needs = self.scenario.opens.get(direction)
        if needs is None or self.effect(change) > 0:
            return True
        own = [c for c in changes if self.scenario.arms[c // STRIDE][1] == needs[0] and self.effect(c) < 0]
        return len(own) >= needs[1]


@dataclass
class ArmsRun(Run):
    """A run whose slots are shared among arms; `earned` False: by equal weights."""

    earned: bool = True
    portfolio: Portfolio = field(default_factory=Portfolio)
    counts: Counter[int] = field(default_factory=Counter)
    turns: "itertools.count[int]" = field(default_factory=itertools.count)
    screens: Counter[str] = field(default_factory=Counter)

    def _propose(self, number: int, frontier: str, version: int, proposals: "itertools.count[int]") -> Proposal:
        assert isinstance(self.world, ArmsWorld)
        scenario = self.world.scenario
        names = ["tuner", *(model.name for model in scenario.models)]
        turn = next(self.turns)
        directions = [f"d{direction}" for direction in range(DIRECTIONS)]
        if self.earned:
            proposer = self.portfolio.furthest_behind(dict.fromkeys(names, 1.0), names, {})
            direction = self.portfolio.furthest_behind(dict.fromkeys(directions, 1.0), directions, {})
        else:
            proposer = names[turn % len(names)]
            direction = directions[turn // len(names) % DIRECTIONS]
        place = -1 if proposer == "tuner" else int(direction[1:])
        arm = next(i for i, (who, d, _) in enumerate(scenario.arms) if (who, d) == (proposer, place))
        self.counts[arm] += 1
        self.screens[proposer] += 1
        child = self._named(self.sets[frontier] | {arm * STRIDE + self.counts[arm]})
        dollars = next((model.dollars for model in scenario.models if model.name == proposer), 0.0)
        where = "" if place < 0 else direction
        return Proposal(f"p{number}", "code", proposer, child, frontier, version, "", direction=where, dollars=dollars)

    def _trial(self, number: int, proposal: Proposal, purpose: str, seed_number: int | None) -> Trial:
        trial = super()._trial(number, proposal, purpose, seed_number)
        if proposal.kind != "merge":
            self.portfolio.note_trial(trial)
        return trial

    def _note(self, trial: Trial, decisions: tuple[Decision, ...]) -> None:
        self.portfolio.note_result(Result(trial.trial_id, "ok", total_seconds=SLOT_SECONDS))
        for decision in decisions:
            self.portfolio.note_decision(decision)
