"""Is a recorded history linearizable: is there one order of its operations, each at a moment between its call and its
return, in which every answer is what a single store would have said?

The search is that of Wing and Gong, "Testing and verifying concurrent objects" (J. Parallel Distrib. Comput., 1993):
take an operation that no other unplaced one returned before, see that the model gives its answer, go on; go back when
stuck. Made fast as in Lowe, "Testing for linearizability" (Concurrency Comput. Pract. Exper., 2017): a configuration
(who is placed, what the keys hold) that was met before is not entered again, and an operation that fits now and
changes nothing is placed at once, for no later moment suits the others better. And as in Horn and Kroening, "Faster
linearizability checking via P-compositionality" (FORTE 2015): keys that no operation joins are checked apart.

An operation without answer (its client saw an error) may happen at any moment after its call, or never. End a history
with a read of all its keys: it tells which of them happened, and the search is short.

Revisions in the answers say in which order to try, never what to accept; `revision_violation` checks them for
themselves. Configurations are told apart by 64 bits, so a right history is refused once in about 10^12 runs.
"""

import bisect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from autoresearch_ray.store.contract import Delete, KeyValue, Op, Put, Range, Txn, TxnResult

MOST_CONFIGURATIONS = (
    1_000_000  # of one part, before the search gives up; a right history of n operations needs about n
)

Changes = dict[str, KeyValue | None]  # None: the key is deleted


@dataclass(frozen=True, slots=True)
class Operation:
    """What one client asked and heard. Times are of one clock; revision 0 in an answer was not told."""

    client: str
    txn: Txn
    called: float
    returned: float = math.inf
    answer: TxnResult | None = None  # None: none came


# What an operation may do to these keys without contradicting its answer: nothing fits, one change, or several.
Outcomes = Callable[[Mapping[str, KeyValue], Operation], Iterable[Changes]]


class UndecidedError(Exception):
    """The search has met too many configurations."""


def violation(operations: Iterable[Operation], outcomes: Outcomes) -> str | None:
    """None for a linearizable history that began with an empty store, else what no order explains."""
    for part in parts(operations):
        found = _Search(part, outcomes).run()
        if found:
            return found
    return None


def revision_violation(operations: Iterable[Operation]) -> str | None:
    """None if revisions respect real time: none is below one that was told before the call, a write's is above."""
    told = [operation for operation in operations if operation.answer and operation.answer.revision]
    by_return = sorted(told, key=lambda operation: operation.returned)
    writers: dict[int, Operation] = {}
    newest, position = 0, 0
    for operation in sorted(told, key=lambda operation: operation.called):
        while by_return[position].returned < operation.called:
            newest = max(newest, _revision(by_return[position]))
            position += 1
        wrote = _has_written(operation)
        if _revision(operation) < newest + wrote:
            return f"revision {newest} was told before the call of {operation}"
        if wrote and writers.setdefault(_revision(operation), operation) is not operation:
            return f"one revision of two writes: {writers[_revision(operation)]} and {operation}"
    return None


def parts(operations: Iterable[Operation]) -> list[list[Operation]]:
    """The operations by groups of keys that none of them joins; reads that nobody answered say nothing and go."""
    kept = [operation for operation in operations if operation.answer or _writes(operation.txn)]
    names = [_names(operation.txn) for operation in kept]
    keys = sorted({name for touched in names for name, is_prefix in touched if not is_prefix})
    joined = {name: name for touched in names for name in touched}

    def root(name: tuple[str, bool]) -> tuple[str, bool]:
        while joined[name] != name:
            joined[name] = name = joined[joined[name]]
        return name

    for prefix in [text for text, is_prefix in list(joined) if is_prefix]:
        for key in keys[bisect.bisect_left(keys, prefix) :]:
            if not key.startswith(prefix):
                break
            joined[root((key, False))] = root((prefix, True))
    for touched in names:
        for name in touched[1:]:
            joined[root(name)] = root(touched[0])
    found: dict[tuple[str, bool], list[Operation]] = {}
    for operation, touched in zip(kept, names, strict=True):
        found.setdefault(root(touched[0]), []).append(operation)
    return list(found.values())


def _names(txn: Txn) -> list[tuple[str, bool]]:
    """The keys (False) and prefixes (True) that a transaction looks at or writes."""
    names = [(compare.key, False) for compare in txn.compare]
    for op in (*txn.success, *txn.failure):
        names.append((op.prefix, True) if isinstance(op, Range) else (op.key, isinstance(op, Delete) and op.prefix))
    return list(dict.fromkeys(names))


def _writes(txn: Txn) -> bool:
    return any(isinstance(op, Put | Delete) for op in (*txn.success, *txn.failure))


def _has_written(operation: Operation) -> bool:
    assert operation.answer
    branch: Sequence[Op] = operation.txn.success if operation.answer.succeeded else operation.txn.failure
    return any(
        isinstance(op, Put) or (isinstance(op, Delete) and found.count > 0)
        for op, found in zip(branch, operation.answer.responses, strict=True)
    )


