"""Ideas of models that conflict with a frontier that has moved on: each goes back to its proposer, to be rebased.

    rebase/<idea>   its Proposal as it was last made, until it is settled
    asked/<idea>    how often its proposer was asked about it, over the whole run

Every change is one transaction: killed anywhere, an idea is neither lost nor asked about more than ASKED times.
"""

from autoresearch_ray.records.codec import to_json
from autoresearch_ray.records.proposers import RejectedIdea
from autoresearch_ray.records.trials import Candidate, Proposal
from autoresearch_ray.store.candidates import put_source
from autoresearch_ray.store.contract import Compare, Delete, Op, Put, Store, absent, present
from autoresearch_ray.store.history import records_under

ASKED = 2  # times at most, for one idea


class Rebases:
    """The rebases of a run. Any thread may call."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def open(self) -> list[Proposal]:
        """The ideas that wait to be rebased."""
        return records_under(self._store, "rebase/", Proposal)

    def count_askings(self, proposal: Proposal) -> int:
        """How often its proposer was asked about an idea, in whatever form."""
        kv = self._store.get(f"asked/{idea_of(proposal)}")
        return int(kv.value) if kv else 0

    def send_back(self, proposal: Proposal) -> bool:
        """Let its proposer rebase an idea; False if it was asked about it often enough."""
        if self.count_askings(proposal) >= ASKED:
            return False
        self._store.put(f"rebase/{idea_of(proposal)}", to_json(proposal).encode())
        return True

    def take_back(self, queued: Proposal) -> bool:
        """The same with one that waits in the queue, which it leaves; False too if it was claimed meanwhile."""
        name = queued.proposal_id
        normal = self._store.get(f"normal/{name}")
        if normal is None or self.count_askings(queued) >= ASKED:
            return False
        marks = [f"queue/{name}", f"normal/{name}", f"seen/{normal.value.decode()}"]
        writes: list[Op] = [
            *(Delete(mark) for mark in marks),
            Put(f"rebase/{idea_of(queued)}", to_json(queued).encode()),
        ]
        return self._store.txn([present(f"queue/{name}")], writes).succeeded

    def begin(self, proposal: Proposal) -> bool:
        """Count a question before it is asked; False if the idea is settled or was asked about often enough."""
        idea, before = idea_of(proposal), self.count_askings(proposal)
        if before >= ASKED:
            return False
        key = f"asked/{idea}"
        unchanged = Compare(key, "value", "==", str(before).encode()) if before else absent(key)
        conditions = [unchanged, present(f"rebase/{idea}")]
        return self._store.txn(conditions, [Put(key, str(before + 1).encode())]).succeeded

    def unask(self, proposal: Proposal) -> None:
        """A question that did not reach its proposer does not count."""
        before = self.count_askings(proposal)
        if before:
            self._store.put(f"asked/{idea_of(proposal)}", str(before - 1).encode())

    def settle(self, stale: Proposal, rebased: Proposal, candidate: Candidate, normal_sha: str) -> bool:
        """Queue an idea as it was rebased; False when that program was seen before, or the idea is settled."""
        assert rebased.source_sha == candidate.sha, f"{rebased.proposal_id}: it proposes another candidate"
        name, key = rebased.proposal_id, f"rebase/{idea_of(stale)}"
        conditions = [absent(f"seen/{normal_sha}"), present(key)]
        writes: list[Op] = [
            put_source(candidate),
            Put(f"seen/{normal_sha}", name.encode()),
            Put(f"normal/{name}", normal_sha.encode()),
            Put(f"queue/{name}", to_json(rebased).encode()),
            Delete(key),
        ]
        return self._store.txn(conditions, writes).succeeded

    def renew(self, stale: Proposal, rebased: Proposal, candidate: Candidate) -> None:
        """An idea that was overtaken while it was rebased: it waits as it is now, not as it was first made."""
        key = f"rebase/{idea_of(stale)}"
        writes: list[Op] = [
            put_source(candidate),
            Put(key, to_json(rebased).encode()),
        ]
        self._store.txn([present(key)], writes)

    def give_up(self, stale: Proposal, rejected: RejectedIdea) -> None:
        """The idea takes no slot, and the next prompts tell of it."""
        put = Put(f"rejected/{rejected.name}", to_json(rejected).encode())
        self._store.txn([], [Delete(f"rebase/{idea_of(stale)}"), put])


def idea_of(proposal: Proposal) -> str:
    """What stays the same of a proposal's id when it is brought onto another frontier."""
    return proposal.proposal_id.partition(".")[0]
