"""What a run keeps, in the words of the design, on any store.

    settings                  JSON, once
    source/<sha>              a Candidate, by content (`candidates.py`)
    seen/<normal sha>         the proposal that brought this candidate first
    queue/<proposal id>       a Proposal that waits; normal/<proposal id> is its normal sha
    trial/<trial id>          a Trial; running/<trial id> while it has no result; last_trial the newest id
    result/<trial id>         a Result, once; pending/<trial id> while it has no decision
    decision/<trial id>       a Decision
    search                    the search's own state: settling compares its mod revision, so one settles at a time
    frontier, best            a Standing
    step/<index>              a Step; commit/<index> its commit hash, once
    program, findings, directives/<version>, proposer/<name>, rejected/<name>    (`notes.py`)
    rebase/<idea>             a Proposal that goes back to its model; asked/<idea> how often (`rebases.py`)
    spending, spent/<call>    what model calls cost (`propose/llm/spending.py`)
    earlier, earlier/<page>   the EarlierRun that it starts from, once (`earlier.py`)
    told/<who>                how far a command or a tracker was told (`told.py`)
    driver                    who drives the run (`driver_lease.py`)
    launch/<time>             when a driver began

What two may do at once is one transaction, and a lost race is False. Nothing here decides. Every method may be called
again after a crash: what was done stays done.

A board with a tenure is its driver's: claims and decisions hold only while its lease does (FencedError else). What a
driver had claimed goes back when its lease has lapsed: the next one finds it in `open_trials`. So a trial may run more
than once, but its result is written once, whoever brings it.
"""

from collections.abc import Iterable, Sequence

from autoresearch_ray.common.errors import LineageError, StoreError
from autoresearch_ray.records.codec import to_json
from autoresearch_ray.records.decisions import Decision, Standing, Step
from autoresearch_ray.records.history import History
from autoresearch_ray.records.trials import Candidate, Proposal, Result, Trial
from autoresearch_ray.store.candidates import Candidates, put_source
from autoresearch_ray.store.changes import Changes
from autoresearch_ray.store.contract import Compare, Delete, Get, KeyValue, Op, Put, Store, TxnResult, absent, present
from autoresearch_ray.store.driver_lease import KEY, Tenure
from autoresearch_ray.store.history import all_under, history_of, id_of, read_record, records_under
from autoresearch_ray.store.notes import Notes

GETS_AT_ONCE = 100  # keys read in one transaction, within etcd's limit of 128


