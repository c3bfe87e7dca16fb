"""The documents of an experiment's corpus, and which split each belongs to.

`data:` is one of three. `stdlib` is the source of the running Python's standard library, without tests, one document a
file. `tinystories`, `climbmix` or another name is on the `datasets` hub. A path is a local .txt, .jsonl or .parquet
file, or a folder of them (`local_files.py`). A corpus that cannot be read is a DataError; no other replaces it.
`datasets` is imported only where it is needed. Tokens and rows are made in `build.py`.
"""

import hashlib
import logging
import mmap
import platform
import sysconfig
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autoresearch_ray.benchmark.data.local_files import content_sha, fault, text_documents
from autoresearch_ray.common.errors import DataError
from autoresearch_ray.settings.experiment import Experiment, local_path

HUB_NAMES = {"tinystories": "roneneldan/TinyStories", "climbmix": "karpathy/climbmix-400b-shuffle"}
LOCAL_READERS = {".jsonl": "json", ".parquet": "parquet"}  # suffix -> builder of `datasets`
SPLIT_SEED = b"autoresearch_ray splits 1"
POOL_BYTES_PER_TOKEN = 8  # reserved for each scored token; BPE of 2,048 to 65,536 tokens gives 3 to 5
POOL_SHARE = 0.2  # most of the corpus for validation, and as much for held-out
LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idle_test"}  # folders of the standard library


@dataclass(frozen=True)
class Pools:
    """Document numbers by split, in hash order: what validation and held-out may take from, and the rest."""

    val: list[int]
    holdout: list[int]
    train: list[int]


class Spool:
    """Distinct documents on disk, read back by number: `text(i)`, `size(i)` in bytes, `digest(i)` (sha256)."""

    def __init__(self, path: Path, documents: Iterable[str], limit_bytes: int) -> None:
        """Writes `documents` to `path` until the next would pass `limit_bytes` (0: all); repeated ones are skipped."""
        self._ends, self._digests = array("q", [0]), bytearray()
        seen: set[bytes] = set()
        with path.open("wb") as file:
            for document in documents:
                text = document.encode("utf-8", "replace")  # a lone surrogate, from JSON, becomes a question mark
                digest = hashlib.sha256(text).digest()
                if not text or digest in seen:
                    continue
                if limit_bytes and self._ends[-1] + len(text) > limit_bytes:
                    break
                seen.add(digest)
                self._digests += digest
                file.write(text)
                self._ends.append(self._ends[-1] + len(text))
        self._file = path.open("rb")
        self._text = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) if len(self) else None

    def __len__(self) -> int:
        return len(self._ends) - 1

    @property
    def total_bytes(self) -> int:
        return self._ends[-1]

    def text(self, index: int) -> str:
        assert self._text is not None
        return self._text[self._ends[index] : self._ends[index + 1]].decode()

    def size(self, index: int) -> int:
        return self._ends[index + 1] - self._ends[index]

    def digest(self, index: int) -> bytes:
        return bytes(self._digests[32 * index : 32 * index + 32])

    def close(self) -> None:
        if self._text is not None:
            self._text.close()
        self._file.close()


def identity(experiment: Experiment) -> dict[str, str]:
    """What identifies the corpus's content: enough to tell two caches apart."""
    if experiment.data == "stdlib":
        return {"data": "stdlib", "python": f"{platform.python_implementation()} {platform.python_version()}"}
    path = local_path(experiment.data)
    if path is None:
        return {"data": HUB_NAMES.get(experiment.data, experiment.data), "column": experiment.text_column}
    kind = "folder" if path.is_dir() else path.suffix.lower()
    return {"data": kind, "content": content_sha(path), "column": experiment.text_column}


def documents(experiment: Experiment, cache_dir: Path) -> Iterator[str]:
    """The texts of the corpus, one at a time, in its own order; DataError where it cannot be read."""
    if experiment.data == "stdlib":
        return (text for _, text in _library_texts())
    path = local_path(experiment.data)
    if path is None:
        return _from_hub(experiment, cache_dir)
    if path.suffix.lower() == ".txt" and not path.is_dir():
        return text_documents(path)
    return _from_local_rows(path, experiment.text_column, cache_dir)


def library() -> Path:
    """Where the running Python's standard library lies."""
    return Path(sysconfig.get_path("stdlib"))


def lies_here(data: str) -> bool:
    """Whether every process of this machine could read the text of this corpus: then scored files are withheld."""
    return data == "stdlib"


def copies_in_library(digests: set[bytes]) -> list[str]:
    """Files of the standard library, relative to it, whose text has one of these sha256 digests."""
    return [name for name, text in _library_texts() if hashlib.sha256(text.encode()).digest() in digests]


