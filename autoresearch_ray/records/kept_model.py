"""The trained model of a run's best, as its folder `best/` holds it: what is there, and whether it is what was kept.

    model.pt        the weights: name -> tensor, which `torch.load(weights_only=True)` reads
    skeleton.pt     the rest of the model, a pickle of the candidate's code: for processes behind walls alone
    train.py        the candidate's text
    tokenizer.json  of the run's data
    best.json       a `KeptModel`: whose model it is, and the hash of each file; written last

The folder is made beside its place and renamed, so it is whole or not there. No torch.
"""

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal, get_args

from autoresearch_ray.common.errors import RecordError, WeightsError
from autoresearch_ray.common.paths import (
    BEST_FOLDER,
    CANDIDATE_FILE,
    KEPT_FILE,
    SKELETON_FILE,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
    write_whole,
)
from autoresearch_ray.records.codec import from_json, to_json
from autoresearch_ray.records.trials import Isolation

FILES = (WEIGHTS_FILE, SKELETON_FILE, CANDIDATE_FILE, TOKENIZER_FILE)
PARTIAL, OLD = f".{BEST_FOLDER}.partial", f".{BEST_FOLDER}.old"
CHUNK = 1 << 20

Device = Literal["cpu", "cuda"]
Amp = Literal["auto", "none", "fp16", "bf16"]


@dataclass(frozen=True, slots=True)
class KeptFile:
    """One file as it was kept."""

    sha256: str  # hex
    bytes: int


@dataclass(frozen=True, slots=True)
class KeptModel:
    """Whose trained model it is, what it runs on, and its files by name."""

    tag: str
    source_sha: str  # of the candidate
    step: int  # the win, as the lineage counts its steps
    commit: str  # of the win; "" if git had not made it by then
    trial_id: str  # the run of the candidate that trained it
    seed: int
    val_bpb: float  # that this very model scored
    vocab_size: int
    seq_len: int  # tokens that it sees at once
    device: Device  # that it was trained on
    amp: Amp
    threads: int
    isolation: Isolation
    torch: str  # its version
    files: dict[str, KeptFile]

    def __post_init__(self) -> None:
        """What is read from a file may say anything; from_json makes a RecordError of this."""
        for number in (self.vocab_size, self.seq_len, self.threads):
            assert isinstance(number, int) and number > 0, number
        assert self.device in get_args(Device) and self.amp in get_args(Amp), (self.device, self.amp)
        assert self.isolation in get_args(Isolation), self.isolation

    @property
    def megabytes(self) -> float:
        """Of all files together."""
        return sum(file.bytes for file in self.files.values()) / 1e6


def describe_file(path: Path) -> KeptFile:
    """Hash and size of a file as it is now."""
    with path.open("rb") as file:
        return KeptFile(hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size)


def read_kept(run_dir: Path) -> KeptModel | None:
    """What a run's folder says of its kept model; None without one. WeightsError if that cannot be read."""
    path = run_dir / BEST_FOLDER / KEPT_FILE
    try:
        kept = from_json(KeptModel, path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError, RecordError) as error:
        raise WeightsError(f"{path}: cannot be read ({error}); expected what --keep-weights best wrote") from None
    if set(kept.files) != set(FILES):
        raise WeightsError(f"{path}: names {', '.join(sorted(kept.files))}; expected {', '.join(sorted(FILES))}")
    return kept


def look_at_kept(run_dir: Path) -> KeptModel | None:
    """The same for what only shows it: None too where it cannot be read."""
    try:
        return read_kept(run_dir)
    except WeightsError:
        return None


def open_kept(run_dir: Path, kept: KeptModel, name: str) -> BinaryIO:
    """A file of it, open at its beginning and checked against its hash. WeightsError if it is not what was kept."""
    path, expected = run_dir / BEST_FOLDER / name, kept.files[name]
    try:
        file = path.open("rb")
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}); expected what was kept") from None
    found, count = hashlib.sha256(), 0
    while chunk := file.read(CHUNK):
        found.update(chunk)
        count += len(chunk)
    if found.hexdigest() != expected.sha256:
        file.close()
        size = f"{count:,} bytes of {expected.bytes:,}" if count != expected.bytes else "other bytes"
        raise WeightsError(
            f"{path}: is not what was kept ({size}, sha256 {found.hexdigest()[:12]}, expected {expected.sha256[:12]}); "
            "do not use it: restore it from a copy, or remove the folder and resume the run with --keep-weights best"
        )
    file.seek(0)
    return file


def is_whole(run_dir: Path, kept: KeptModel) -> bool:
    """Whether all files are what was kept."""
    try:
        for name in FILES:
            open_kept(run_dir, kept, name).close()
    except WeightsError:
        return False
    return True


def install(run_dir: Path, kept: KeptModel, moved: Mapping[str, Path], written: Mapping[str, bytes]) -> KeptModel:
    """Make the folder of these files, in the place of an earlier one: some are moved there, others written.

    The record as it is kept, with the files' hashes. OSError.
    """
    partial, old, best = (run_dir / name for name in (PARTIAL, OLD, BEST_FOLDER))
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for name, content in written.items():
        (partial / name).write_bytes(content)
    for name, path in moved.items():
        path.replace(partial / name)
    kept = replace(kept, files={name: describe_file(partial / name) for name in FILES})
    write_whole(partial / KEPT_FILE, to_json(kept).encode())
    shutil.rmtree(old, ignore_errors=True)
    if best.exists():
        best.rename(old)
    partial.rename(best)
    shutil.rmtree(old, ignore_errors=True)
    return kept


def finish_install(run_dir: Path) -> None:
    """Finish what a killed driver was about to install, if it was whole, and remove what is left of it."""
    partial, old, best = (run_dir / name for name in (PARTIAL, OLD, BEST_FOLDER))
    if (partial / KEPT_FILE).exists():
        if best.exists():
            shutil.rmtree(old, ignore_errors=True)
            best.rename(old)
        partial.rename(best)
    elif old.exists() and not best.exists():
        old.rename(best)
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(partial, ignore_errors=True)
