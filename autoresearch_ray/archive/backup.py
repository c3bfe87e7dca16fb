"""A copy of the run's store now and then, `state.backup.db` in its folder: what a damaged state.db is restored from."""

import contextlib
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

from autoresearch_ray.common.errors import StoreError
from autoresearch_ray.common.paths import BACKUP_FILE
from autoresearch_ray.common.repeating import beside
from autoresearch_ray.store.contract import Store

EVERY_SECONDS = 600.0

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def backups(store: Store, folder: Path, every_seconds: float = EVERY_SECONDS) -> Iterator[None]:
    """Copy the store from a thread, and once more at the end of `with`."""

    def copy() -> None:
        try:
            store.backup(folder / BACKUP_FILE)
        except StoreError as error:
            logger.warning("no backup of the store this time: %s", error)

    def follow(ended: threading.Event) -> None:
        while not ended.wait(every_seconds):
            copy()

    try:
        with beside("backups", follow):
            yield
    finally:
        copy()
