"""One search on virtual slots, over a made-up landscape: what it finds, and what that costs the driver.

Queue, tuner, search, decisions, merges, store and lineage are those of a run, on files. Only trials are not run: the
landscape says what they measure, and a clock jumps from one trial's end to the next. Seeded: the same numbers again.
It covers no Ray, no language model and no change of code.
"""

import heapq
import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import numpy as np

from autoresearch_ray.candidate.knobs import read_knobs
from autoresearch_ray.candidate.normal_form import code_lines
from autoresearch_ray.paths import LINEAGE, STATE_FILE
from autoresearch_ray.records import Result, Trial
from autoresearch_ray.search.landscape import Landscape
from autoresearch_ray.search.queue_filler import ProposerLoop
from autoresearch_ray.search.search import Finished, Search
from autoresearch_ray.settings import RunSettings
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.sqlite.store import SqliteStore

BASE_BPB, EPOCH = 1.76, 1_700_000_000.0
OVERHEAD = 0.06  # of the budget: start-up and scoring, give or take half
IDLE_SECONDS = 1.0  # for which the clock moves on when slots are free and nothing is ready
TELL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class World:
    """What trials measure, without being run."""

    landscape: Landscape
    noise_sd: float  # bpb, of one run over seeds
    seed_share: float  # of that variance that is common to all candidates with the same seed
    failures: float  # share of trials that crash

    def truth(self, source: str) -> float:
        """The score that this candidate has on average, in bpb."""
        values = {knob.name: knob.value for knob in read_knobs(source)}
        return BASE_BPB + self.noise_sd * self.landscape.loss(values)


@dataclass(frozen=True, slots=True)
class Found:
    """What came of one world; gains in sd of the noise, true ones."""

    trials: int
    hours: float  # virtual
    busy: float  # share of the slots' time
    best: float
    frontier: float
    wins: int
    false_wins: int  # that are no better than the best before them
    bias: float  # mean of what wins were reported to gain beyond what they do
    search_ms: tuple[float, float]  # a trial: of the first tenth, of the last
    proposer_ms: tuple[float, float]


