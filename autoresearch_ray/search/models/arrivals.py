"""What a model brought becomes a proposal: on the frontier as it is when it comes, or back to the model."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from autoresearch_ray.candidate.difference import difference
from autoresearch_ray.candidate.normal_form import line_diff, normal_sha
from autoresearch_ray.common.errors import CandidateError
from autoresearch_ray.propose.llm.conversation import Idea
from autoresearch_ray.records.trials import Candidate, Proposal
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.rebases import Rebases, idea_of


def code_differs(board: Board, one_sha: str, other_sha: str) -> bool:
    """Whether more than values of constants lies between two candidates."""
    one, other = (board.candidates.get(sha).text for sha in (one_sha, other_sha))
    return one != other and bool(difference(one, other).places)


@dataclass(frozen=True, slots=True)
class Asked:
    """What an idea was asked for under."""

    direction: str = ""
    dollars: float = 0.0  # that it cost

    def mark(self, proposal: Proposal) -> Proposal:
        """The proposal with that."""
        return replace(proposal, direction=self.direction, dollars=self.dollars)


NOTHING_ASKED = Asked()


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Of one model. Any thread may call."""

    label: str
    board: Board
    rebases: Rebases
    bring_onto: Callable[[str, str], tuple[str, str, int] | None]  # text, its parent -> text, parent, version now
    check: Callable[[str], None]

    def enqueue(
        self, idea: Idea, parent: str, name: str, asked: Asked = NOTHING_ASKED
    ) -> Literal["queued", "sent back", "duplicate"]:
        """Queue the idea on the frontier as it is now.

        Where it conflicts there, or other code has come in meanwhile, it goes back to the model: two changes of code
        may fit as texts and make no sense together.
        """
        brought = self._bring(idea, parent)
        if brought is None or code_differs(self.board, parent, brought[1]):
            self.board.candidates.put(Candidate.of(idea.text))
            if self.rebases.send_back(asked.mark(self._proposal(idea, idea.text, parent, 1, name))):
                return "sent back"
        if brought is None:
            return "duplicate"
        text, parent, version = brought
        proposal = asked.mark(self._proposal(idea, text, parent, version, name))
        return "queued" if self.board.enqueue(proposal, Candidate.of(text), normal_sha(text)) else "duplicate"

    def settle(self, stale: Proposal, idea: Idea, parent: str, dollars: float = 0.0) -> str | None:
        """Queue a rebased idea with its own hypothesis; its proposal's name, None if it fits no more or is a duplicate.

        One that fits no more waits in its new form, so that it need not be rebased from the start again.
        """
        brought = self._bring(idea, parent)
        if brought is None:
            late = self._proposal(idea, idea.text, parent, stale.parent_version, stale.proposal_id)
            late = replace(late, hypothesis=stale.hypothesis, direction=stale.direction, dollars=stale.dollars)
            self.rebases.renew(stale, late, Candidate.of(idea.text))
            return None
        text, parent, version = brought
        proposal = self._proposal(idea, text, parent, version, f"{idea_of(stale)}.{version}r")
        proposal = replace(
            proposal, hypothesis=stale.hypothesis, direction=stale.direction, dollars=stale.dollars + dollars
        )
        settled = self.rebases.settle(stale, proposal, Candidate.of(text), normal_sha(text))
        return proposal.proposal_id if settled else None

    def _bring(self, idea: Idea, parent: str) -> tuple[str, str, int] | None:
        """The idea on the frontier as it is now: text, parent, version; None where it does not fit or is refused."""
        brought = self.bring_onto(idea.text, parent)
        try:
            self.check(brought[0] if brought else idea.text)
        except CandidateError:
            return None
        return brought

    def _proposal(self, idea: Idea, text: str, parent: str, version: int, name: str) -> Proposal:
        added, removed = line_diff(self.board.candidates.get(parent).text, text)
        return Proposal(
            proposal_id=name,
            kind="code",
            proposer=self.label,
            source_sha=Candidate.of(text).sha,
            parent_sha=parent,
            parent_version=version,
            hypothesis=idea.hypothesis,
            lines_added=added,
            lines_removed=removed,
            expected_effect=idea.expected_effect,
        )
