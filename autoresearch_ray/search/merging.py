"""Changes that were found side by side, brought together: merged texts, and the proposals that test what remains."""

import time

from autoresearch_ray.candidate.merge import theirs_onto, three_way
from autoresearch_ray.candidate.normal_form import code_lines, line_diff, normal_sha
from autoresearch_ray.candidate.rules import check_many_for
from autoresearch_ray.common.errors import CandidateError
from autoresearch_ray.decide.state import MergeIdea
from autoresearch_ray.records.decisions import Standing
from autoresearch_ray.records.proposers import RejectedIdea
from autoresearch_ray.records.trials import Candidate, Proposal
from autoresearch_ray.settings.proposer_spec import MODELS
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.rebases import Rebases

CONFLICT = "it was confirmed beside a frontier that had moved, and the two conflict"


class Merging:
    """Merges of a run's candidates. The same sources always make the same proposal."""

    def __init__(self, board: Board, settings: RunSettings) -> None:
        self._board, self._settings, self._rebases = board, settings, Rebases(board.store)
        self._check = check_many_for(settings)

    def code_lines(self, source_sha: str) -> int:
        """Lines of code of a source, as the complexity price counts them."""
        return code_lines(self._board.candidates.get(source_sha).text)

    def bring_onto(self, text: str, parent_sha: str, frontier: Standing) -> str | None:
        """A candidate that was written on `parent_sha`, on the frontier; None if the two conflict."""
        if frontier.source_sha == parent_sha:
            return text
        merged = three_way(
            self._board.candidates.get(parent_sha).text, self._board.candidates.get(frontier.source_sha).text, text
        )
        return merged.source if merged.clean and self._valid(merged.source) else None

    def queue_merge(self, idea: MergeIdea) -> None:
        """A change that was found beside the frontier, on the frontier: what merges of it is tried.

        Code that conflicts goes back to the model that it is of; a tuner's values are set on the frontier.
        """
        if not self._enqueue(
            idea.parent_sha,
            idea.frontier,
            idea.source_sha,
            f"merged: {idea.hypothesis}",
            (idea.source_sha,),
            idea.expected,
        ):
            self._send_back(idea)

    def _send_back(self, idea: MergeIdea) -> None:
        """Let its proposer rebase an idea; if it cannot be asked, the idea is kept for the next prompts."""
        child, parent = idea.source_sha, idea.parent_sha
        lost = Proposal(idea.proposal_id, "code", idea.proposer, child, parent, 1, idea.hypothesis)
        if not (asks_back(self._board, self._settings, idea.proposer) and self._rebases.send_back(lost)):
            self._board.notes.put_rejected(reject_as_moved(lost, CONFLICT))

    def queue_again(self, stale: Proposal, frontier: Standing) -> None:
        """A merge whose frontier has moved on while it waited, on the new one."""
        expected = stale.expected_effect
        if not self._enqueue(stale.parent_sha, frontier, stale.source_sha, stale.hypothesis, stale.merged, expected):
            self._board.notes.put_rejected(reject_as_moved(stale, CONFLICT))

    def _enqueue(
        self, base: str, frontier: Standing, theirs: str, hypothesis: str, parts: tuple[str, ...], expected: float
    ) -> bool:
        """Queue what merges of a change, unless it was seen before; False where the two conflict."""
        texts = [self._board.candidates.get(sha).text for sha in (base, frontier.source_sha, theirs)]
        source = theirs_onto(*texts)
        if source is None or not self._valid(source):
            return False
        candidate, normal = Candidate.of(source), normal_sha(source)
        added, removed = line_diff(texts[1], source)
        proposal = Proposal(
            proposal_id=f"m{frontier.version:05d}-{normal[:8]}",
            kind="merge",
            proposer="merge",
            source_sha=candidate.sha,
            parent_sha=frontier.source_sha,
            parent_version=frontier.version,
            hypothesis=hypothesis,
            lines_added=added,
            lines_removed=removed,
            expected_effect=expected,
            merged=parts,
        )
        self._board.enqueue(proposal, candidate, normal)
        return True

    def _valid(self, source: str) -> bool:
        program = self._board.notes.program() or self._settings.program
        try:
            self._check(source, len(program.splitlines()))
        except CandidateError:
            return False
        return True


def models_of(settings: RunSettings) -> set[str]:
    """The language models of a run, as their proposals name them."""
    return {spec.label for spec in settings.proposers if spec.name in MODELS}


def asks_back(board: Board, settings: RunSettings, proposer: str) -> bool:
    """Whether a proposer is a model that can still be asked."""
    stopped = {status.name for status in board.notes.proposers() if status.state == "stopped"}
    return proposer in models_of(settings) - stopped


def reject_as_moved(idea: Proposal, detail: str) -> RejectedIdea:
    """An idea that fits the frontier no more."""
    return RejectedIdea(idea.proposal_id, idea.proposer, "moved", idea.hypothesis, detail, time.time())
