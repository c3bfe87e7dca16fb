"""One search on virtual slots, in a made-up world: what it finds, and what that costs the driver.

Queue, tuner, search, decisions, merges, store and lineage are those of a run, on files. Only trials are not run: the
world says what they measure, and a clock jumps from one trial's end to the next. Seeded: the same numbers again.
It covers no Ray, no language model and no change of code.
"""

import heapq
import math
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from pathlib import Path
from statistics import fmean

from autoresearch_ray.candidate.knobs import read_knobs
from autoresearch_ray.candidate.normal_form import code_lines
from autoresearch_ray.candidate.ranges import Value
from autoresearch_ray.common.paths import LINEAGE, STORE_FILE
from autoresearch_ray.observe.comparison import Course, Moment
from autoresearch_ray.records.decisions import Standing
from autoresearch_ray.records.trials import MAY_BE_BEST, CurvePoint, Result, Trial
from autoresearch_ray.search.queue_filler import ProposerLoop
from autoresearch_ray.search.search import Finished, Search
from autoresearch_ray.search.worlds.world import OVERHEAD, REPORTS, Measured, World
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.sqlite.store import SqliteStore

EPOCH = 1_700_000_000.0
IDLE_SECONDS = 1.0  # for which the clock moves on when slots are free and nothing is ready
TELL_SECONDS = 10.0
LEDGER, FRONTIER = "ledger", "ledger's frontier"  # how comparisons call this search: what it proved, where it stands


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
    reported: Course  # the proven best over time
    searched_from: Course  # the frontier


