"""Random sequences of the store's operations, in words that fit any two stores."""

from dataclasses import dataclass

from hypothesis import strategies as st

from autoresearch_ray.store.contract import Compare, Delete, Get, Put, Range, Txn

SEQUENCE = 200  # operations on one pair of stores; making a pair takes as long as ten


@dataclass(frozen=True)
class Write:
    """A transaction. Leases are places, each with the lease granted last; revisions, of operands too, are ages."""

    txn: Txn


@dataclass(frozen=True)
class Repeat:
    """An earlier transaction once more, under its request id."""

    back: int


@dataclass(frozen=True)
class Grant:
    lease: int


@dataclass(frozen=True)
class Renew:
    lease: int


@dataclass(frozen=True)
class Revoke:
    lease: int


@dataclass(frozen=True)
class Compact:
    age: int


@dataclass(frozen=True)
class Watch:
    """From a revision of this age, or so many after the compacted one."""

    prefix: str
    age: int
    compacted: bool
    previous: bool


Operation = Get | Range | Write | Repeat | Grant | Renew | Revoke | Compact | Watch

KEYS = st.sampled_from(["a", "a/1", "a/2", "a/\U0001f600", "b", "b/1", "é"])
PREFIXES = st.sampled_from(["", "a", "a/", "b", "c"])
AGES = st.integers(-1, 12)  # 0 is "now" by default, 1 now by its number, -1 a revision to come
VALUES = st.sampled_from([b"", b"1", b"2", b"\xff\x00"])
LEASES = st.integers(1, 3)
RELATIONS = st.sampled_from(["==", "!=", "<", ">"])
COMPARES = st.one_of(
    st.builds(Compare, KEYS, st.just("value"), RELATIONS, VALUES),
    st.builds(Compare, KEYS, st.sampled_from(["version", "create", "mod"]), RELATIONS, st.integers(-1, 6)),
)
GETS = st.builds(Get, KEYS, st.one_of(st.just(0), AGES))
RANGES = st.builds(Range, PREFIXES, st.integers(0, 3), st.one_of(st.just(0), AGES), st.one_of(st.just(""), KEYS))
PUTS = st.builds(Put, KEYS, VALUES, st.sampled_from([0, 0, 0, 1, 1, 2, 3]), st.booleans())
DELETES = st.one_of(
    st.builds(Delete, KEYS, st.just(False), st.booleans()),
    st.builds(Delete, st.sampled_from(["a/", "b", "c"]), st.just(True), st.booleans()),
)
OPS = st.one_of(PUTS, PUTS, DELETES, GETS, RANGES)
BRANCHES = st.lists(OPS, max_size=4).map(tuple)
WRITES = st.one_of(
    st.builds(lambda put: Write(Txn(success=(put,))), PUTS),
    st.builds(lambda delete: Write(Txn(success=(delete,))), DELETES),
    st.builds(lambda *parts: Write(Txn(*parts)), st.lists(COMPARES, max_size=2).map(tuple), BRANCHES, BRANCHES),
)
PLAN: list[st.SearchStrategy[Operation | None]] = [  # by how often; shrinking goes towards the first
    *[st.none()] * 2,
    *[WRITES] * 50,
    *[GETS] * 16,
    *[RANGES] * 16,
    *[st.builds(Repeat, st.integers(1, 4))] * 6,
    *[st.builds(Grant, LEASES)] * 2,
    *[st.builds(Renew, LEASES)] * 2,
    *[st.builds(Revoke, LEASES)] * 2,
    *[st.builds(Watch, st.sampled_from(["", "a", "a/", "b"]), AGES, st.booleans(), st.booleans())] * 4,
    *[st.builds(Compact, AGES)] * 1,
]
OPERATION = st.integers(0, len(PLAN) - 1).flatmap(PLAN.__getitem__)
SEQUENCES = st.lists(OPERATION, min_size=SEQUENCE, max_size=SEQUENCE).map(lambda drawn: [op for op in drawn if op])
