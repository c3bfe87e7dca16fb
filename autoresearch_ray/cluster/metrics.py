"""A run's numbers as Ray metrics: every node serves them at http://NODE:METRICS_PORT/metrics for Prometheus.

    with metering(board, settings, search, watch): ...     # the driver, while the search goes

Names begin with ray_autoresearch_, every series carries the run's tag as `run`. What the store knows (trials, wins,
calls of models) is set, not counted, so that a resumed run shows the same as an unbroken one; seconds of slots and of
GPUs are counters, which begin at what the store's results add up to. `experiments/clusters/grafana.json` draws them.
"""

import contextlib
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from autoresearch_ray.common.errors import CompactedError, StoreError
from autoresearch_ray.common.repeating import beside
from autoresearch_ray.propose.llm.spending import CALLS, TOTAL
from autoresearch_ray.records.proposers import MICROS, Charge
from autoresearch_ray.records.trials import Result
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.settings.scoring import Scoring
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.history import records_under

LOOK_SECONDS = 5.0
RESULTS = "result/"


@dataclass(frozen=True, slots=True)
class Figures:
    """A run at one moment. A score that does not exist yet is NaN."""

    best: float  # as decisions read it, the frontier too
    frontier: float
    wins: int
    trials: dict[str, int]  # by status
    slots: int
    busy_slots: int
    queue_depth: int
    training_seconds: float  # of all slots, over all launches, running trials included
    idle_seconds: float  # of all slots in this launch, while nothing trained on them
    llm_calls: int
    llm_input_tokens: int
    llm_output_tokens: int
    llm_dollars: float
    store_seconds: float  # of one read, now


class Gauging:
    """Looks at a run's board and its search. One thread; knows no Ray."""

    def __init__(self, board: Board, search: Any, watch: Any, clock: Callable[[], float] = time.monotonic) -> None:
        """`search` is the run's `Search`, `watch` its `SlotWatch`."""
        self._board, self._search, self._watch, self._clock = board, search, watch, clock
        self._looked_at, self._slot_seconds = clock(), 0.0
        self._charges: tuple[int, list[Charge]] = (-1, [])
        self._statuses, self._trained, self._seen = Counter[str](), 0.0, 0
        self._read_all()
        self._trained_before = self._trained

    def look(self) -> Figures:
        """The run now. StoreError when the store does not answer."""
        self._absorb()
        before = self._clock()
        self._board.store.get(TOTAL)
        store_seconds = self._clock() - before
        views = list(dict(self._watch.views).values())
        training = self._trained + sum(view.seconds for view in views)
        self._pass_time()
        state, charges = self._search.state, self._read_charges()
        return Figures(
            best=state.best.val_bpb if state.best else math.nan,
            frontier=state.frontier.val_bpb if state.frontier else math.nan,
            wins=state.best.version - 1 if state.best else 0,
            trials=dict(self._statuses),
            slots=self._search.slots,
            busy_slots=len(views),
            queue_depth=self._search.queue_depth,
            training_seconds=training,
            idle_seconds=max(0.0, self._slot_seconds - (training - self._trained_before)),
            llm_calls=len(charges),
            llm_input_tokens=sum(charge.input_tokens for charge in charges),
            llm_output_tokens=sum(charge.output_tokens for charge in charges),
            llm_dollars=sum(charge.micros for charge in charges) / MICROS,
            store_seconds=store_seconds,
        )

    def _pass_time(self) -> None:
        now = self._clock()
        self._slot_seconds += self._search.slots * (now - self._looked_at)
        self._looked_at = now

    def _absorb(self) -> None:
        try:
            changes = self._board.follow(self._seen, folder=RESULTS)
        except CompactedError:  # too far behind
            self._read_all()
            return
        for result in changes.results:
            self._add(result)
        self._seen = changes.revision

    def _read_all(self) -> None:
        self._statuses, self._trained = Counter[str](), 0.0
        self._seen = self._board.store.revision()
        for result in records_under(self._board.store, RESULTS, Result, self._seen):
            self._add(result)

    def _add(self, result: Result) -> None:
        self._statuses[result.status] += 1
        self._trained += result.training_seconds

    def _read_charges(self) -> list[Charge]:
        total = self._board.store.get(TOTAL)
        revision = total.mod_revision if total else 0
        if revision != self._charges[0]:
            self._charges = (revision, records_under(self._board.store, CALLS, Charge))
        return self._charges[1]


