"""program.md while a run goes: a person's edit is in the store within a second, and from there in the next prompt."""

import logging
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from autoresearch_ray.errors import FencedError, StoreError
from autoresearch_ray.store.board import Board

LOOK_SECONDS = 0.3

logger = logging.getLogger(__name__)


class ProgramWatch:
    """Brings each saved version of the file to the board, from a thread. Leaving `with` ends it."""

    def __init__(self, board: Board, path: Path) -> None:
        self._board, self._path = board, path
        self._seen = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="program", daemon=True)

    def __enter__(self) -> Self:
        self._bring()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            self._bring()

    def _bring(self) -> None:
        try:
            text = self._path.read_text()
        except (OSError, UnicodeDecodeError):
            return  # being saved, or moved away: the last version stays
        if text == self._seen or not text.strip():
            return
        try:
            self._board.put_program(text)
        except FencedError:
            return
        except StoreError as error:
            logger.warning("%s: %s; trying again", self._path, error)
            return
        self._seen = text
