"""Where the past of a run is read from: its folder, or a storage that has a copy of it.

    with open_run("s3://bucket/monday") as folder:      # or gs://, file:///, a mounted storage's folder, runs/monday
        history = read_run(folder)

What is stored elsewhere is fetched into a temporary folder, which goes at the end of `with`.
"""

import re
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import filelock

from autoresearch_ray.archive.bucket import normal_url
from autoresearch_ray.archive.restore import restore, storage_of
from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.common.paths import LOCK_FILE, TABLE_FILE
from autoresearch_ray.store.connect import locate_store

MANIFESTS = "manifests"  # a folder of every run in a storage
EXPECTED = "expected a run's folder such as runs/TAG, or STORAGE_URL/TAG"


@contextmanager
def open_run(said: str, option: str = "source", parts: Collection[str] = ()) -> Iterator[Path]:
    """The folder of the run that is named so; of a stored one the store, the settings and these `parts` are there.

    `option` is where a person named it. SettingsError where there is no run, StorageError, StoreError.
    """
    try:
        found = _find(said, option)
    except (OSError, RuntimeError) as error:  # a name that is too long, a folder that may not be read, no home
        raise SettingsError(f"{option} {said}: cannot be read ({error}); {EXPECTED}") from None
    if isinstance(found, Path):
        yield found
        return
    url, tag = found
    with tempfile.TemporaryDirectory(prefix="autoresearch-earlier-") as scratch:
        folder = Path(scratch) / tag
        if not restore(storage_of(url, tag), folder, lambda line: None, parts) or locate_store(folder) is None:
            raise SettingsError(f"{option} {said}: holds no run; {EXPECTED}")
        yield folder


def is_running(run_dir: Path) -> bool:
    """Whether a launch drives this run now."""
    lock = filelock.FileLock(run_dir / LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return True
    lock.release()
    return False


def _find(said: str, option: str) -> Path | tuple[str, str]:
    """The run's folder, or the URL of its storage and its tag there."""
    local = Path(unquote(urlsplit(said).path)) if said.startswith("file:") else Path(said).expanduser()
    if locate_store(local) is not None or (local / TABLE_FILE).is_file():
        return local
    if re.match(r"\w+:", said) and not said.startswith("file:"):
        base, _, tag = said.rpartition("/")
        return normal_url(base, option), tag
    if (local / MANIFESTS).is_dir():
        return local.resolve().parent.as_uri(), local.resolve().name
    raise SettingsError(f"{option} {said}: {'holds no run' if local.exists() else 'does not exist'}; {EXPECTED}")
