"""One peer on virtual slots in one world, for as much GPU time as so many whole trials take."""

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from autoresearch_ray.observe.comparison import Course, Moment
from autoresearch_ray.search.peers.greedy import Greedy
from autoresearch_ray.search.peers.policy import Attempt, Policy
from autoresearch_ray.search.peers.sampled import Asha, RandomSearch, Tpe
from autoresearch_ray.search.worlds.world import OVERHEAD, REPORTS, Measured, World

PEERS: dict[str, Callable[[World, np.random.Generator, int], Policy]] = {
    "greedy": lambda world, rng, slots: Greedy(world.knobs, rng, slots, one_seed=False),
    "greedy-one-seed": lambda world, rng, slots: Greedy(world.knobs, rng, slots, one_seed=True),
    "random": lambda world, rng, slots: RandomSearch(world.knobs, rng),
    "tpe": lambda world, rng, slots: Tpe(world.knobs, rng),
    "asha": lambda world, rng, slots: Asha(world.knobs, rng),
}


@dataclass(frozen=True, slots=True, order=True)
class _Event:
    """A running trial reports, or ends with its last report."""

    at: float  # seconds since the search began
    number: int
    report: int  # of REPORTS
    attempt: Attempt = field(compare=False)
    slot: int = field(compare=False)
    measured: Measured = field(compare=False)


class PeerRun:
    """One policy in one world. What a stopped trial has not used of its time is there for others."""

    def __init__(self, policy: Policy, world: World, slots: int, trials: int) -> None:
        self._policy, self._world, self._slots, self._trials = policy, world, slots, trials
        self._whole = world.budget_seconds * (1 + OVERHEAD)  # seconds of a trial
        self._used, self._started, self._now = 0.0, 0, 0.0  # used: in whole trials
        self._runs: Counter[tuple[str, int]] = Counter()
        self._events: list[_Event] = []
        self._moments: list[Moment] = []

    def run(self, name: str, world_seed: int) -> Course:
        """To the end of its time."""
        free = list(range(self._slots))
        while True:
            while free and self._used + 1 <= self._trials:
                attempt = self._policy.propose()
                if attempt is None:
                    break
                self._start(attempt, heapq.heappop(free))
            if not self._events:
                break
            event = heapq.heappop(self._events)
            self._now = event.at
            if self._ends(event):
                heapq.heappush(free, event.slot)
        moments = tuple(self._moments)
        return Course(name, world_seed, self._slots, self._started, self._now / 3600, moments)

    def _start(self, attempt: Attempt, slot: int) -> None:
        self._used, self._started = self._used + 1, self._started + 1
        run = (str(sorted(attempt.values.items())), attempt.seed)
        passed = min(1.0, self._now / (self._trials * self._whole / self._slots))
        measured = self._world.measure(attempt.values, attempt.seed, slot, passed, self._runs[run])
        self._runs[run] += 1
        end = self._now + self._world.seconds(attempt.number, slot)
        reports = min(len(measured.curve), REPORTS - 1) if self._policy.stops_early else 0
        for report in [*range(1, reports + 1), REPORTS]:
            at = end - self._world.budget_seconds * (1 - report / REPORTS)
            heapq.heappush(self._events, _Event(at, attempt.number, report, attempt, slot, measured))

    def _ends(self, event: _Event) -> bool:
        """Take a report; whether the trial is over with it."""
        if event.report == REPORTS:
            self._finish(event.attempt, event.measured.val_bpb)
            return True
        score = event.measured.curve[event.report - 1]
        if not self._policy.stops(event.attempt, event.report / REPORTS, score):
            return False
        self._events = [other for other in self._events if other.number != event.number]
        heapq.heapify(self._events)
        self._used -= (1 - event.report / REPORTS) / (1 + OVERHEAD)
        self._finish(event.attempt, score)
        return True

    def _finish(self, attempt: Attempt, score: float) -> None:
        policy, before = self._policy, self._policy.reported
        policy.finish(attempt, score)
        if np.isnan(policy.start_score) or (policy.reported == before and attempt.number > 1):
            return
        believed = (policy.start_score - policy.reported_score) / self._world.conditions.noise_sd
        self._moments.append(Moment(self._now / 3600, self._world.gain(policy.reported.values), believed))


def run_peer(name: str, world: World, seed: int, slots: int, trials: int) -> Course:
    """The peer of this name in the world of this seed."""
    index = list(PEERS).index(name)
    return PeerRun(PEERS[name](world, np.random.default_rng([seed, 3, index]), slots), world, slots, trials).run(
        name, seed
    )
