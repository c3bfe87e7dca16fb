"""A run and its place in a bucket, seen from a launch: what a new head takes from there, and who may write there.

    storage = storage_of("s3://bucket/prefix", "monday")
    restore(storage, Path("runs/monday"), print)         # the folder as the bucket has it
    manifest = claim(storage, settings, folder, revision)   # from here on no other head's upload counts

A folder continues only in the storage that it wrote last or was restored from. If another head has gone further there,
the folder is refused: uploading it would overwrite what that head did.
"""

import gzip
import hashlib
import io
import shutil
import time
import uuid
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from autoresearch_ray.archive.bucket import open_bucket
from autoresearch_ray.archive.manifest import Manifest, RunStorage
from autoresearch_ray.common.errors import SettingsError, StorageError
from autoresearch_ray.common.paths import (
    BEST_FOLDER,
    CALLS_FOLDER,
    KEPT_FILE,
    ORIGIN_FILE,
    SETTINGS_FILE,
    STORE_FILE,
    TRIALS_FOLDER,
    write_whole,
)
from autoresearch_ray.records.codec import from_json, to_json
from autoresearch_ray.settings.run_settings import SQLITE, RunTerms
from autoresearch_ray.store.driver_lease import release, this_process
from autoresearch_ray.store.history import read_finished
from autoresearch_ray.store.sqlite.store import SqliteStore

LOOKS = 5  # at a storage whose newest backup is replaced while it is fetched
AT_ONCE = 16  # files fetched
PARTS = (TRIALS_FOLDER, CALLS_FOLDER, BEST_FOLDER)  # folders of a run that are stored beside its store

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Origin:
    """A run folder's record of its storage."""

    writer: str  # the folder's own name there
    after: int = 0  # the manifest that it was restored from; 0 for none


def storage_of(url: str, tag: str) -> RunStorage:
    """The run's place below a normal URL. StorageError."""
    return RunStorage(open_bucket(url), tag)


def check_free(storage: RunStorage) -> None:
    """SettingsError when a run of this tag is there already, StorageError when that cannot be found out."""
    newest = storage.newest()
    if newest is not None and not newest.is_empty:
        raise SettingsError(
            f"--storage {storage.bucket.url}: holds run {storage.tag}; continue it with --resume --tag {storage.tag}, "
            "or choose another --tag"
        )


def check_ours(storage: RunStorage, run: RunTerms, folder: Path, revision: int) -> Manifest | None:
    """The manifest that this folder, whose store is at `revision`, may follow; SettingsError if it may not."""
    newest = storage.newest()
    reason = refusal(newest, origin_of(folder), run, revision)
    if newest is not None and reason:
        raise SettingsError(
            f"--storage {storage.url}: {reason}; {folder} does not go on there. Move the folder away and --resume "
            f"--tag {newest.tag} --storage ... again, or choose another --storage"
        )
    return newest


def refusal(newest: Manifest | None, origin: Origin, run: RunTerms, revision: int) -> str:
    """Why a folder may not follow the newest manifest; "" if it may."""
    if newest is None or newest.is_empty:
        return ""
    if newest.created_at != run.created_at:
        return f"holds another run of that tag, begun at {_time(newest.created_at)}"
    if newest.store != SQLITE or newest.number == origin.after:
        return ""
    if newest.writer != origin.writer:
        return f"{newest.holder} has gone on with the run, at {_time(newest.at)}"
    return f"its state is newer (revision {newest.revision}, here {revision})" if newest.revision > revision else ""


def claim(storage: RunStorage, run: RunTerms, folder: Path, revision: int) -> Manifest:
    """Take the next epoch, with all that is there already. SettingsError as `check_ours`, StorageError."""
    newest = check_ours(storage, run, folder, revision)
    if newest is not None:
        storage.keep(newest)
    manifest = storage.publish(
        Manifest(
            number=newest.number + 1 if newest else 1,
            epoch=newest.epoch + 1 if newest else 1,
            tag=storage.tag,
            created_at=run.created_at,
            launch=uuid.uuid4().hex,
            writer=_note(folder, origin_of(folder)).writer,
            holder=this_process(),
            at=time.time(),
            store=run.state,
            revision=newest.revision if newest else 0,
            state=newest.state if newest else "",
            state_sha=newest.state_sha if newest else "",
            lineage=newest.lineage if newest else "",
        )
    )
    if manifest is None:
        raise StorageError(f"{storage.url}: another head is writing there; stop that one, or use another --tag")
    return manifest