class Simulation:
    """One run on virtual slots."""

    def __init__(self, settings: RunSettings, world: World, folder: Path, tell: Callable[[str], None]) -> None:
        self._settings, self._world, self._tell = settings, world, tell
        self._store = SqliteStore(folder / STORE_FILE, synced=False)
        self._board = Board(self._store)
        self._board.put_settings(settings.model_dump_json().encode())
        self._now = EPOCH
        self._search = Search(self._board, settings, folder / LINEAGE, now=lambda: self._now)
        self._seen = self._store.revision()
        self._loop = ProposerLoop(self._board, settings)
        self._values: dict[str, dict[str, Value]] = {}  # by source
        self._truths: dict[str, float] = {}
        self._runs: Counter[tuple[str, int]] = Counter()  # by source and seed
        self._baseline: Standing | None = None
        self._frontiers: list[Moment] = []
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
            return self._summarise()

    def _start(self, free: list[int], ends: list[tuple[float, str, int, Trial]]) -> bool:
        """A trial for every free slot that gets one; False when no more will be started."""
        while free:
            self._propose()
            began = time.perf_counter()
            trial = self._search.next()
            self._note_seconds(began)
            if not isinstance(trial, Trial):
                return not isinstance(trial, Finished)
            slot = heapq.heappop(free)
            seconds = self._world.seconds(self._search.claimed, slot)
            heapq.heappush(ends, (self._now + seconds, trial.trial_id, slot, trial))
            self._busy_seconds += seconds
        return True

    def _end(self, trial: Trial, slot: int) -> None:
        result = self._result(trial, slot)
        began = time.perf_counter()
        self._search.finish(result)
        self._search_seconds.append(0.0)
        self._note_seconds(began)
        self._note_frontier()

    def _note_seconds(self, began: float) -> None:
        if self._search_seconds:
            self._search_seconds[-1] += time.perf_counter() - began

    def _propose(self) -> None:
        began = time.perf_counter()
        changes = self._board.follow(self._seen)
        self._seen = changes.revision
        self._loop.absorb(changes)
        self._loop.fill()
        self._proposer_seconds += [0.0] * (len(self._search_seconds) + 1 - len(self._proposer_seconds))
        self._proposer_seconds[-1] += time.perf_counter() - began

    def _result(self, trial: Trial, slot: int) -> Result:
        world, sha = self._world, trial.proposal.source_sha
        again, self._runs[sha, trial.seed] = self._runs[sha, trial.seed], self._runs[sha, trial.seed] + 1
        planned = self._settings.trials * world.budget_seconds * (1 + OVERHEAD) / self._settings.slots
        passed = min(1.0, (trial.claimed_at - EPOCH) / planned)
        measured = world.measure(self._values_of(sha), trial.seed, slot, passed, again)
        proves, fails = trial.purpose in MAY_BE_BEST, measured.status != "ok"
        return Result(
            *(trial.trial_id, measured.status, measured.val_bpb, measured.holdout_bpb),
            training_seconds=world.budget_seconds * len(measured.curve) / REPORTS,
            total_seconds=self._now - trial.claimed_at,
            slot=slot,
            node="virtual",
            started_at=trial.claimed_at,
            finished_at=self._now,
            error="made up" if fails else "",
            curve=_curve(measured, world.budget_seconds),
            strength="" if fails else "full" if proves else "normal",
            checks=() if fails else ("simulated",),
        )

    def _values_of(self, source_sha: str) -> dict[str, Value]:
        if source_sha not in self._values:
            knobs = read_knobs(self._board.candidates.get(source_sha).text)
            self._values[source_sha] = {knob.name: knob.value for knob in knobs}
        return self._values[source_sha]

    def _truth(self, source_sha: str) -> float:
        if source_sha not in self._truths:
            self._truths[source_sha] = self._world.truth(self._values_of(source_sha))
        return self._truths[source_sha]

    def _note_frontier(self) -> None:
        """Where the search goes on from now, and what it believes of that."""
        best, frontier = self._search.state.best, self._search.state.frontier
        if best is None or frontier is None:
            return
        self._baseline = self._baseline or best  # the first one is the start
        believed = (self._baseline.objective - frontier.objective) / self._world.conditions.noise_sd
        moment = Moment(self._hours(self._now), self._gain(self._baseline.source_sha, frontier.source_sha), believed)
        if not self._frontiers or replace(moment, hours=self._frontiers[-1].hours) != self._frontiers[-1]:
            self._frontiers.append(moment)

    def _list_moments(self) -> tuple[Moment, ...]:
        """The start and each win; a win adds what it was reported to gain."""
        steps = [step for step in self._board.steps() if step.kind in ("start", "keep")]
        sd = self._world.conditions.noise_sd
        believed = accumulate(0.0 if step.kind == "start" else step.gain / sd for step in steps)
        return tuple(
            Moment(self._hours(step.at), self._gain(steps[0].source_sha, step.source_sha), told)
            for step, told in zip(steps, believed, strict=True)
        )

    def _summarise(self) -> Found:
        state, reported, hours = self._search.state, self._list_moments(), self._hours(self._now)
        wins = [(now.gain - before.gain, now.believed - before.believed) for before, now in pairwise(reported)]
        trials, slots, frontier = len(self._search_seconds), self._settings.slots, tuple(self._frontiers)
        seed = self._settings.seed
        return Found(
            trials=trials,
            hours=hours,
            busy=self._busy_seconds / (slots * 3600 * hours),
            best=reported[-1].gain if state.best else math.nan,
            frontier=frontier[-1].gain if state.frontier and frontier else math.nan,
            wins=len(wins),
            false_wins=sum(gain <= 0 for gain, _ in wins),
            bias=fmean(told - gain for gain, told in wins) if wins else math.nan,
            search_ms=_ends(self._search_seconds),
            proposer_ms=_ends(self._proposer_seconds),
            reported=Course(LEDGER, seed, slots, trials, hours, reported),
            searched_from=Course(FRONTIER, seed, slots, trials, hours, frontier),
        )

    def _gain(self, start_sha: str, source_sha: str) -> float:
        """What this candidate truly gains over the start, in sd."""
        return (self._objective(start_sha) - self._objective(source_sha)) / self._world.conditions.noise_sd

    def _objective(self, source_sha: str) -> float:
        lines = code_lines(self._board.candidates.get(source_sha).text)
        return self._truth(source_sha) + self._settings.rules.complexity_price * lines

    def _hours(self, at: float) -> float:
        return (at - EPOCH) / 3600


def _curve(measured: Measured, budget_seconds: float) -> tuple[CurvePoint, ...]:
    part = budget_seconds / REPORTS
    return tuple(CurvePoint(k * part, k, 0, value) for k, value in enumerate(measured.curve, start=1))


def _ends(seconds: list[float]) -> tuple[float, float]:
    tenth = max(1, len(seconds) // 10)
    return 1000 * fmean(seconds[:tenth]), 1000 * fmean(seconds[-tenth:])
