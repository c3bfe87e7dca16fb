"""What a run knows of the earlier one that it starts from: written before its settings, and never again.

    earlier           the EarlierRun without its scores, written last
    earlier/<page>    a page of its scores

In pages, because etcd refuses a value of much above a megabyte: 2,000 scores of 20 knobs are one.
"""

from dataclasses import dataclass, replace

from autoresearch_ray.records.codec import to_json
from autoresearch_ray.records.history import EarlierRun, KnobScore
from autoresearch_ray.store.contract import Delete, Store
from autoresearch_ray.store.history import read_record, records_under

PAGE = 100  # scores, of some 500 bytes each


@dataclass(frozen=True, slots=True)
class _Page:
    scores: tuple[KnobScore, ...]


def put_earlier(store: Store, earlier: EarlierRun) -> None:
    """Keep it, in the place of what a launch that was killed before its run began has left."""
    store.txn([], [Delete("earlier/", prefix=True)])
    for start in range(0, len(earlier.scores), PAGE):
        page = _Page(earlier.scores[start : start + PAGE])
        store.put(f"earlier/{start:06d}", to_json(page).encode())
    store.put("earlier", to_json(replace(earlier, scores=())).encode())


def read_earlier(store: Store) -> EarlierRun | None:
    """The run that this one starts from; None where it starts from its experiment's own candidate."""
    kv = store.get("earlier")
    if kv is None:
        return None
    pages = records_under(store, "earlier/", _Page)
    return replace(read_record(EarlierRun, kv), scores=tuple(score for page in pages for score in page.scores))