def restore(storage: RunStorage, folder: Path, say: Say, parts: Collection[str] = PARTS) -> bool:
    """Make the run's folder from the storage; False when there is nothing. StorageError, StoreError.

    `parts`, of `PARTS`, are the folders that come with the store. The store comes last: a folder without one is no
    run's, and is restored again. The lineage is made from the store.
    """
    for _ in range(LOOKS):
        newest = storage.newest()
        if newest is None or newest.is_empty:
            return False
        folder.mkdir(parents=True, exist_ok=True)
        backup = _fetch_backup(storage, newest, folder) if newest.store == SQLITE else None
        if backup is None and newest.store == SQLITE:
            continue  # replaced meanwhile
        _note(folder, Origin(uuid.uuid4().hex, newest.number))
        finished = read_finished(backup)[1] if backup is not None and TRIALS_FOLDER in parts else None
        count = _fetch_files(storage, newest.epoch, folder, finished, parts)
        _fetch_settings(storage, newest.epoch, folder)
        if backup is not None:
            backup.replace(folder / STORE_FILE)
            for beside in folder.glob(f"{backup.name}*"):  # files that its readers left
                beside.unlink()
        say(f"restored from {storage.url}: as of {_time(newest.at)}, {count} files of trials and calls")
        return True
    raise StorageError(f"{storage.url}: its backup is not what its manifest says; is somebody else writing there?")


def origin_of(folder: Path) -> Origin:
    """The folder's record of its storage; a new name when it was never stored."""
    try:
        return from_json(Origin, (folder / ORIGIN_FILE).read_text())
    except OSError:
        return Origin(uuid.uuid4().hex)


def _note(folder: Path, origin: Origin) -> Origin:
    write_whole(folder / ORIGIN_FILE, to_json(origin).encode())
    return origin


def _fetch_backup(storage: RunStorage, manifest: Manifest, folder: Path) -> Path | None:
    """The store's backup as a file that opens and has no driver; None when it is not the manifest's."""
    packed = storage.bucket.get(manifest.state)
    if packed is None or hashlib.sha256(packed).hexdigest() != manifest.state_sha:
        return None
    path = folder / f"{STORE_FILE}.restored"
    with gzip.open(io.BytesIO(packed)) as source, path.open("wb") as target:
        shutil.copyfileobj(source, target)
    with SqliteStore(path) as store:
        release(store)
    return path


def _fetch_files(
    storage: RunStorage, epoch: int, folder: Path, finished: set[str] | None, parts: Collection[str]
) -> int:
    """The files of finished trials (None: of all), of calls and of the best, as far as wanted; returns how many."""
    wanted: dict[str, str] = {}
    if TRIALS_FOLDER in parts:
        wanted |= {f"{TRIALS_FOLDER}/{path}": name for path, name in _trials(storage, epoch, finished)}
    if CALLS_FOLDER in parts:
        wanted |= {f"{CALLS_FOLDER}/{path}": name for path, name in storage.launches(CALLS_FOLDER, epoch).items()}
    if BEST_FOLDER in parts:
        there = storage.launches(BEST_FOLDER, epoch)
        whole = there.get(KEPT_FILE, "").removesuffix(KEPT_FILE)  # the latest launch that stored a whole model
        if whole:
            wanted |= {f"{BEST_FOLDER}/{name.removeprefix(whole)}": name for name in storage.bucket.names(whole)}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda item: _fetch(storage, item[1], folder / item[0]), wanted.items()))
    return len(wanted)


def _fetch_settings(storage: RunStorage, epoch: int, folder: Path) -> None:
    for number in range(epoch, 0, -1):
        if _fetch(storage, f"{storage.folder(number)}/{SETTINGS_FILE}", folder / SETTINGS_FILE):
            return


def _trials(storage: RunStorage, epoch: int, finished: set[str] | None) -> Iterable[tuple[str, str]]:
    for path, name in storage.launches(TRIALS_FOLDER, epoch).items():
        if finished is None or path.partition("/")[0] in finished:
            yield path, name


def _fetch(storage: RunStorage, name: str, path: Path) -> bool:
    assert ".." not in path.parts, path
    content = storage.bucket.get(name)
    if content is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return content is not None


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
