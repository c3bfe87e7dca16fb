"""Proposals of the search itself that take out what earlier wins brought: each part of the proven best, alone.

They are queued once for a best, on a plateau or after some wins, and judged like any other: what was better at its
start wins as a gain, code that can go without loss as a removal (`decide/removal.py`), for lines have a price.
"""

from autoresearch_ray.candidate.difference import difference
from autoresearch_ray.candidate.normal_form import line_diff, normal_sha
from autoresearch_ray.candidate.rules import Check
from autoresearch_ray.records.decisions import Standing, Step
from autoresearch_ray.records.guidance import Findings
from autoresearch_ray.records.trials import Candidate, Proposal
from autoresearch_ray.search.parts import parts_of
from autoresearch_ray.settings.proposer_spec import ABLATION
from autoresearch_ray.store.board import Board

WINS = 3  # after which a best is looked at, plateau or not
HYPOTHESIS = "without "


class Ablator:
    """Of one run; what it has queued is in the store, so it queues nothing twice."""

    def __init__(self, board: Board, check: Check) -> None:
        """`check` says what a candidate of the run must keep to."""
        self._board, self._check = board, check
        made = [trial.proposal for trial in board.trials()] + board.queue()
        self._done = {proposal.parent_sha for proposal in made if proposal.proposer == ABLATION}

    def fill(self, findings: Findings) -> int:
        """Queue the parts of the best if it is time; returns how many were queued."""
        best, frontier = self._board.best(), self._board.frontier()
        if best is None or frontier is None or best.source_sha != frontier.source_sha:
            return 0  # the frontier is to be proven first
        steps = self._board.steps()
        if best.source_sha in self._done or not self._is_time(findings, steps):
            return 0
        self._done.add(best.source_sha)
        start, best_sha = steps[0].source_sha, best.source_sha
        parts = parts_of(steps, start, best_sha, lambda sha: self._board.candidates.get(sha).text, self._check)
        queued = 0
        for number, part in enumerate(parts, start=1):
            if part.without is not None:
                queued += self._queue(part.what, part.without, frontier, f"a{frontier.version:05d}-{number:03d}")
        return queued

    def _is_time(self, findings: Findings, steps: list[Step]) -> bool:
        keeps = [step.source_sha for step in steps if step.kind == "keep" and not step.removes]
        since = next((age for age, sha in enumerate(reversed(keeps)) if sha in self._done), len(keeps))
        return since > 0 and (findings.outlook.is_plateau or since >= WINS)

    def _queue(self, what: str, text: str, frontier: Standing, name: str) -> bool:
        candidate = Candidate.of(text)
        before = self._board.candidates.get(frontier.source_sha).text
        added, removed = line_diff(before, text)
        proposal = Proposal(
            proposal_id=name,
            kind="code" if difference(before, text).places else "knobs",
            proposer=ABLATION,
            source_sha=candidate.sha,
            parent_sha=frontier.source_sha,
            parent_version=frontier.version,
            hypothesis=f"{HYPOTHESIS}{what}",
            lines_added=added,
            lines_removed=removed,
        )
        return self._board.enqueue(proposal, candidate, normal_sha(text))