class Board:
    """The run's state. Any number of boards may work on one store, any thread may call."""

    def __init__(self, store: Store, tenure: Tenure | None = None) -> None:
        self.store = store
        self.candidates, self.notes = Candidates(store), Notes(store)
        self._tenure = tenure

    def settings(self) -> bytes | None:
        """The run's settings as JSON, or None before they are put."""
        kv = self.store.get("settings")
        return kv.value if kv else None

    def put_settings_once(self, settings: bytes) -> bool:
        """Write the settings of a new run; False when it has some."""
        return self.store.txn([absent("settings")], [Put("settings", settings)]).succeeded

    def put_settings(self, settings: bytes) -> None:
        """Write the settings of a run that goes on with others."""
        self.store.put("settings", settings)

    def note_launch(self, at: float) -> None:
        """Remember when a driver began, in seconds since the epoch: before it the run may have paused."""
        self.store.put(f"launch/{at:.3f}", b"")

    def enqueue(self, proposal: Proposal, candidate: Candidate, normal_sha: str) -> bool:
        """Queue a validated proposal; False when a candidate that is the same once normalised was seen before."""
        assert proposal.source_sha == candidate.sha, f"{proposal.proposal_id}: it proposes another candidate"
        name = proposal.proposal_id
        writes: list[Op] = [
            Put(f"seen/{normal_sha}", name.encode()),
            Put(f"normal/{name}", normal_sha.encode()),
            Put(f"queue/{name}", to_json(proposal).encode()),
        ]
        if not self.candidates.has(proposal.source_sha):
            writes.append(put_source(candidate))
        done = self.store.txn([absent(f"seen/{normal_sha}")], writes).succeeded
        if done:
            self.candidates.remember(proposal.source_sha, candidate)
        return done

    def find_proposal(self, normal_sha: str) -> str | None:
        """The proposal that brought this candidate first, if one did."""
        kv = self.store.get(f"seen/{normal_sha}")
        return kv.value.decode() if kv else None

    def queue(self) -> list[Proposal]:
        """The proposals that wait, in the order of their ids."""
        return records_under(self.store, "queue/", Proposal)

    def drop(self, proposal_ids: Iterable[str]) -> int:
        """Take proposals out of the queue, unseen again so that the idea may come back; returns how many were there."""
        return sum(self._drop_one(proposal_id) for proposal_id in proposal_ids)

    def claim(self, trial: Trial) -> bool:
        """Turn a queued proposal into a trial; False when it is not queued any more or the trial id is taken."""
        name = trial.proposal.proposal_id
        conditions = [present(f"queue/{name}"), absent(f"trial/{trial.trial_id}")]
        taken: list[Op] = [Delete(f"queue/{name}"), Delete(f"normal/{name}")]
        return self._fenced(conditions, [*taken, *_trial_writes(trial)]).succeeded

    def start(self, trial: Trial) -> bool:
        """Record a trial that comes from no queue (baseline, replicate); False when its id is taken."""
        return self._fenced([absent(f"trial/{trial.trial_id}")], _trial_writes(trial)).succeeded

    def finish(self, result: Result) -> bool:
        """Write a claimed trial's result, once; a late duplicate is False and changes nothing."""
        name = result.trial_id
        conditions = [present(f"trial/{name}"), absent(f"result/{name}")]
        writes: list[Op] = [
            Put(f"result/{name}", to_json(result).encode()),
            Put(f"pending/{name}", b""),
            Delete(f"running/{name}"),
        ]
        answer = self.store.txn(conditions, writes, [Get(f"trial/{name}")])
        if not answer.succeeded and not answer.responses[0].kvs:
            raise StoreError(f"trial {name}: a result for a trial that nobody claimed; expected claim or start before")
        return answer.succeeded

    def result(self, trial_id: str) -> Result | None:
        """One trial's result, or None as long as there is none."""
        kv = self.store.get(f"result/{trial_id}")
        return read_record(Result, kv) if kv else None

    def trials(self) -> list[Trial]:
        """All trials, in the order of their ids."""
        return sorted(records_under(self.store, "trial/", Trial), key=lambda trial: _number(trial.trial_id))

    def results(self) -> list[Result]:
        """All results, in the order of their trials' ids."""
        return sorted(records_under(self.store, "result/", Result), key=lambda result: _number(result.trial_id))

    def decisions(self) -> list[Decision]:
        """All decisions, in the order of their trials' ids."""
        return sorted(records_under(self.store, "decision/", Decision), key=lambda made: _number(made.trial_id))

    def open_results(self) -> list[Result]:
        """The results that no decision was made on, in the order they were stored."""
        marks = sorted(all_under(self.store, "pending/"), key=lambda kv: kv.mod_revision)
        return [read_record(Result, kv) for kv in self._get_all("result/", marks)]

    def open_trials(self) -> list[Trial]:
        """The trials without a result, in the order of their ids."""
        trials = [read_record(Trial, kv) for kv in self._get_all("trial/", all_under(self.store, "running/"))]
        return sorted(trials, key=lambda trial: _number(trial.trial_id))

    def trial_count(self) -> int:
        """How many trials were claimed or started."""
        return self.store.range("trial/", limit=1).count

    def last_trial_id(self) -> str | None:
        """The trial that was claimed or started last; the next id counts on from it."""
        kv = self.store.get("last_trial")
        return kv.value.decode() if kv else None

    def search_state(self) -> tuple[bytes | None, int]:
        """The search's own state and the revision to settle against (0 before the first time)."""
        kv = self.store.get("search")
        return (kv.value, kv.mod_revision) if kv else (None, 0)

    def settle(
        self,
        expected_mod_revision: int,
        search: bytes,
        decisions: Sequence[Decision] = (),
        frontier: Standing | None = None,
        best: Standing | None = None,
        steps: Sequence[Step] = (),
    ) -> int:
        """Write decisions and all that follows from them, at once.

        Returns the revision to settle against next, 0 when another settled in between.
        """
        writes: list[Op] = [Put("search", search)]
        for decision in decisions:
            writes.append(Put(f"decision/{decision.trial_id}", to_json(decision).encode()))
            writes.append(Delete(f"pending/{decision.trial_id}"))
        writes += [Put(f"step/{step.index:06d}", to_json(step).encode()) for step in steps]
        writes += [Put(name, to_json(held).encode()) for name, held in (("frontier", frontier), ("best", best)) if held]
        answer = self._fenced([Compare("search", "mod", "==", expected_mod_revision)], writes)
        return answer.revision if answer.succeeded else 0

    def frontier(self) -> Standing | None:
        """The candidate that new proposals start from."""
        return self._standing("frontier")

    def best(self) -> Standing | None:
        """The proven best candidate."""
        return self._standing("best")

    def steps(self, from_index: int = 1) -> list[Step]:
        """The changes of frontier and best from an index on, in order."""
        return records_under(self.store, "step/", Step, after=f"step/{from_index - 1:06d}")

    def put_commit(self, index: int, commit: str) -> bool:
        """Note the commit that a step became; False when it is noted already. LineageError when with another hash."""
        key = f"commit/{index:06d}"
        answer = self.store.txn([absent(key)], [Put(key, commit.encode())], [Get(key)])
        if not answer.succeeded:
            noted = answer.responses[0].kvs[0].value.decode()
            if noted != commit:
                raise LineageError(f"step {index} is commit {commit}, but the store says {noted}; was git rewritten?")
        return answer.succeeded

    def commits(self) -> dict[int, str]:
        """The commit hash of every step that has one, by index."""
        return {int(id_of(kv.key)): kv.value.decode() for kv in all_under(self.store, "commit/")}

    def follow(self, since: int, timeout_seconds: float = 0.0, folder: str = "") -> Changes:
        """What was written after a revision, waited for so long; of one folder of keys, or of all. CompactedError."""
        return Changes.of(self.store.watch(folder, since + 1, timeout_seconds))

    def history(self) -> History:
        """The whole past at one revision."""
        return history_of(self.store)

    def _fenced(self, conditions: list[Compare], writes: list[Op]) -> TxnResult:
        """A transaction of the driver; no success is a lost race, FencedError says that the place is another's."""
        if self._tenure is None:
            return self.store.txn(conditions, writes)
        answer = self.store.txn([self._tenure.fence, *conditions], writes, [Get(KEY)])
        if not answer.succeeded:
            kvs = answer.responses[0].kvs
            self._tenure.check(kvs[0] if kvs else None)
        return answer

    def _drop_one(self, proposal_id: str) -> bool:
        normal = self.store.get(f"normal/{proposal_id}")
        if normal is None:
            return False
        marks = [f"queue/{proposal_id}", f"normal/{proposal_id}", f"seen/{normal.value.decode()}"]
        return self.store.txn([present(f"queue/{proposal_id}")], [Delete(key) for key in marks]).succeeded

    def _get_all(self, prefix: str, marks: Iterable[KeyValue]) -> list[KeyValue]:
        keys = [prefix + id_of(mark.key) for mark in marks]
        found: list[KeyValue] = []
        for start in range(0, len(keys), GETS_AT_ONCE):
            answer = self.store.txn((), [Get(key) for key in keys[start : start + GETS_AT_ONCE]])
            found += [kv for response in answer.responses for kv in response.kvs]
        assert len(found) == len(keys), f"{prefix}: {len(keys)} marks, but {len(found)} records"
        return found

    def _standing(self, name: str) -> Standing | None:
        kv = self.store.get(name)
        return read_record(Standing, kv) if kv else None


def _trial_writes(trial: Trial) -> list[Op]:
    name = trial.trial_id
    return [
        Put(f"trial/{name}", to_json(trial).encode()),
        Put(f"running/{name}", b""),
        Put("last_trial", name.encode()),
    ]


def _number(trial_id: str) -> tuple[int, str]:
    return len(trial_id), trial_id  # t100000 comes after t99999
