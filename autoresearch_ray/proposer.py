"""The proposer actor: keeps the queue filled, a little ahead of the slots, and throws out what has become stale.

It follows the board by its watch, so it wakes when a result, a frontier or a claim is written, and never polls. Each
proposer keeps its own part of the queue filled; whose proposal runs next is the search's choice
(`decide/portfolio.py`). It holds no state that the board does not have: killed, it starts again and goes on.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from autoresearch_ray.decide.state import Rules
from autoresearch_ray.errors import CompactedError, StoreError
from autoresearch_ray.merging import Merging
from autoresearch_ray.models import sdk_environment
from autoresearch_ray.propose.knobs import read_knobs
from autoresearch_ray.propose.normalise import code_lines, line_diff, normal_sha
from autoresearch_ray.propose.proposals import knob_proposal
from autoresearch_ray.propose.ranges import Value
from autoresearch_ray.propose.tuner import Observation, Tuner
from autoresearch_ray.records import Proposal, ProposerStatus, RejectedIdea, Result, Standing, Trial, from_json
from autoresearch_ray.settings import TUNERS, RunSettings
from autoresearch_ray.state.board import Board, source_sha
from autoresearch_ray.state.connect import connect
from autoresearch_ray.state.store import Event

SLOTS_A_PROPOSAL = 16  # one queued for so many slots and one more: knob proposals take 15 to 300 ms, and those made
# before the last results cost gain (simulated at 24 trials on 2 slots: 9.0 sd with three more queued, 10.3 with none)
REMEMBERED = 2_000  # results that a tuner is told: older ones lie where the frontier was long ago
ATTEMPTS = 8  # suggestions that turn out to be known already, before the space counts as exhausted for now
WATCH_SECONDS = 5.0
RETRY_SECONDS = 2.0
NAME = "proposer"
MOVED = "the frontier changed while it waited for a slot, and the two conflict"

logger = logging.getLogger(__name__)


class ProposerLoop:
    """What the actor does, without Ray: absorb what happened, then fill the queue. One thread."""

    def __init__(self, board: Board, settings: RunSettings) -> None:
        self._board, self._settings = board, settings
        self._price = Rules().complexity_price
        names = [spec.name for spec in settings.proposers if spec.name in TUNERS]
        self._stand_in = not names  # a tuner that only fills in while the models have nothing
        self._tuners = {
            name: Tuner(name, np.random.default_rng([settings.seed, index]))  # type: ignore[arg-type]  # one of TUNERS
            for index, name in enumerate(names or [TUNERS[0]])
        }
        self._merging = Merging(board, settings)
        self._known: dict[str, dict[str, Value]] = {}  # knob values by source
        self._trials: dict[str, Trial] = {trial.trial_id: trial for trial in board.trials()}
        self._running = {trial.trial_id for trial in board.unfinished()}
        recent = board.results()[-REMEMBERED:]
        self._observations = deque(
            (self._observation(self._trials[result.trial_id], result) for result in recent), REMEMBERED
        )
        self._next = 1 + self._last_number()

    def absorb(self, events: tuple[Event, ...]) -> None:
        """Learn from what was written to the board."""
        for event in events:
            if event.kind != "put":
                continue
            folder, _, name = event.kv.key.partition("/")
            if folder == "settings":
                self._settings = RunSettings.model_validate_json(event.kv.value)
            elif folder == "trial":
                self._trials[name] = from_json(Trial, event.kv.value)
                self._running.add(name)
            elif folder == "result" and name in self._trials:
                self._running.discard(name)
                result = from_json(Result, event.kv.value)
                self._observations.append(self._observation(self._trials[name], result))

    def fill(self) -> int:
        """Drop stale proposals and add fresh ones until the queue is deep enough; returns how many were added."""
        standing = self._board.frontier()
        sha, version = (standing.source_sha, standing.version) if standing else (source_sha(self._settings.baseline), 1)
        queued = self._board.queued()
        oldest = version - self._settings.max_staleness
        fresh = [proposal for proposal in queued if proposal.parent_revision >= oldest]
        for proposal in queued:
            if proposal.parent_revision < oldest and self._board.drop([proposal.proposal_id]) and standing:
                fresh += self._brought_along(proposal, standing)
        return sum(self._tune(name, sha, version, fresh) for name in self._tuners)

    def _brought_along(self, stale: Proposal, frontier: Standing) -> list[Proposal]:
        """A model's idea on the new frontier, if it fits there; a tuner's values are better chosen anew."""
        if stale.kind != "code":
            return []
        text = self._merging.brought_onto(self._board.source(stale.source_sha), stale.parent_sha, frontier)
        if text is None:
            self._board.put_rejected(
                RejectedIdea(stale.proposal_id, stale.proposer, "moved", stale.hypothesis, MOVED, time.time())
            )
            return []
        added, removed = line_diff(self._board.source(frontier.source_sha), text)
        proposal = replace(
            stale,
            proposal_id=f"{stale.proposal_id.partition('.')[0]}.{frontier.version}",
            source_sha=source_sha(text),
            parent_sha=frontier.source_sha,
            parent_revision=frontier.version,
            lines_added=added,
            lines_removed=removed,
        )
        return [proposal] if self._board.enqueue(proposal, text, normal_sha(text)) else []

    def _tune(self, name: str, parent_sha: str, version: int, fresh: list[Proposal]) -> int:
        """Bring this tuner's part of the queue to its depth; returns how many were added."""
        others = self._stand_in and any(proposal.proposer != name for proposal in fresh)
        depth = 0 if others else 1 + self._settings.slots // SLOTS_A_PROPOSAL
        missing = depth - sum(proposal.proposer == name for proposal in fresh)
        for added in range(missing):
            proposal = self._propose(name, parent_sha, version, fresh)
            if proposal is None:
                return added
            fresh.append(proposal)
        return max(0, missing)

    def _propose(self, name: str, parent_sha: str, version: int, queued: list[Proposal]) -> Proposal | None:
        """One proposal of this tuner that is queued now; None if none was found."""
        parent = self._board.source(parent_sha)
        in_flight = [self._trials[name].proposal.source_sha for name in self._running if name in self._trials]
        running = [self._values(sha) for sha in [*in_flight, *(proposal.source_sha for proposal in queued)]]
        for _ in range(ATTEMPTS):
            suggestion = self._tuners[name].suggest(read_knobs(parent), tuple(self._observations), running)
            if suggestion is None:
                return None
            proposal, text = knob_proposal(parent, suggestion, f"p{self._next:06d}", name, parent_sha, version)
            if self._board.enqueue(proposal, text, normal_sha(text)):
                self._next += 1
                return proposal
            running.append(self._values_of(text))
        return None

    def _observation(self, trial: Trial, result: Result) -> Observation:
        sha = trial.proposal.source_sha
        lines = code_lines(self._board.source(sha))
        return Observation(self._values(sha), result.val_bpb + self._price * lines)

    def _values(self, sha: str) -> dict[str, Value]:
        if sha not in self._known:
            if len(self._known) > 2 * REMEMBERED:
                self._known.clear()
            self._known[sha] = self._values_of(self._board.source(sha))
        return self._known[sha]

    def _values_of(self, text: str) -> dict[str, Value]:
        return {knob.name: knob.value for knob in read_knobs(text)}

    def _last_number(self) -> int:
        names = [trial.proposal.proposal_id for trial in self._trials.values()]
        names += [proposal.proposal_id for proposal in self._board.queued()]
        return max((int(name[1:]) for name in names if name.startswith("p")), default=0)


