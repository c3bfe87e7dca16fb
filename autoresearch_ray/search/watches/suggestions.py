"""Ideas of a person, brought into a run: `suggest` leaves them in the run's folder, the driver queues them.

    suggestions/<when>-<sha>.json    a Suggestion, until it is queued or refused

A run that is not under way takes them when it is resumed. Killed between two writes, one is queued once.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from autoresearch_ray.candidate.merge import three_way
from autoresearch_ray.candidate.normal_form import line_diff, normal_sha
from autoresearch_ray.candidate.rules import check_for
from autoresearch_ray.common.errors import CandidateError, RecordError
from autoresearch_ray.common.paths import SUGGESTIONS_FOLDER, write_whole
from autoresearch_ray.common.text import one_line
from autoresearch_ray.records.codec import from_json, to_json
from autoresearch_ray.records.decisions import Standing
from autoresearch_ray.records.proposers import Refusal, RejectedIdea
from autoresearch_ray.records.trials import Candidate, Proposal
from autoresearch_ray.search.merging import Merging
from autoresearch_ray.search.watches.file_watch import FileWatch
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.board import Board

MOVED = "it conflicts with what has won meanwhile; make it anew from the frontier"
PERSON = "person"  # the proposer of what is suggested; no proposer of a run has this name, so it goes first
LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A whole candidate that a person wants to be tried."""

    text: str
    parent_sha: str  # of the run's candidate that it was made from
    hypothesis: str
    at: float  # seconds since the epoch
    parent_text: str = ""  # where the run does not know its parent: another run's


def leave_suggestion(run_dir: Path, suggestion: Suggestion) -> Path:
    """Put it where the run's driver finds it; the file."""
    folder = run_dir / SUGGESTIONS_FOLDER
    folder.mkdir(exist_ok=True)
    path = folder / f"{1e6 * suggestion.at:.0f}-{Candidate.of(suggestion.text).sha[:12]}.json"  # no dot: see idea_of
    write_whole(path, to_json(suggestion).encode())
    return path


class SuggestionWatch(FileWatch):
    """Queues what is left there, from a thread; `say` is told of each. Leaving `with` ends it."""

    def __init__(self, board: Board, settings: RunSettings, run_dir: Path, say: Callable[[str], None]) -> None:
        self._board, self._say = board, say
        self._folder = run_dir / SUGGESTIONS_FOLDER
        self._program = settings.program
        self._check = check_for(settings)
        self._merging = Merging(board, settings)
        super().__init__(str(self._folder), self.take, LOOK_SECONDS)

    def take(self) -> None:
        """Queue or refuse what is there now; before the start is measured there is nothing to queue it on."""
        frontier = self._board.frontier()
        if frontier is None or not self._folder.is_dir():
            return
        for path in sorted(self._folder.glob("*.json")):
            try:
                suggestion = from_json(Suggestion, path.read_bytes())
            except RecordError as error:
                path.rename(path.with_suffix(".unreadable"))
                self._say(f"{path}: {error}; put aside")
                continue
            self._settle(f"{PERSON}-{path.stem}", suggestion, frontier)
            path.unlink()

    def _settle(self, name: str, suggestion: Suggestion, frontier: Standing) -> None:
        words = one_line(suggestion.hypothesis, 100)
        if suggestion.parent_text:
            self._board.candidates.put(Candidate.of(suggestion.parent_text))
        try:
            text = self._merging.bring_onto(suggestion.text, suggestion.parent_sha, frontier)
            if text is None:
                shas = (suggestion.parent_sha, frontier.source_sha)
                base, ours = (self._board.candidates.get(sha).text for sha in shas)
                conflicts = three_way(base, ours, suggestion.text).conflicts[:3]
                why = "; ".join(conflicts) or "the merged text breaks a rule"
                self._refuse(name, suggestion, "moved", f"{MOVED} ({why})")
                return
            self._check(text, len((self._board.notes.program() or self._program).splitlines()))
            normal = normal_sha(text)
        except CandidateError as error:
            self._refuse(name, suggestion, "rule", str(error))
            return
        added, removed = line_diff(self._board.candidates.get(frontier.source_sha).text, text)
        candidate = Candidate.of(text)
        proposal = Proposal(
            proposal_id=name,
            kind="code",
            proposer=PERSON,
            source_sha=candidate.sha,
            parent_sha=frontier.source_sha,
            parent_version=frontier.version,
            hypothesis=suggestion.hypothesis,
            lines_added=added,
            lines_removed=removed,
        )
        known = None if self._board.enqueue(proposal, candidate, normal) else self._board.find_proposal(normal)
        if known in (None, name):  # or it was queued before this driver was killed
            self._say(f"a person's idea is queued: {words}")
        else:
            self._refuse(name, suggestion, "duplicate", f"it does the same as proposal {known}")

    def _refuse(self, name: str, suggestion: Suggestion, refusal: Refusal, why: str) -> None:
        self._board.notes.put_rejected(RejectedIdea(name, PERSON, refusal, suggestion.hypothesis, why, time.time()))
        self._say(f"a person's idea is not queued ({one_line(suggestion.hypothesis, 100)}): {why}")
