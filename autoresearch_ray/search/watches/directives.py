"""A person's edits of the directives: `direct` leaves them in the run's folder, the driver writes the next version.

    directives/<when>.json    an Edit, until it is written or refused

A person's word wins: where somebody else has written meanwhile, the edit becomes the version after theirs.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from autoresearch_ray.common.errors import DirectivesError, RecordError
from autoresearch_ray.common.paths import DIRECTIVES_FOLDER, write_whole
from autoresearch_ray.propose.director.directives import parse_directives
from autoresearch_ray.records.codec import from_json, to_json
from autoresearch_ray.records.guidance import PERSON, Directives
from autoresearch_ray.search.watches.file_watch import FileWatch
from autoresearch_ray.store.board import Board

Action = Literal["edit", "pin", "release", "off", "on"]
LOOK_SECONDS = 0.5
SAID: dict[Action, str] = {
    "edit": "a person's directions hold from the next prompt on, until they are released",
    "pin": "the directions stay as they are until they are released",
    "release": "the directions may be written anew by the director or by statistics",
    "off": "no prompt shows directions any more",
    "on": "prompts show directions again",
}


@dataclass(frozen=True, slots=True)
class Edit:
    """What a person wants of the directives."""

    action: Action
    text: str = ""  # of an edit
    at: float = 0.0  # seconds since the epoch


def leave_edit(run_dir: Path, edit: Edit) -> Path:
    """Put it where the run's driver finds it; the file."""
    folder = run_dir / DIRECTIVES_FOLDER
    folder.mkdir(exist_ok=True)
    path = folder / f"{1e6 * edit.at:.0f}.json"
    write_whole(path, to_json(edit).encode())
    return path


def apply_edit(edit: Edit, before: Directives) -> Directives:
    """The next version. DirectivesError for a text that is none. An edit holds until a person releases it."""
    if edit.action == "edit":
        return replace(parse_directives(edit.text, before, PERSON, before.results, edit.at), pinned=True)
    after = replace(before, version=before.version + 1, author=PERSON, at=edit.at)
    if edit.action in ("pin", "release"):
        return replace(after, pinned=edit.action == "pin")
    return replace(after, off=edit.action == "off")


class DirectivesWatch(FileWatch):
    """Writes what is left there, from a thread; `say` is told of each. Leaving `with` ends it."""

    def __init__(self, board: Board, run_dir: Path, say: Callable[[str], None]) -> None:
        self._board, self._say = board, say
        self._folder = run_dir / DIRECTIVES_FOLDER
        super().__init__(str(self._folder), self.take, LOOK_SECONDS)

    def take(self) -> None:
        """Write what is there now, in the order in which it was left."""
        if not self._folder.is_dir():
            return
        for path in sorted(self._folder.glob("*.json"), key=lambda path: (len(path.name), path.name)):
            try:
                edit = from_json(Edit, path.read_bytes())
                self._write(edit)
            except (RecordError, DirectivesError) as error:
                path.rename(path.with_suffix(".unreadable"))
                self._say(f"{path}: {error}; put aside")
                continue
            path.unlink()

    def _write(self, edit: Edit) -> None:
        before = self._board.notes.directives()
        if before.author == PERSON and before.at == edit.at:
            return  # it was written before this driver was killed
        while not self._board.notes.put_directives(apply_edit(edit, before)):
            before = self._board.notes.directives()
        self._say(f"{SAID[edit.action]} ({time.strftime('%H:%M:%S', time.localtime(edit.at))})")