class ProposerActor:
    """The loop in a Ray actor, on a thread of its own, and the models beside it. Keys stay in this process."""

    def __init__(
        self, settings_json: str, state: str, folder: str, keys: dict[str, str], environment: dict[str, str]
    ) -> None:
        os.environ |= environment  # a cluster's processes have that of its `ray start`
        self._stop = threading.Event()
        self._folder, self._keys = Path(folder), keys
        settings = RunSettings.model_validate_json(settings_json)
        board = Board(connect(state))
        self._thread = threading.Thread(target=self._follow, args=(board, settings), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the loop."""
        self._stop.set()

    def alive(self) -> bool:
        """Whether the loop goes on."""
        return self._thread.is_alive()

    def _follow(self, board: Board, settings: RunSettings) -> None:
        while not self._stop.is_set():
            try:
                self._work(board, settings)
            except CompactedError:
                continue  # too far behind: read everything again
            except StoreError as error:
                logger.warning("proposer: %s; trying again", error)
                time.sleep(RETRY_SECONDS)
            except Exception as error:  # slots wait for what comes from here: say it and start afresh
                logger.exception("proposer")
                with suppress(StoreError):
                    board.put_proposer(ProposerStatus(NAME, "pausing", f"{NAME}: {type(error).__name__}: {error}"))
                time.sleep(RETRY_SECONDS)

    def _work(self, board: Board, settings: RunSettings) -> None:
        seen = board.store.revision()
        loop = ProposerLoop(board, settings)
        with ExitStack() as stack:
            listeners = [loop.absorb]
            if self._keys:
                from autoresearch_ray.writers import Writers  # and with it torch

                listeners.append(stack.enter_context(Writers(board, settings, self._folder, self._keys)).absorb)
            while not self._stop.is_set():
                loop.fill()
                batch = board.store.watch("", seen + 1, WATCH_SECONDS)
                seen = batch.revision
                for listen in listeners:
                    listen(batch.events)


@contextmanager
def proposing(settings: RunSettings, state: str, folder: Path, keys: dict[str, str]) -> Iterator[None]:
    """The proposer actor of a run works on the store at this address, until the end of `with`; `keys` by proposer."""
    name = f"proposer-{settings.tag}-{settings.created_at:.0f}"
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)  # its files are here
    options = ray.remote(ProposerActor).options(
        name=name, num_cpus=0, max_restarts=-1, max_task_retries=3, scheduling_strategy=here
    )
    actor = options.remote(settings.model_dump_json(), state, str(folder), keys, sdk_environment())
    try:
        yield
    finally:
        ray.kill(actor)
