"""A thread that looks at files every so often, for what a person does to a run while it goes."""

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from autoresearch_ray.common.errors import FencedError, StoreError

logger = logging.getLogger(__name__)


class FileWatch:
    """Calls `look` again and again. Ends with `with`, or when another driver has the run."""

    def __init__(self, name: str, look: Callable[[], None], seconds: float) -> None:
        self._look, self._seconds = look, seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._ended.wait(self._seconds):
            try:
                self._look()
            except FencedError:
                return
            except (StoreError, OSError) as error:
                logger.warning("%s: %s; trying again", self._thread.name, error)