class Simulation:
    """One run on virtual slots."""

    def __init__(self, settings: RunSettings, world: World, folder: Path, tell: Callable[[str], None]) -> None:
        self._settings, self._world, self._tell = settings, world, tell
        self._store = SqliteStore(folder / STATE_FILE, synced=False)
        self._board = Board(self._store)
        self._board.put_settings(settings.model_dump_json().encode())
        self._now, self._rng = EPOCH, np.random.default_rng([settings.seed, 2])
        self._search = Search(self._board, settings, folder / LINEAGE, now=lambda: self._now)
        self._seen = self._store.revision()
        self._loop = ProposerLoop(self._board, settings)
        self._truths: dict[str, float] = {}
        self._search_seconds: list[float] = []  # of each trial
        self._proposer_seconds: list[float] = []
        self._busy_seconds = 0.0

    def run(self) -> Found:
        """To the end of its trials."""
        with closing(self._store):
            free, ends = list(range(self._settings.slots)), list[tuple[float, str, int, Trial]]()
            told = time.monotonic()
            while self._start(free, ends) or ends:
                if ends:
                    self._now, _, slot, trial = heapq.heappop(ends)
                    self._end(trial, slot)
                    heapq.heappush(free, slot)
                else:
                    self._now += IDLE_SECONDS
                if time.monotonic() - told > TELL_SECONDS:
                    told = time.monotonic()
                    self._tell(f"{len(self._search_seconds)} of {self._settings.trials} trials")
            return self._found()

    def _start(self, free: list[int], ends: list[tuple[float, str, int, Trial]]) -> bool:
        """A trial for every free slot that gets one; False when no more will be started."""
        while free:
            self._propose()
            began = time.perf_counter()
            trial = self._search.next()
            self._spent(began)
            if not isinstance(trial, Trial):
                return not isinstance(trial, Finished)
            budget = self._settings.experiment.budget_seconds
            seconds = budget * (1 + OVERHEAD * self._rng.uniform(0.5, 1.5))
            heapq.heappush(ends, (self._now + seconds, trial.trial_id, heapq.heappop(free), trial))
            self._busy_seconds += seconds
        return True

    def _end(self, trial: Trial, slot: int) -> None:
        result = self._result(trial, slot)
        began = time.perf_counter()
        self._search.finished(result)
        self._search_seconds.append(0.0)
        self._spent(began)

    def _spent(self, began: float) -> None:
        if self._search_seconds:
            self._search_seconds[-1] += time.perf_counter() - began

    def _propose(self) -> None:
        began = time.perf_counter()
        batch = self._store.watch("", self._seen + 1, 0)
        self._seen = batch.revision
        self._loop.absorb(batch.events)
        self._loop.fill()
        self._proposer_seconds += [0.0] * (len(self._search_seconds) + 1 - len(self._proposer_seconds))
        self._proposer_seconds[-1] += time.perf_counter() - began

    def _result(self, trial: Trial, slot: int) -> Result:
        budget = self._settings.experiment.budget_seconds
        common = {"slot": slot, "node": "virtual", "started_at": trial.claimed_at, "finished_at": self._now}
        if self._rng.random() < self._world.failures:
            return Result(trial.trial_id, "crash", training_seconds=budget / 2, error="made up", **common)  # type: ignore[arg-type]
        world, of_seed = self._world, np.random.default_rng([self._settings.seed, trial.seed]).normal(size=2)
        noise = of_seed * world.seed_share**0.5 + self._rng.normal(size=2) * (1 - world.seed_share) ** 0.5
        val_bpb, holdout_bpb = self._truth(trial.proposal.source_sha) + world.noise_sd * noise
        proves = trial.purpose in ("baseline", "prove")
        return Result(
            *(trial.trial_id, "ok", float(val_bpb), float(holdout_bpb), budget),
            total_seconds=self._now - trial.claimed_at,
            strength="full" if proves else "normal",
            checks=("simulated",),
            **common,  # type: ignore[arg-type]
        )

    def _truth(self, source_sha: str) -> float:
        if source_sha not in self._truths:
            self._truths[source_sha] = self._world.truth(self._board.candidate(source_sha).text)
        return self._truths[source_sha]

    def _found(self) -> Found:
        state, sd = self._search.state, self._world.noise_sd
        steps = [step for step in self._board.steps() if step.kind in ("start", "keep")]
        bests = [self._objective(step.source_sha) for step in steps]
        gains = [(before - after) / sd for before, after in pairwise(bests)]
        told = [step.gain / sd for step in steps[1:]]
        start, seconds = bests[0] if bests else math.nan, self._now - EPOCH
        return Found(
            trials=len(self._search_seconds),
            hours=seconds / 3600,
            busy=self._busy_seconds / (self._settings.slots * seconds),
            best=(start - self._objective(state.best.source_sha)) / sd if state.best else math.nan,
            frontier=(start - self._objective(state.frontier.source_sha)) / sd if state.frontier else math.nan,
            wins=len(gains),
            false_wins=sum(gain <= 0 for gain in gains),
            bias=fmean(t - g for t, g in zip(told, gains, strict=True)) if gains else math.nan,
            search_ms=_ends(self._search_seconds),
            proposer_ms=_ends(self._proposer_seconds),
        )

    def _objective(self, source_sha: str) -> float:
        lines = code_lines(self._board.candidate(source_sha).text)
        return self._truth(source_sha) + self._settings.rules.complexity_price * lines


def _ends(seconds: list[float]) -> tuple[float, float]:
    tenth = max(1, len(seconds) // 10)
    return 1000 * fmean(seconds[:tenth]), 1000 * fmean(seconds[-tenth:])
