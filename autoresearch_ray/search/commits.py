"""Git kept up with the steps of the board, and the board told of the commits."""

import logging

from autoresearch_ray.common.errors import LineageError
from autoresearch_ray.search.lineage import Lineage
from autoresearch_ray.store.board import Board

logger = logging.getLogger(__name__)


class Commits:
    """The commits of one run. One writer."""

    def __init__(self, board: Board, lineage: Lineage) -> None:
        self._board, self._lineage, self._failure = board, lineage, ""

    def catch_up(self) -> None:
        """Bring git up to the steps; a failure is told once and mended at the next step or start."""
        try:
            steps = self._board.steps(self._lineage.done + 1)
            made = self._lineage.replay(steps, self._board.candidates.get, self._board.commits())
        except LineageError as error:
            if str(error) != self._failure:
                logger.warning("%s; the search goes on: what is not committed is stored, and tried again", error)
            self._failure = str(error)
            return
        self._failure = ""
        for index, commit in made.items():
            self._board.put_commit(index, commit)
