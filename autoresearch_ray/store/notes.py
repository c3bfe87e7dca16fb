"""What people, models and analyses leave for each other beside the trials.

program                   program.md as it is now
findings                  Findings as they are now
directives/<version>      Directives, each version once
proposer/<name>           a ProposerStatus
rejected/<name>           a RejectedIdea
"""

from autoresearch_ray.records.codec import to_json
from autoresearch_ray.records.guidance import NO_DIRECTIVES, Directives, Findings
from autoresearch_ray.records.proposers import ProposerStatus, RejectedIdea
from autoresearch_ray.store.contract import Compare, Delete, Put, Store, absent
from autoresearch_ray.store.history import directives_key, read_directives, read_record, read_rejected, records_under


class Notes:
    """Any thread may call."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def program(self) -> str | None:
        """program.md as it is now."""
        kv = self._store.get("program")
        return kv.value.decode() if kv else None

    def put_program(self, text: str) -> bool:
        """Keep the newest program.md; False when it is the one that is there."""
        value = text.encode()
        unchanged = self._store.txn([Compare("program", "value", "==", value)], [], [Put("program", value)]).succeeded
        return not unchanged

    def findings(self) -> Findings | None:
        """What all results say together, as of the last look."""
        kv = self._store.get("findings")
        return read_record(Findings, kv) if kv else None

    def put_findings(self, findings: Findings) -> None:
        """Keep the newest findings."""
        self._store.put("findings", to_json(findings).encode())

    def directives(self, before: Directives = NO_DIRECTIVES) -> Directives:
        """The newest version; `before` saves reading what came before it."""
        return max(read_directives(self._store, before.version), default=before, key=lambda one: one.version)

    def put_directives(self, directives: Directives) -> bool:
        """Write this version; False when somebody else has written it: read theirs and make the next one."""
        key = directives_key(directives.version)
        return self._store.txn([absent(key)], [Put(key, to_json(directives).encode())]).succeeded

    def put_proposer(self, status: ProposerStatus) -> None:
        """Say how a model does."""
        self._store.put(f"proposer/{status.name}", to_json(status).encode())

    def forget_proposers(self) -> None:
        """A launch begins: how models did in the last one is no news."""
        self._store.txn([], [Delete("proposer/", prefix=True)])

    def proposers(self) -> list[ProposerStatus]:
        """How the models do, by name."""
        return records_under(self._store, "proposer/", ProposerStatus)

    def put_rejected(self, idea: RejectedIdea) -> None:
        """Remember an idea that took no slot."""
        self._store.put(f"rejected/{idea.name}", to_json(idea).encode())

    def rejections(self) -> tuple[RejectedIdea, ...]:
        """The ideas that took no slot, oldest first."""
        return read_rejected(self._store)