def split(spool: Spool, eval_tokens: int) -> Pools:
    """Documents by split, in the order of seeded content hashes, so that no split depends on the corpus's order.

    A document of more than half a pool stays in train: one long file shall not be a whole validation set.
    """
    order = sorted(range(len(spool)), key=lambda i: hashlib.sha256(SPLIT_SEED + spool.digest(i)).digest())
    limit = pool_limit(spool.total_bytes, eval_tokens)
    val, rest = _take(spool, order, limit)
    holdout, train = _take(spool, rest, limit)
    return Pools(val, holdout, train)


def pool_limit(total_bytes: int, eval_tokens: int) -> int:
    """Bytes of each of validation and held-out, at most."""
    return min(eval_tokens * POOL_BYTES_PER_TOKEN, int(total_bytes * POOL_SHARE))


def cut(texts: Iterable[str], length: int) -> Iterator[str]:
    """The texts, cut into parts of at most `length` characters: at ends of lines, else at blanks, else anywhere."""
    for text in texts:
        begin = 0
        while len(text) - begin > length:
            ends = (text.rfind(sign, begin + length // 2, begin + length) + 1 for sign in "\n ")
            end = next((end for end in ends if end), begin + length)
            yield text[begin:end]
            begin = end
        yield text[begin:]


def _take(spool: Spool, order: list[int], limit: int) -> tuple[list[int], list[int]]:
    sizes = np.array([spool.size(index) for index in order], dtype=np.int64)
    taken, bytes_left = np.zeros(len(order), dtype=bool), limit
    for at in np.flatnonzero(sizes <= limit // 2).tolist():
        if sizes[at] <= bytes_left:
            taken[at] = True
            bytes_left -= int(sizes[at])
        if bytes_left < limit // 10:
            break
    numbers = np.array(order, dtype=np.int64)
    return numbers[taken].tolist(), numbers[~taken].tolist()


def _library_texts() -> Iterator[tuple[str, str]]:
    """Path within the library, and text."""
    for path in sorted(library().rglob("*.py")):
        name = path.relative_to(library())
        if LEFT_OUT.isdisjoint(name.parts):
            try:
                yield str(name), path.read_text(encoding="utf-8")
            except UnicodeDecodeError:  # a handful are in other encodings
                continue


def _from_hub(experiment: Experiment, cache_dir: Path) -> Iterator[str]:
    if experiment.data == "climbmix" and not experiment.corpus_mb:
        raise DataError("climbmix: corpus_mb is 0, which reads all of its terabytes; set corpus_mb, for example 500")
    name = HUB_NAMES.get(experiment.data, experiment.data)
    try:
        yield from _rows({"path": name}, name, experiment.text_column, cache_dir)
    except _unreadable() as error:
        raise DataError(
            f"{name}: cannot be read through `datasets` ({type(error).__name__}: {_reason(error)}); "
            "expected a hub data set that can be reached; check name and network, or use `data: stdlib`"
        ) from None


def _from_local_rows(path: Path, column: str, cache_dir: Path) -> Iterator[str]:
    suffix = path.suffix.lower()
    source = {"path": str(path)}
    if not path.is_dir():
        source = {"path": LOCAL_READERS[suffix], "data_files": str(path)}
    logger = logging.getLogger("datasets")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)  # it says a second time what is said here
    try:
        yield from _rows(source, str(path), column, cache_dir)
    except _unreadable() as error:
        raise DataError(
            f"{fault(path, column) or f'{path}: {_reason(error)}'}; expected a whole file of rows with text in "
            f"`{column}`; mend it, or make it again"
        ) from None
    finally:
        logger.setLevel(before)


def _rows(source: dict[str, str], name: str, column: str, cache_dir: Path) -> Iterator[str]:
    import datasets

    datasets.disable_progress_bars()
    try:
        rows = datasets.load_dataset(**source, split="train", streaming=True, cache_dir=str(cache_dir))
    except StopIteration:  # the file is empty
        return
    for number, row in enumerate(rows, 1):
        yield _column(row, f"{name}: row {number:,}", column)


def _unreadable() -> tuple[type[Exception], ...]:
    import datasets

    return (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _column(row: dict[str, Any], where: str, column: str) -> str:
    if column not in row:
        raise DataError(f"{where}: has no column `{column}`; expected one of {', '.join(row)}; set text_column")
    text = row[column]
    if not isinstance(text, str):
        seen = "nothing" if text is None else type(text).__name__
        raise DataError(f"{where}: column `{column}` holds {seen}; expected text; drop the row, or set text_column")
    return text
