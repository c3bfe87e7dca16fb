"""Everything of a run to its storage, beside the search: `--storage s3://bucket/prefix`.

A thread copies the store after every decision; decisions during an upload share the next one. It also copies the files
of each finished trial, the lineage as a git bundle, and, when they have changed, the run's readable files and the
best's kept model. No slot and no decision waits for it. A failure of the storage is reported once, retried ever more
seldom, and reported once more when it works. When another head has taken over the run, this launch is told to end.
"""

import gzip
import hashlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from autoresearch_ray.archive.manifest import Manifest, RunStorage
from autoresearch_ray.common.errors import LineageError, StorageError, StoreError
from autoresearch_ray.common.git_commands import Repository
from autoresearch_ray.common.paths import (
    BEST_FOLDER,
    CALLS_FOLDER,
    KEPT_FILE,
    KEPT_MODEL_FILES,
    LINEAGE,
    PICTURE_FILE,
    REPORT_FILE,
    RESULTS_FILE,
    SETTINGS_FILE,
    STORE_FILE,
    TABLE_FILE,
    TRIALS_FOLDER,
)
from autoresearch_ray.common.repeating import pause_after
from autoresearch_ray.records.decisions import Decision, Step
from autoresearch_ray.records.trials import Result, Trial
from autoresearch_ray.settings.run_settings import SQLITE
from autoresearch_ray.store.history import read_finished
from autoresearch_ray.store.sqlite import files

LOOK_SECONDS = 10.0  # interval for what changes without a decision: queue, program.md, models' costs, the report
PAUSE_SECONDS = 1.0  # least pause between uploads; a longer upload is followed by as long a pause
RETRY_SECONDS = (2.0, 60.0)  # pause after a failure: from the first, doubled, up to the second
TRIALS_A_ROUND = 100  # few, so that a run's first upload has its store there soon
AT_ONCE = 8  # files uploaded
READABLE = (SETTINGS_FILE, RESULTS_FILE, TABLE_FILE, REPORT_FILE, PICTURE_FILE)

Say = Callable[[str], None]
Listener = Callable[[Trial, Result, tuple[Decision, ...], tuple[Step, ...]], None]


