"""The proposer actor: keeps the queue filled, a little ahead of the slots, and throws out what has become stale.

It follows the board by its watch, so it wakes when a result, a frontier or a claim is written, and never polls. What it
proposes next goes to the proposer that is furthest behind its weight. It holds no state that the board does not have:
killed, it starts again and goes on.
"""

import logging
import threading
import time

import numpy as np
import ray

from autoresearch_ray.decide.state import Rules
from autoresearch_ray.errors import CompactedError, StoreError
from autoresearch_ray.propose.knobs import read_knobs
from autoresearch_ray.propose.normalise import code_lines, normal_sha
from autoresearch_ray.propose.proposals import knob_proposal
from autoresearch_ray.propose.ranges import Value
from autoresearch_ray.propose.tuner import Observation, Tuner
from autoresearch_ray.records import Proposal, Result, Trial, from_json
from autoresearch_ray.settings import RunSettings
from autoresearch_ray.state.actor import ActorStore
from autoresearch_ray.state.board import Board, source_sha
from autoresearch_ray.state.store import Event

SLOTS_A_PROPOSAL = 16  # one queued for so many slots and one more: knob proposals take 15 to 300 ms, and those made
# before the last results cost gain (simulated at 24 trials on 2 slots: 9.0 sd with three more queued, 10.3 with none)
ATTEMPTS = 8  # suggestions that turn out to be known already, before the space counts as exhausted for now
WATCH_SECONDS = 5.0

logger = logging.getLogger(__name__)


class ProposerLoop:
    """What the actor does, without Ray: absorb what happened, then fill the queue. One thread."""

    def __init__(self, board: Board, settings: RunSettings) -> None:
        self._board, self._settings = board, settings
        self._price = Rules().complexity_price
        self._tuners = {
            spec.name: Tuner(spec.name, np.random.default_rng([settings.seed, index]))
            for index, spec in enumerate(settings.proposers)
        }
        self._known: dict[str, dict[str, Value]] = {}  # knob values by source
        self._made = dict.fromkeys(self._tuners, 0)
        self._trials: dict[str, Trial] = {trial.trial_id: trial for trial in board.trials()}
        self._running = {trial.trial_id for trial in board.unfinished()}
        self._observations = [self._observation(self._trials[result.trial_id], result) for result in board.results()]
        self._next = 1 + self._last_number()

    def absorb(self, events: tuple[Event, ...]) -> None:
        """Learn from what was written to the board."""
        for event in events:
            if event.kind != "put":
                continue
            folder, _, name = event.kv.key.partition("/")
            if folder == "trial":
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
        self._board.drop(p.proposal_id for p in queued if p.parent_revision < oldest)
        fresh = [proposal for proposal in queued if proposal.parent_revision >= oldest]
        missing = 1 + self._settings.slots // SLOTS_A_PROPOSAL - len(fresh)
        added = 0
        for _ in range(max(0, missing) * ATTEMPTS):
            if added >= missing:
                break
            proposal = self._propose(sha, version, fresh)
            if proposal is None:
                break
            fresh.append(proposal)
            added += 1
        return added

    def _propose(self, parent_sha: str, version: int, queued: list[Proposal]) -> Proposal | None:
        """One proposal that is queued now; None if none was found."""
        parent = self._board.source(parent_sha)
        in_flight = [self._trials[name].proposal.source_sha for name in self._running if name in self._trials]
        running = [self._values(sha) for sha in [*in_flight, *(proposal.source_sha for proposal in queued)]]
        name = min(self._settings.proposers, key=lambda spec: self._made[spec.name] / spec.weight).name
        for _ in range(ATTEMPTS):
            suggestion = self._tuners[name].suggest(read_knobs(parent), self._observations, running)
            if suggestion is None:
                return None
            proposal, text = knob_proposal(parent, suggestion, f"p{self._next:06d}", name, parent_sha, version)
            if self._board.enqueue(proposal, text, normal_sha(text)):
                self._next += 1
                self._made[name] += 1
                return proposal
            running.append(self._values_of(text))
        return None

    def _observation(self, trial: Trial, result: Result) -> Observation:
        sha = trial.proposal.source_sha
        lines = code_lines(self._board.source(sha))
        return Observation(self._values(sha), result.val_bpb + self._price * lines)

    def _values(self, sha: str) -> dict[str, Value]:
        if sha not in self._known:
            self._known[sha] = self._values_of(self._board.source(sha))
        return self._known[sha]

    def _values_of(self, text: str) -> dict[str, Value]:
        return {knob.name: knob.value for knob in read_knobs(text)}

    def _last_number(self) -> int:
        names = [trial.proposal.proposal_id for trial in self._trials.values()]
        names += [proposal.proposal_id for proposal in self._board.queued()]
        return max((int(name[1:]) for name in names if name.startswith("p")), default=0)


class ProposerActor:
    """The loop in a Ray actor, on a thread of its own."""

    def __init__(self, settings_json: str, state_name: str) -> None:
        self._stop = threading.Event()
        settings = RunSettings.model_validate_json(settings_json)
        board = Board(ActorStore(ray.get_actor(state_name)))
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
                time.sleep(1)

    def _work(self, board: Board, settings: RunSettings) -> None:
        seen = board.store.revision()
        loop = ProposerLoop(board, settings)
        while not self._stop.is_set():
            loop.fill()
            batch = board.store.watch("", seen + 1, WATCH_SECONDS)
            seen = batch.revision
            loop.absorb(batch.events)


class Proposer:
    """The driver's handle on the proposer actor."""

    def __init__(self, settings: RunSettings, state_name: str) -> None:
        actor = ray.remote(ProposerActor).options(
            name=f"proposer-{state_name}", num_cpus=0, max_restarts=-1, max_task_retries=3
        )
        self._actor = actor.remote(settings.model_dump_json(), state_name)

    def stop(self) -> None:
        """End the actor."""
        ray.kill(self._actor)


def start_proposer(settings: RunSettings, state_name: str) -> Proposer:
    """Start the proposer actor of a run."""
    return Proposer(settings, state_name)