def _revision(operation: Operation) -> int:
    return operation.answer.revision if operation.answer else 0


@dataclass(frozen=True, slots=True)
class _Placed:
    index: int
    before: Changes  # what the keys that it changed held
    alternatives: Iterator[tuple[int, Changes]]  # that were not tried in its place


class _Search:
    """One part: the operations, which of them are placed, and what the keys hold then."""

    def __init__(self, operations: list[Operation], outcomes: Outcomes) -> None:
        answered = sorted((o for o in operations if o.answer), key=lambda operation: operation.called)
        self._answered = len(answered)
        self._operations = answered + [o for o in operations if not o.answer]
        self._outcomes = outcomes
        self._expected = _expected_order(self._operations)
        self._kvs: dict[str, KeyValue] = {}
        self._placed: set[int] = set()
        self._first = 0  # every answered operation before this one is placed
        self._digest = 0  # of what is placed and of the keys
        self._left = self._answered

    def run(self) -> str | None:
        """Place all operations that were answered; None if that can be done."""
        met: set[int] = set()
        path: list[_Placed] = []
        choices = self._choices()
        fewest, stuck = self._left + 1, ""
        while self._left:
            choice = next(choices, None)
            if choice is not None:
                placed = _Placed(choice[0], self._place(*choice), choices)
                path.append(placed)
                choices = self._choices() if self._digest not in met else iter(())
                met.add(self._digest)
                if len(met) > MOST_CONFIGURATIONS:
                    raise UndecidedError(f"{len(met)} configurations met; {stuck}")
            else:
                if self._left < fewest:
                    fewest, stuck = self._left, self._described()
                if not path:
                    return stuck
                placed = path.pop()
                self._take_back(placed)
                choices = placed.alternatives
        return None

    def _choices(self) -> Iterator[tuple[int, Changes]]:
        """Operations that may come next, each with what it does; the likeliest first."""
        candidates, limit = self._candidates()
        changing = []
        for index in candidates:
            outcomes = list(self._outcomes(self._kvs, self._operations[index]))
            if {} in outcomes:
                yield index, {}
                return
            changing += [(index, changes) for changes in outcomes]
        for index in range(self._answered, len(self._operations)):
            if index not in self._placed and self._operations[index].called <= limit:
                possible = self._outcomes(self._kvs, self._operations[index])
                changing += [(index, changes) for changes in possible if changes]
        yield from sorted(changing, key=lambda choice: self._expected[choice[0]])

    def _candidates(self) -> tuple[list[int], float]:
        """The answered operations that were called before any unplaced one returned, and when that was."""
        found, limit = [], math.inf
        for index in range(self._first, self._answered):
            if self._operations[index].called > limit:
                break
            if index not in self._placed:
                limit = min(limit, self._operations[index].returned)
                found.append(index)
        return found, limit

    def _place(self, index: int, changes: Changes) -> Changes:
        self._placed.add(index)
        self._left -= index < self._answered
        self._digest ^= hash(("placed", index))
        while self._first in self._placed:
            self._first += 1
        return self._write(changes)

    def _take_back(self, placed: _Placed) -> None:
        self._write(placed.before)
        self._placed.remove(placed.index)
        self._left += placed.index < self._answered
        self._digest ^= hash(("placed", placed.index))
        self._first = min(self._first, placed.index)

    def _write(self, changes: Changes) -> Changes:
        before = {key: self._kvs.get(key) for key in changes}
        for key, kv in changes.items():
            for value in (before[key], kv):
                self._digest ^= hash((key, value)) if value else 0
            if kv is None:
                self._kvs.pop(key, None)
            else:
                self._kvs[key] = kv
        return before

    def _described(self) -> str:
        candidates, _ = self._candidates()
        stuck = [self._operations[index] for index in candidates]
        touched = {name for operation in stuck for name, _ in _names(operation.txn)}
        kvs = [kv for key, kv in sorted(self._kvs.items()) if any(key.startswith(name) for name in touched)]
        placed = self._answered - self._left
        return f"{placed} of {self._answered} answers explained, with {kvs[:20]}; none of these comes next: {stuck}"


def _expected_order(operations: list[Operation]) -> list[float]:
    """The revision at which each operation seems to have happened: as it was told, or as readers of its value were."""
    read: dict[tuple[str, bytes], int] = {}
    for operation in operations:
        for found in operation.answer.responses if operation.answer else ():
            read |= {(kv.key, kv.value): kv.mod_revision for kv in found.kvs}
    expected = []
    for operation in operations:
        puts = [op for op in (*operation.txn.success, *operation.txn.failure) if isinstance(op, Put)]
        revisions = [_revision(operation), *(read.get((put.key, put.value), 0) for put in puts)]
        expected.append(next((revision for revision in revisions if revision), math.inf))
    return expected
