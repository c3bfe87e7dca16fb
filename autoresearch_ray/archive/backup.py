"""A copy of the run's store now and then, `state.backup.db` in its folder: what a damaged state.db is restored from."""

import logging
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from autoresearch_ray.errors import StoreError
from autoresearch_ray.paths import BACKUP_FILE
from autoresearch_ray.store.contract import Store

EVERY_SECONDS = 600.0

logger = logging.getLogger(__name__)


class Backups:
    """Copies the store from a thread, and once more at the end of `with`."""

    def __init__(self, store: Store, folder: Path, every_seconds: float = EVERY_SECONDS) -> None:
        self._store, self._path, self._every = store, folder / BACKUP_FILE, every_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="backups", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()
        self._copy()

    def _follow(self) -> None:
        while not self._ended.wait(self._every):
            self._copy()

    def _copy(self) -> None:
        try:
            self._store.backup(self._path)
        except StoreError as error:
            logger.warning("no backup of the store this time: %s", error)