class Uploads:
    """Stores one run from its folder."""

    def __init__(self, storage: RunStorage, claimed: Manifest, folder: Path, say: Say, finished: set[str]) -> None:
        """`finished`: the trials that have a result before this launch."""
        self._storage, self._last, self._folder, self._say = storage, claimed, folder, say
        self._ours, self._lineage = storage.folder(claimed.epoch), Repository(folder / LINEAGE)
        self._before, self._told = frozenset(finished), set(finished)
        self._stored: set[str] = set()  # trials and calls that are there
        self._seen: dict[str, tuple[int, int]] = {}  # size and time of the readable files when they were stored
        self._best: tuple[int, int] | None = None  # its record, as it was stored
        self._tips = ""
        self._attempts = 0
        self._failure = ""
        self._superseded = ""
        self._changed, self._ended = threading.Event(), threading.Event()

    def after(self, listener: Listener) -> Listener:
        """A listener of decisions that calls another one and stores what has changed."""

        def notify(trial: Trial, result: Result, decisions: tuple[Decision, ...], steps: tuple[Step, ...]) -> None:
            listener(trial, result, decisions, steps)
            self._told.add(trial.trial_id)
            self._changed.set()

        return notify

    def holds(self, commit: str) -> bool:
        """Whether a new head would know this tip of the lineage, so that others may see it."""
        return commit in self._tips

    @contextmanager
    def following(self, superseded: Callable[[], None]) -> Iterator[None]:
        """Stores until the end of `with`, and the last state at the end; `superseded` hears of another head."""
        thread = threading.Thread(target=self._follow, args=(superseded,), name="uploads", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            self._changed.set()
            thread.join()
            if not self._failure:
                self.upload()

    def finish(self) -> None:
        """Store what the end of the run has made, and say what could not be stored."""
        if not self.upload() and not self._superseded:
            self._say(
                f"not stored: {self._failure}. {self._folder} has everything; "
                f"--resume --tag {self._storage.tag} stores it when the storage works"
            )

    def upload(self) -> bool:
        """One round; whether the storage has everything as it was at the start of it."""
        if self._superseded:
            return False
        try:
            self._round()
        except (StorageError, StoreError, LineageError, OSError) as error:
            if not self._failure:
                self._say(f"{error}; trying again, the search goes on")
            self._failure = str(error)
            return False
        if self._failure:
            self._failure = ""
            self._say(f"{self._storage.url}: stores again, everything is there")
        return not self._superseded

    def _follow(self, superseded: Callable[[], None]) -> None:
        failures = 0
        self._changed.set()
        while not self._ended.is_set():
            self._changed.wait(LOOK_SECONDS)
            self._changed.clear()
            began = time.monotonic()
            stored = self.upload()
            if self._superseded:
                superseded()
                return
            failures = 0 if stored else failures + 1
            if failures:
                self._changed.set()
                self._ended.wait(pause_after(failures, RETRY_SECONDS))
            else:
                self._ended.wait(max(PAUSE_SECONDS, time.monotonic() - began))

    def _round(self) -> None:
        if not self._attempts:
            self._stored = self._list_stored()
        self._attempts += 1
        tips = self._lineage.run("for-each-ref", "--format=%(refname) %(objectname)")  # the store knows of all these
        manifest = self._with_backup(self._last)
        if tips not in ("", self._tips):
            manifest = self._with_lineage(manifest)
        calls = sorted(self._folder.glob(f"{CALLS_FOLDER}/*.json.gz"))
        self._put_all([path for path in calls if f"{CALLS_FOLDER}/{path.name}" not in self._stored])
        if manifest != self._last:
            self._publish(manifest, tips)
        if not self._superseded:
            present = [path for name in READABLE if (path := self._folder / name).exists()]
            self._put_all([path for path in present if self._seen.get(path.name) != _look(path)])
            self._put_best()

    def _put_best(self) -> None:
        """The best's trained model where it has changed, its record last; then no earlier launch's is left."""
        record = self._folder / BEST_FOLDER / KEPT_FILE
        if not record.exists() or _look(record) == self._best:
            return
        look, earlier = _look(record), self._launches(BEST_FOLDER)
        known = earlier.get(KEPT_FILE)
        if known is None or self._storage.bucket.get(known) != record.read_bytes():
            self._put_all([path for path in sorted(record.parent.iterdir()) if path != record])
            self._put(record)
            self._storage.bucket.delete(list(earlier.values()))
        self._best = look

    def _publish(self, manifest: Manifest, tips: str) -> None:
        published = self._storage.publish(replace(manifest, number=self._last.number + 1, at=time.time()))
        if published is None:
            self._superseded = self._words()
            self._say(self._superseded)
        else:
            self._last, self._tips = published, tips

    def _list_stored(self) -> set[str]:
        """Finished trials and calls that earlier launches have stored."""
        trials = {path.partition("/")[0] for path in self._launches(TRIALS_FOLDER)} & self._before
        calls = self._launches(CALLS_FOLDER)
        return {f"{TRIALS_FOLDER}/{trial}" for trial in trials} | {f"{CALLS_FOLDER}/{path}" for path in calls}

    def _launches(self, part: str) -> dict[str, str]:
        return self._storage.launches(part, self._last.epoch - 1)

    def _with_backup(self, manifest: Manifest) -> Manifest:
        """The manifest with the store as it is now, and the files of the trials that it knows as finished."""
        if manifest.store != SQLITE:
            self._put_trials(set(self._told))
            return manifest
        if read_finished(self._folder / STORE_FILE)[0] == manifest.revision:
            return manifest
        copy, packed = self._folder / ".backup.db", self._folder / ".backup.db.gz"
        try:
            files.copy(self._folder / STORE_FILE, copy)
            revision, finished = read_finished(copy)
            self._put_trials(finished)
            with copy.open("rb") as source, gzip.open(packed, "wb", compresslevel=1) as target:
                shutil.copyfileobj(source, target)
            with packed.open("rb") as file:
                sha = hashlib.file_digest(file, "sha256").hexdigest()
            name = f"{self._ours}/backup/{self._attempts:06d}.db.gz"
            self._storage.bucket.put(name, packed)
        finally:
            for path in self._folder.glob(f"{copy.name}*"):
                path.unlink()
        return replace(manifest, revision=revision, state=name, state_sha=sha)

    def _with_lineage(self, manifest: Manifest) -> Manifest:
        """The manifest with the lineage as it is now."""
        bundle, name = self._folder / ".lineage.bundle", f"{self._ours}/backup/{self._attempts:06d}.bundle"
        try:
            self._lineage.run("bundle", "create", "--quiet", str(bundle), "--all")
            self._storage.bucket.put(name, bundle)
        finally:
            bundle.unlink(missing_ok=True)
        return replace(manifest, lineage=name)

    def _put_trials(self, finished: set[str]) -> None:
        missing = sorted(finished - {name.removeprefix(f"{TRIALS_FOLDER}/") for name in self._stored})
        chosen = missing[:TRIALS_A_ROUND]
        folders = [self._folder / TRIALS_FOLDER / trial for trial in chosen]
        self._put_all([path for folder in folders for path in sorted(folder.glob("*")) if _is_stored(path)])
        self._stored |= {f"{TRIALS_FOLDER}/{trial}" for trial in chosen}
        if len(missing) > len(chosen):
            self._changed.set()

    def _put_all(self, paths: list[Path]) -> None:
        """Store files under their names in the run's folder."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            puts = [pool.submit(self._put, path) for path in paths]
            try:
                for put in puts:
                    put.result()
            except (StorageError, OSError):
                pool.shutdown(cancel_futures=True)  # the others would wait as long and fail the same way
                raise

    def _put(self, path: Path) -> None:
        look, name = _look(path), path.relative_to(self._folder).as_posix()
        self._storage.bucket.put(f"{self._ours}/{name}", path)
        if name in READABLE:
            self._seen[name] = look
        elif name.startswith(f"{CALLS_FOLDER}/"):
            self._stored.add(name)

    def _words(self) -> str:
        newest = self._storage.newest()
        who = newest.holder if newest is not None else "somebody"
        return f"{who} has taken the run over at {self._storage.url}: this launch ends and stores nothing more"


def _is_stored(path: Path) -> bool:
    """Whether a trial's file is stored: a model that waits for a proof is not, a best's is stored with the best."""
    waits = any(name in path.name for name in KEPT_MODEL_FILES)
    return path.is_file() and not waits


def _look(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size
