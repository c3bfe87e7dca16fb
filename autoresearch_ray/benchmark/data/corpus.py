"""The documents of an experiment's corpus, and which split each belongs to.

`data:` is `stdlib` (the source of the running Python's standard library, tests left out, one document a file),
`tinystories`, `climbmix` or another name on the `datasets` hub, or a local .txt, .jsonl or .parquet file. A corpus
that cannot be read is a DataError; no other is put in its place. `datasets` is imported only where it is needed.
Tokens and rows are not made here, see `dataset.py`.
"""

import hashlib
import mmap
import platform
import sysconfig
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autoresearch_ray.errors import DataError
from autoresearch_ray.experiment import Experiment

HUB_NAMES = {"tinystories": "roneneldan/TinyStories", "climbmix": "karpathy/climbmix-400b-shuffle"}
LOCAL_READERS = {".jsonl": "json", ".parquet": "parquet"}  # suffix -> builder of `datasets`
SEPARATOR = "<|endoftext|>"  # a line of its own between the documents of a .txt file
SPLIT_SEED = b"autoresearch_ray splits 1"
POOL_BYTES_PER_TOKEN = 8  # reserved for each scored token; BPE of 2,048 to 65,536 tokens gives 3 to 5
POOL_SHARE = 0.2  # of the corpus, at most, for each of validation and held-out
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
    """What names the corpus's content: enough to tell two caches apart."""
    if experiment.data == "stdlib":
        return {"data": "stdlib", "python": f"{platform.python_implementation()} {platform.python_version()}"}
    path = _local(experiment)
    if path is None:
        return {"data": HUB_NAMES.get(experiment.data, experiment.data), "column": experiment.text_column}
    try:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); expected a text file to train on") from None
    return {"data": path.suffix, "content": content, "column": experiment.text_column}


def documents(experiment: Experiment, cache_dir: Path) -> Iterator[str]:
    """The texts of the corpus, one at a time, in its own order; DataError where it cannot be read."""
    path = _local(experiment)
    if experiment.data == "stdlib":
        return _standard_library()
    if path is None:
        return _from_hub(experiment, cache_dir)
    if path.suffix == ".txt":
        return _from_text(path)
    source = {"path": LOCAL_READERS[path.suffix], "data_files": str(path)}
    return _from_datasets(source, str(path), experiment.text_column, cache_dir)


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
    limit = min(eval_tokens * POOL_BYTES_PER_TOKEN, int(spool.total_bytes * POOL_SHARE))
    val, rest = _take(spool, order, limit)
    holdout, train = _take(spool, rest, limit)
    return Pools(val, holdout, train)


def _take(spool: Spool, order: list[int], limit: int) -> tuple[list[int], list[int]]:
    sizes = np.array([spool.size(index) for index in order], dtype=np.int64)
    taken, room = np.zeros(len(order), dtype=bool), limit
    for at in np.flatnonzero(sizes <= limit // 2).tolist():
        if sizes[at] <= room:
            taken[at] = True
            room -= int(sizes[at])
        if room < limit // 10:
            break
    numbers = np.array(order, dtype=np.int64)
    return numbers[taken].tolist(), numbers[~taken].tolist()


def _local(experiment: Experiment) -> Path | None:
    path = Path(experiment.data)
    return path if path.suffix in {".txt", *LOCAL_READERS} else None


def _standard_library() -> Iterator[str]:
    return (text for _, text in _library_texts())


def _library_texts() -> Iterator[tuple[str, str]]:
    """Path within the library, and text."""
    for path in sorted(library().rglob("*.py")):
        name = path.relative_to(library())
        if LEFT_OUT.isdisjoint(name.parts):
            try:
                yield str(name), path.read_text(encoding="utf-8")
            except UnicodeDecodeError:  # a handful are in other encodings
                continue


def _from_text(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        try:
            marked = any(line.strip() == SEPARATOR for line in file)
            file.seek(0)
            lines: list[str] = []
            for line in file:
                if line.strip() == (SEPARATOR if marked else ""):
                    yield "".join(lines).strip("\n")
                    lines = []
                else:
                    lines.append(line)
            yield "".join(lines).strip("\n")
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: byte {error.start} is not UTF-8; expected UTF-8 text, convert the file") from None


def _from_hub(experiment: Experiment, cache_dir: Path) -> Iterator[str]:
    if experiment.data == "climbmix" and not experiment.corpus_mb:
        raise DataError("climbmix: corpus_mb is 0, which reads all of its terabytes; set corpus_mb, for example 500")
    name = HUB_NAMES.get(experiment.data, experiment.data)
    return _from_datasets({"path": name}, name, experiment.text_column, cache_dir)


def _from_datasets(source: dict[str, str], name: str, column: str, cache_dir: Path) -> Iterator[str]:
    import datasets

    unreadable = (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError)
    datasets.disable_progress_bars()
    try:
        rows = datasets.load_dataset(**source, split="train", streaming=True, cache_dir=str(cache_dir))
        for row in rows:
            yield _column(row, name, column)
    except unreadable as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(
            f"{name}: cannot be read through `datasets` ({type(error).__name__}: {reason}); "
            "expected a reachable hub data set or a sound local file; check name and network, or use `data: stdlib`"
        ) from None


def _column(row: dict[str, Any], name: str, column: str) -> str:
    if column not in row:
        raise DataError(f"{name}: has no column `{column}`; expected one of {', '.join(row)}; set text_column")
    text = row[column]
    if not isinstance(text, str):
        raise DataError(f"{name}: column `{column}` holds {type(text).__name__}; expected text; set text_column")
    return text
