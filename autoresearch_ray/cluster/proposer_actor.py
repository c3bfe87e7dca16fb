"""The proposer actor: keeps the queue of proposals filled, and hosts the language models beside the tuners.

It follows the board by its watch, so it wakes when a result, a frontier or a claim is written, and never polls. It
holds no state that the board does not have: killed, it starts again and goes on.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from autoresearch_ray.errors import CompactedError, StoreError
from autoresearch_ray.records import ProposerStatus
from autoresearch_ray.search.model_access import sdk_environment
from autoresearch_ray.search.queue_filler import ProposerLoop
from autoresearch_ray.settings import RunSettings
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.connect import connect

WATCH_SECONDS = 5.0
RETRY_SECONDS = 2.0
NAME = "proposer"

logger = logging.getLogger(__name__)


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
                from autoresearch_ray.search.model_proposers import Writers  # and with it torch

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
