"""program.md while a run goes: a person's edit is in the store within a second, and from there in the next prompt."""

from contextlib import suppress
from pathlib import Path
from typing import Self

from autoresearch_ray.common.errors import StoreError
from autoresearch_ray.search.watches.file_watch import FileWatch
from autoresearch_ray.store.board import Board

LOOK_SECONDS = 0.3


class ProgramWatch(FileWatch):
    """Brings each saved version of the file to the board, from a thread; the first one before it is entered."""

    def __init__(self, board: Board, path: Path) -> None:
        self._board, self._path = board, path
        self._seen = ""
        super().__init__(str(path), self._bring, LOOK_SECONDS)

    def __enter__(self) -> Self:
        with suppress(StoreError):  # the thread tries again, and says so
            self._bring()
        return super().__enter__()

    def _bring(self) -> None:
        try:
            text = self._path.read_text()
        except (OSError, UnicodeDecodeError):
            return  # being saved, or moved away: the last version stays
        if text != self._seen and text.strip():
            self._board.notes.put_program(text)
            self._seen = text
