"""A script's folder as it was when its run began: one tar file in the cache, under the hash of what is in it.

Every trial of a run gets the same files, whatever becomes of the folder meanwhile, and other nodes get a copy of the
tar. What is not copied: version control, environments, caches (ours too), `runs/`, and what `data:` names. A symbolic
link is kept as one if it stays within the folder.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import filelock

from autoresearch_ray.benchmark.data.build import Progress
from autoresearch_ray.benchmark.data.dataset import cache_home
from autoresearch_ray.benchmark.data.local_files import sha256_of
from autoresearch_ray.common.errors import DataError
from autoresearch_ray.common.paths import write_whole
from autoresearch_ray.settings.script_experiment import ScriptExperiment

LEFT_OUT = {".git", ".hg", ".svn", ".venv", "venv", "__pycache__", "node_modules", "runs", ".tox", ".nox"}
LEFT_OUT_ENDINGS = ("_cache", ".pyc", ".egg-info")
MOST_BYTES, MOST_FILES = 64 << 20, 10_000  # limits for the files that every trial gets
SCRIPTS, TAR_FILE, META_FILE = "scripts", "script.tar", "meta.json"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The tar and the hashes of its files."""

    folder: Path
    fingerprint: str  # hash of the files that are not editable, and of how they are run
    hashes: tuple[tuple[str, str], ...]  # (path, sha256) of every regular file, in the order of paths

    @property
    def tar(self) -> Path:
        """The files, at their paths."""
        return self.folder / TAR_FILE


def take(experiment: ScriptExperiment, say: Progress | None = None) -> Snapshot:
    """The snapshot of an experiment's folder as it is now; safe to call from many processes. DataError."""
    root = Path(experiment.folder)
    try:
        apart = {Path(path) for path in (*experiment.data, *experiment.judge_data)} | {cache_home().resolve()}
        paths = sorted(_list_files(root, apart))
        size = sum(path.lstat().st_size for path in paths)
    except OSError as error:
        raise _unreadable(error, root) from None
    if size > MOST_BYTES or len(paths) > MOST_FILES:
        largest = max(paths, key=lambda path: path.lstat().st_size)
        raise DataError(
            f"{root}: holds {len(paths)} files of {size / 1e6:,.0f} MB, the largest {largest.relative_to(root)}; every "
            f"trial gets a copy, of at most {MOST_FILES:,} files and {MOST_BYTES >> 20} MB: name what is only read "
            "under `data:`, and take the rest out of the folder"
        )
    try:
        files = [path for path in paths if path.is_file() and not path.is_symlink()]
        hashes = {str(path.relative_to(root)): sha256_of(path) for path in files}
    except OSError as error:
        raise _unreadable(error, root) from None
    fingerprint = fingerprint_of(experiment, hashes)
    name = f"{root.name or 'script'}-{_sha(json.dumps([fingerprint, hashes]))[:16]}"
    folder = cache_home() / SCRIPTS / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder.with_name(f"{name}.lock")):
            if not (folder / META_FILE).exists():
                if say:
                    say(f"taking a snapshot of {root}: {len(paths)} files, {size / 1e6:.1f} MB")
                write_whole(folder / TAR_FILE, _pack(root, paths))
                meta = {"fingerprint": fingerprint, "hashes": hashes, "tar": sha256_of(folder / TAR_FILE)}
                write_whole(folder / META_FILE, json.dumps(meta, indent=1).encode())
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be written ({error.strerror or error}); set AUTORESEARCH_HOME to a folder with room"
        ) from None
    return open_snapshot(folder)


def find_snapshot(experiment: ScriptExperiment, fingerprint: str) -> Snapshot:
    """The snapshot with this fingerprint: of the folder as it is, or one that was taken before. DataError."""
    try:
        snapshot = take(experiment)
        if snapshot.fingerprint == fingerprint:
            return snapshot
        seen = f"{experiment.folder} has changed since the run began"
    except DataError as error:
        seen = str(error)
    name = Path(experiment.folder).name or "script"
    for folder in sorted((cache_home() / SCRIPTS).glob(f"{name}-*")):
        if (folder / META_FILE).exists() and (found := open_snapshot(folder)).fingerprint == fingerprint:
            return found
    raise DataError(
        f"{seen}, and the files that it began with are not in the cache; scores do not compare: put the folder back as "
        "it was, or start a new run with another --tag"
    )


def open_snapshot(folder: Path, verify: bool = True) -> Snapshot:
    """The snapshot in a folder; with `verify` the hash of its tar is checked. DataError if it is not whole."""
    try:
        meta = json.loads((folder / META_FILE).read_text())
        if verify and sha256_of(folder / TAR_FILE) != meta["tar"]:
            raise ValueError(f"{TAR_FILE} changed since it was written")
        return Snapshot(folder, meta["fingerprint"], tuple(sorted(meta["hashes"].items())))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder}: is not a whole snapshot ({error}); delete it, and launch again") from None


def fingerprint_of(experiment: ScriptExperiment, hashes: dict[str, str]) -> str:
    """A hash of what scores depend on besides the candidate: all other files, the command and the judge."""
    others = {path: sha for path, sha in hashes.items() if path not in experiment.editable}
    asked = experiment.model_dump(
        include={"command", "metric", "pattern", "result_file", "take", "direction", "holdout"}
    )
    asked |= experiment.model_dump(include={"judge", "environment", "limits", "seed", "artefacts"})
    return _sha(json.dumps([others, asked], sort_keys=True, default=str))


def _list_files(root: Path, apart: set[Path]) -> Iterator[Path]:
    """The files of a folder that go along, and the folders that are empty without what stays."""
    for path in root.iterdir():
        if path.name in LEFT_OUT or path.name.endswith(LEFT_OUT_ENDINGS) or path.resolve() in apart:
            continue
        if path.is_symlink():
            if path.resolve().is_relative_to(root.resolve()):
                yield path
        elif path.is_dir():
            yield from list(_list_files(path, apart)) or [path]
        elif path.is_file():
            yield path


def _pack(root: Path, paths: list[Path]) -> bytes:
    """A tar of files; equal files give equal bytes: no times, no owners."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in paths:
            entry = tar.gettarinfo(str(path), arcname=str(path.relative_to(root)))
            entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = 0, 0, 0, "", ""
            entry.mode = 0o755 if entry.mode & 0o100 else 0o644
            if entry.isreg():
                with path.open("rb") as file:
                    tar.addfile(entry, file)
            else:
                tar.addfile(entry)
    return buffer.getvalue()


def _unreadable(error: OSError, root: Path) -> DataError:
    return DataError(
        f"{error.filename or root}: cannot be read ({error.strerror}); every trial gets a copy of this folder: make it "
        "readable, take it out, or name it under `data:`"
    )


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
