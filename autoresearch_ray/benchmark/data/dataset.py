"""The tokenized data set on disk: built once, verified when opened, rebuilt when damaged.

    AUTORESEARCH_HOME/datasets/<name>-<key>/
        train.bin val.bin holdout.bin   token rows, uint16, (rows, seq_len + 1)
        tokenizer.json token_bytes.npy
        withheld.json                   of `stdlib`: files of the library whose text is in val or holdout
        meta.json                       sizes, sha256 of every file, fingerprint; written last

The key is everything that determines the content. A builder holds a file lock, writes into a `.partial` folder beside
and renames it, so a folder that exists is whole; it may be shared by a cluster.
"""

import hashlib
import json
import logging
import os
import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import filelock
import numpy as np
import platformdirs
import tiktoken

from autoresearch_ray.benchmark.data.build import SPLITS, WITHHELD, Progress, build, fingerprint
from autoresearch_ray.benchmark.data.corpus import identity, library, lies_here
from autoresearch_ray.benchmark.data.local_files import sha256_of
from autoresearch_ray.benchmark.data.rows import SplitSize
from autoresearch_ray.benchmark.data.tokenizer import load_tokenizer
from autoresearch_ray.common.errors import DataError
from autoresearch_ray.settings.experiment import Experiment

FORMAT = 1  # raise when the layout or the split rule changes

Split = Literal["train", "val", "holdout"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dataset:
    """An opened data set. Reading is safe from any number of processes."""

    folder: Path
    name: str
    vocab_size: int
    seq_len: int
    fingerprint: str  # sha256, hex, of the texts' hashes, the files' hashes and the sizes
    train: SplitSize
    val: SplitSize
    holdout: SplitSize

    @property
    def bos(self) -> int:
        """The id of `<|bos|>`, the last of the vocabulary."""
        return self.vocab_size - 1

    @property
    def train_bytes_per_token(self) -> float:
        """Bytes of text a target of the train split: turns nats per token into bits per byte."""
        return self.train.bytes / self.train.tokens

    @property
    def token_bytes(self) -> np.ndarray:
        """Bytes of text by token: (vocab_size,) int32, 0 for `<|bos|>`."""
        array: np.ndarray = np.load(self.folder / "token_bytes.npy", allow_pickle=False)
        return array

    def rows(self, split: Split) -> np.ndarray:
        """The split's token rows, memory-mapped read-only: (rows, seq_len + 1) uint16."""
        size: SplitSize = getattr(self, split)
        shape = (size.rows, self.seq_len + 1)
        return np.memmap(self.folder / f"{split}.bin", dtype=np.uint16, mode="r", shape=shape)

    def list_withheld(self) -> list[Path]:
        """Files of this machine that hold text of the validation and held-out splits, as far as is known."""
        try:
            return [library() / name for name in json.loads((self.folder / WITHHELD).read_text())]
        except OSError:
            return []

    def encoding(self) -> tiktoken.Encoding:
        """The tokenizer."""
        return load_tokenizer(self.folder / "tokenizer.json")


def cache_home() -> Path:
    """Where data sets are kept, as an absolute path: AUTORESEARCH_HOME, else the user's cache folder.

    DataError for a user without a home folder.
    """
    home = os.environ.get("AUTORESEARCH_HOME")
    try:
        return (Path(home).expanduser() if home else Path(platformdirs.user_cache_dir("autoresearch_ray"))).absolute()
    except RuntimeError:
        raise DataError("this user has no home folder for the data; set AUTORESEARCH_HOME to a folder") from None


def prepare(experiment: Experiment, progress: Progress | None = None) -> Dataset:
    """The experiment's data set, built if it is not there or damaged; safe to call from many processes at once.

    `progress` is called with lines for a person. Raises DataError if the corpus cannot be read or is too small.
    """
    say = progress or (lambda line: None)
    spec = _spec(experiment)
    label, folder = _locate(experiment, spec)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _acquire(filelock.FileLock(folder.with_name(folder.name + ".lock")), folder, say):
            return _open_if_whole(folder, spec) or _build(experiment, spec, label, folder, say)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be written ({error.strerror or error}); set AUTORESEARCH_HOME to a folder with room"
        ) from None


def look_up(experiment: Experiment) -> Dataset | None:
    """The experiment's data set as it lies in the cache, unchecked; None if it is not there."""
    try:
        return open_dataset(_locate(experiment, _spec(experiment))[1], verify=False)
    except DataError:
        return None


def open_dataset(folder: Path, verify: bool = True) -> Dataset:
    """The data set in `folder`; with `verify` the hash of every file is checked. DataError if it is not whole."""
    try:
        meta = json.loads((folder / "meta.json").read_text())
        dataset = Dataset(
            folder=folder,
            name=meta["name"],
            vocab_size=meta["content"]["vocab_size"],
            seq_len=meta["content"]["seq_len"],
            fingerprint=meta["fingerprint"],
            **{name: SplitSize(**meta["content"]["splits"][name]) for name in SPLITS},
        )
        changed = _find_changes(folder, meta) if verify else []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder}: is not a whole data set ({type(error).__name__}: {error})") from None
    if changed:
        raise DataError(f"{folder}: {', '.join(changed)} changed since it was built")
    return dataset


def _find_changes(folder: Path, meta: dict[str, Any]) -> list[str]:
    hashes: dict[str, str] = meta["content"]["files"]
    changed = [name for name, sha in hashes.items() if sha256_of(folder / name) != sha]
    return changed + (["meta.json"] if fingerprint(meta["content"]) != meta["fingerprint"] else [])


def _locate(experiment: Experiment, spec: dict[str, str | int]) -> tuple[str, Path]:
    """The prefix of the data set's folder name, and the folder."""
    key = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:16]
    label = Path(experiment.data).stem if "content" in spec else experiment.data.replace("/", "--")
    return label, cache_home() / "datasets" / f"{label}-{key}"


def _spec(experiment: Experiment) -> dict[str, str | int]:
    sizes = experiment.model_dump(include={"corpus_mb", "seq_len", "vocab_size", "eval_tokens"})
    return {"format": FORMAT, **identity(experiment), **sizes}


def _acquire(lock: filelock.BaseFileLock, folder: Path, say: Progress) -> AbstractContextManager[object]:
    try:
        return lock.acquire(timeout=0)
    except filelock.Timeout:
        say(f"waiting for another process that builds {folder}")
        return lock.acquire()


def _open_if_whole(folder: Path, spec: dict[str, str | int]) -> Dataset | None:
    if not folder.exists() or (lies_here(str(spec["data"])) and not (folder / WITHHELD).exists()):
        return None
    try:
        return open_dataset(folder)
    except DataError as error:
        logger.warning("%s; building it again", error)
        return None


def _build(experiment: Experiment, spec: dict[str, str | int], label: str, folder: Path, say: Progress) -> Dataset:
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)  # left by a builder that was killed
    partial.mkdir()
    try:
        build(experiment, spec, label, partial, cache_home() / "hub", say)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return open_dataset(folder)