class Exported:
    """The metrics of one run in this process."""

    def __init__(self, tag: str, gpu_share: float, scoring: Scoring) -> None:
        from ray.util.metrics import Counter as RayCounter
        from ray.util.metrics import Gauge

        self._run, self._gpu_share, self._sign = {"run": tag}, gpu_share, scoring.sign

        def gauge(name: str, words: str, *keys: str) -> Any:
            return Gauge(f"autoresearch_{name}", words, ("run", *keys))

        def seconds(name: str, words: str) -> Any:
            return RayCounter(f"autoresearch_{name}", words, ("run", "state"))

        holders = {"best": f"the {scoring.proven} best", "frontier": "the frontier, shrunk against luck"}
        labels = {"metric": scoring.name, "direction": scoring.direction}
        self._scores = [
            (name, gauge(f"{name}_score", f"score of {what}", *labels), labels) for name, what in holders.items()
        ]
        if scoring.is_ours:
            self._scores += [
                (name, gauge(f"{name}_val_bpb", f"bits per byte of {what}"), {}) for name, what in holders.items()
            ]
        self._gauges = {
            "wins": gauge("wins", "proven wins"),
            "slots": gauge("slots", "trials at once"),
            "busy_slots": gauge("busy_slots", "slots on which a trial runs"),
            "queue_depth": gauge("queue_depth", "proposals that wait for a slot"),
            "llm_calls": gauge("llm_calls", "calls of language models"),
            "llm_dollars": gauge("llm_dollars", "what they cost, reservations included"),
            "store_seconds": gauge("store_seconds", "one read of the state store"),
        }
        self._trials = gauge("trials", "trials with a result", "status")
        self._tokens = gauge("llm_tokens", "tokens of language models", "direction")
        self._slot_seconds = seconds("slot_seconds", "seconds of slots, training or idle")
        self._gpu_seconds = seconds("gpu_seconds", "seconds of GPUs, shares counted as shares, training or idle")
        self._counted = {"training": 0.0, "idle": 0.0}

    def show(self, figures: Figures) -> None:
        """Set every metric to these."""
        for name, metric, labels in self._scores:
            value = self._sign * getattr(figures, name)
            if not math.isnan(value):
                metric.set(value, self._run | labels)
        for name, metric in self._gauges.items():
            metric.set(getattr(figures, name), self._run)
        for status, count in figures.trials.items():
            self._trials.set(count, self._run | {"status": status})
        for direction in ("input", "output"):
            self._tokens.set(getattr(figures, f"llm_{direction}_tokens"), self._run | {"direction": direction})
        for state in ("training", "idle"):
            self._count(state, getattr(figures, f"{state}_seconds"))

    def _count(self, state: str, total: float) -> None:
        more = total - self._counted[state]
        if more > 0:  # a trial that was cut off takes its seconds back, which a counter cannot
            self._slot_seconds.inc(more, self._run | {"state": state})
            if self._gpu_share > 0:
                self._gpu_seconds.inc(more * self._gpu_share, self._run | {"state": state})
            self._counted[state] = total


@contextlib.contextmanager
def metering(board: Board, settings: RunSettings, search: Any, watch: Any) -> Iterator[None]:
    """Export the run's metrics until the end of `with`, from a thread of its own."""
    gauging, exported = (
        Gauging(board, search, watch),
        Exported(settings.tag, settings.gpu_share, settings.experiment.scoring),
    )

    def export(ended: threading.Event) -> None:
        while not ended.is_set():
            with contextlib.suppress(StoreError):  # out of reach: the next look may do
                exported.show(gauging.look())
            ended.wait(LOOK_SECONDS)

    with beside("metrics", export):
        yield
