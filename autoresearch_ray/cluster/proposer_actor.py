"""The proposer actor: keeps the queue of proposals filled, and hosts the language models beside the tuners.

It follows the board by its watch, so it wakes when a result, a frontier or a claim is written, and never polls. It
holds no state that the board does not have: killed, it starts again and goes on.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from autoresearch_ray.candidate.rules import check_for
from autoresearch_ray.common.errors import CompactedError, SettingsError, StoreError
from autoresearch_ray.records.proposers import ProposerStatus
from autoresearch_ray.search.ablator import Ablator
from autoresearch_ray.search.analyst import Analyst
from autoresearch_ray.search.models.access import adopt_sdk_environment, sdk_environment
from autoresearch_ray.search.queue_filler import ProposerLoop
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.connect import connect

if TYPE_CHECKING:
    from autoresearch_ray.search.models.proposers import Writers

WATCH_SECONDS = 5.0
RETRY_SECONDS = (2.0, 240.0)  # before it starts afresh, doubled up to the second while it goes on failing
WELL_SECONDS = 60.0  # after so long it has not gone on failing
STOP_SECONDS = 10.0  # that its end may take: a process server is ended, its folder removed
NAME = "proposer"

logger = logging.getLogger(__name__)


class ProposerActor:
    """The loop in a Ray actor, on a thread of its own, and the models beside it. Keys stay in this process."""

    def __init__(self, address: str, folder: str, keys: dict[str, str], environment: dict[str, str]) -> None:
        adopt_sdk_environment(environment)  # a cluster's processes have that of its `ray start`
        self._stop = threading.Event()
        self._starting = threading.Lock()
        self._writers: Writers | None = None
        self._folder, self._keys = Path(folder), keys
        self._thread = threading.Thread(target=self._follow, args=(Board(connect(address)),), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the loop, and the models with all that they started."""
        self._stop.set()
        with self._starting:
            if self._writers is not None:
                self._writers.close()

    def alive(self) -> bool:
        """Whether the loop goes on."""
        return self._thread.is_alive()

    def _follow(self, board: Board) -> None:
        first, longest = RETRY_SECONDS
        pause = first
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                self._work(board)
            except CompactedError:
                continue  # too far behind: read everything again
            except StoreError as error:
                logger.warning("proposer: %s; trying again", error)
                self._stop.wait(first)
            except Exception as error:  # slots wait for what comes from here: say it and start afresh
                logger.exception("proposer")
                with suppress(StoreError):
                    board.notes.put_proposer(
                        ProposerStatus(NAME, "pausing", f"{NAME}: {type(error).__name__}: {error}")
                    )
                pause = first if time.monotonic() - started > WELL_SECONDS else min(longest, 2 * pause)
                self._stop.wait(pause)

    def _work(self, board: Board) -> None:
        seen = board.store.revision()
        settings = RunSettings.model_validate_json(board.settings() or b"")
        loop = ProposerLoop(board, settings)
        with ExitStack() as stack:
            analyst, ablator = Analyst(board, settings), Ablator(board, check_for(settings))
            listeners = [loop.absorb, analyst.absorb]
            if self._keys and (writers := self._start_writers(board, settings)) is not None:
                listeners.append(stack.enter_context(closing(writers)).absorb)
            while not self._stop.is_set():
                loop.fill()
                findings = analyst.look()
                if findings is not None:
                    ablator.fill(findings)
                changes = board.follow(seen, WATCH_SECONDS)
                seen = changes.revision
                for listen in listeners:
                    listen(changes)

    def _start_writers(self, board: Board, settings: RunSettings) -> "Writers | None":
        """The models; None where they cannot be set up on this machine, which is said, or when the end has come."""
        from autoresearch_ray.search.models.proposers import Writers  # and with it torch

        with self._starting:
            if self._stop.is_set():
                return None
            try:
                self._writers = Writers(board, settings, self._folder, self._keys)
            except SettingsError as error:
                for label in self._keys:
                    board.notes.put_proposer(ProposerStatus(label, "stopped", f"{label}: {error}"))
                self._keys = {}
                return None
            return self._writers


@contextmanager
def proposing(settings: RunSettings, address: str, folder: Path, keys: dict[str, str]) -> Iterator[None]:
    """The proposer actor of a run works on the store at this address, until the end of `with`; `keys` by proposer."""
    name = f"proposer-{settings.tag}-{settings.created_at:.0f}"
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)  # its files are here
    options = ray.remote(ProposerActor).options(
        name=name, num_cpus=0, max_restarts=-1, max_task_retries=3, scheduling_strategy=here
    )
    actor = options.remote(address, str(folder), keys, sdk_environment())
    try:
        yield
    finally:
        with suppress(RayError):  # it may have died; then its processes have too
            ray.get(actor.stop.remote(), timeout=STOP_SECONDS)
        ray.kill(actor)
