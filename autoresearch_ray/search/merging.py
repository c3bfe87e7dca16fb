"""Changes that were found side by side, brought together: merged texts, and the proposals that test what remains."""

from autoresearch_ray.candidate.merge import theirs_onto, three_way
from autoresearch_ray.candidate.normal_form import code_lines, line_diff, normal_sha
from autoresearch_ray.candidate.rules import Checked
from autoresearch_ray.decide.state import MergeIdea
from autoresearch_ray.errors import CandidateError
from autoresearch_ray.records import Candidate, Proposal, Standing
from autoresearch_ray.settings import RunSettings
from autoresearch_ray.store.board import Board


class Merging:
    """Merges of a run's candidates. The same sources always make the same proposal."""

    def __init__(self, board: Board, settings: RunSettings) -> None:
        self._board, self._settings = board, settings
        self._rules = Checked()

    def code_lines(self, source_sha: str) -> int:
        """Lines of code of a source, as the complexity price counts them."""
        return code_lines(self._board.candidate(source_sha).text)

    def brought_onto(self, text: str, parent_sha: str, frontier: Standing) -> str | None:
        """A candidate that was written on `parent_sha`, on the frontier; None if the two conflict."""
        if frontier.source_sha == parent_sha:
            return text
        merged = three_way(
            self._board.candidate(parent_sha).text, self._board.candidate(frontier.source_sha).text, text
        )
        return merged.source if merged.clean and self._valid(merged.source) else None

    def queue_merge(self, idea: MergeIdea) -> None:
        """Changes that were found apart, on the frontier: what merges of them is tried."""
        parts = tuple(theirs for theirs, _ in idea.changes)
        self._enqueue(idea.changes, idea.frontier, idea.hypothesis, parts, idea.expected)

    def queue_again(self, stale: Proposal, frontier: Standing) -> None:
        """A merge whose frontier has moved on while it waited, on the new one."""
        changes = ((stale.source_sha, stale.parent_sha),)
        self._enqueue(changes, frontier, stale.hypothesis, stale.merged, stale.expected_effect)

    def _enqueue(
        self,
        changes: tuple[tuple[str, str], ...],
        frontier: Standing,
        hypothesis: str,
        parts: tuple[str, ...],
        expected: float,
    ) -> None:
        start = source = self._board.candidate(frontier.source_sha).text
        for theirs, base in changes:
            source = theirs_onto(self._board.candidate(base).text, source, self._board.candidate(theirs).text)
        if not self._valid(source):
            return
        candidate, normal = Candidate.of(source), normal_sha(source)
        added, removed = line_diff(start, source)
        proposal = Proposal(
            proposal_id=f"m{frontier.version:05d}-{normal[:8]}",
            kind="merge",
            proposer="merge",
            source_sha=candidate.sha,
            parent_sha=frontier.source_sha,
            parent_revision=frontier.version,
            hypothesis=hypothesis,
            lines_added=added,
            lines_removed=removed,
            expected_effect=expected,
            merged=parts,
        )
        self._board.enqueue(proposal, candidate, normal)

    def _valid(self, source: str) -> bool:
        program = self._board.program() or self._settings.program
        try:
            self._rules.check(source, len(program.splitlines()))
        except CandidateError:
            return False
        return True
