"""From a request to a run that can be had: everything that can be wrong with it is found here, before Ray starts.

A new run gets its folder when all that can be seen at once is right (`keep_folder`); a resumed one takes its settings
from the run's store.
"""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import ValidationError

from autoresearch_ray.archive.bucket import normal_url
from autoresearch_ray.archive.push import check_remote
from autoresearch_ray.archive.restore import check_free, check_ours, restore, storage_of
from autoresearch_ray.benchmark.data.dataset import prepare
from autoresearch_ray.benchmark.script.snapshot import find_snapshot, take
from autoresearch_ray.common.errors import SettingsError, StorageError
from autoresearch_ray.common.paths import PACKAGE, SETTINGS_FILE, STORE_FILE, TRIALS_FOLDER
from autoresearch_ray.driver.checkout.folder import experiment_of
from autoresearch_ray.driver.earlier_run import find_run, start_from
from autoresearch_ray.driver.new_run import find_experiment, new_run, ray_address
from autoresearch_ray.driver.resume import resume_run
from autoresearch_ray.driver.tools.tracking import check_tracker
from autoresearch_ray.settings.proposer_spec import NONE
from autoresearch_ray.settings.request import Request, default_tag
from autoresearch_ray.settings.run_settings import SQLITE, RequestedRun, RunSettings
from autoresearch_ray.settings.script_experiment import ScriptExperiment
from autoresearch_ray.store.connect import check_location, locate_store, read_stored_settings
from autoresearch_ray.store.history import read_finished

Say = Callable[[str], None]


def resolve(request: Request, say: Say) -> tuple[RequestedRun, Path]:
    """The run that was asked for, and its folder. SettingsError if it cannot be had."""
    if shutil.which("git") is None:
        raise SettingsError("git is not installed; the lineage of wins is kept in it, install git and launch again")
    if request.push_to is not None:
        check_remote(request.push_to)
    for tracker in request.log:
        check_tracker(tracker)
    url = _storage_url(request)
    if url and request.resume:
        _restore(request, url, say)
    folder, location = _run_folder(request)
    if request.init_only:
        raise SettingsError("--init-only: writes an experiment and runs nothing; it is an option of `launch` alone")
    if request.experiment is not None and request.experiment.is_dir():
        request = request.replace(experiment=experiment_of(request.experiment, say))
    if request.resume:
        run = resume_run(request, _read_stored(folder, location), url)
    else:
        if request.experiment is None:
            experiment = find_experiment()
            say(_experiment_words(experiment))
            request = request.replace(experiment=experiment)
        found = None if request.from_run is None else find_run(request.from_run)
        run = new_run(request, folder.name, location=location, storage=url or "", address=ray_address(request))
        run = run if found is None else start_from(found, run, say)
    if run.storage:
        _check_storage(run, folder, fresh=not request.resume)
    return run, folder


@contextlib.contextmanager
def keep_folder(folder: Path) -> Iterator[None]:
    """The run's folder is there; where a launch ends before its run has begun, what was made for it goes again."""
    made = [path for path in (folder / TRIALS_FOLDER, folder, *folder.parents) if not path.exists()]
    try:
        _make(folder)
        yield
    except BaseException:
        if made and not (folder / SETTINGS_FILE).exists():
            shutil.rmtree(folder if folder in made else made[0], ignore_errors=True)
            for parent in made[1:]:
                with contextlib.suppress(OSError):  # gone already, or used by another process
                    parent.rmdir()
        raise


def prepare_data(run: RequestedRun, say: Say) -> str:
    """The fingerprint of the run's data, which are in the cache then. SettingsError or DataError."""
    experiment = run.experiment
    if isinstance(experiment, ScriptExperiment):
        if run.dataset_fingerprint:
            return find_snapshot(experiment, run.dataset_fingerprint).fingerprint
        return take(experiment, say).fingerprint
    fingerprint = prepare(experiment, say).fingerprint
    if run.dataset_fingerprint not in ("", fingerprint):
        raise SettingsError(
            f"run {run.tag} is on data {run.dataset_fingerprint[:12]}, here is {fingerprint[:12]}; scores do not "
            "compare across data, start a new run with another --tag"
        )
    return fingerprint


def _experiment_words(path: Path) -> str:
    if not path.is_relative_to(PACKAGE):
        return f"experiment {path}, which fits this machine"
    return (
        f"experiment {path.name}, which ships and fits this machine; to edit it and program.md, write them here: "
        "python -m autoresearch_ray.init"
    )


def _storage_url(request: Request) -> str | None:
    """The URL for copies; "" to stop copying, None when nothing was said."""
    if request.storage in (None, NONE):
        return None if request.storage is None else ""
    return normal_url(request.storage)


def _restore(request: Request, url: str, say: Say) -> None:
    """Make the folder of a run that is not here from its storage, if it is there."""
    assert request.tag is not None, "checked: a resumed run has a tag"
    folder = request.runs_dir / request.tag
    if locate_store(folder) is not None:
        return
    storage = storage_of(url, request.tag)
    try:
        restored = restore(storage, folder, say)
    except OSError as error:
        raise SettingsError(f"{folder}: cannot be written ({error.strerror}); choose another --runs-dir") from None
    if not restored and request.state is None:
        raise SettingsError(f"{storage.url}: holds no run, nor does {folder}; check --storage, --tag and --runs-dir")


def _check_storage(run: RequestedRun, folder: Path, fresh: bool) -> None:
    storage = storage_of(run.storage, run.tag)
    if fresh:
        check_free(storage)
        return
    has_file = run.state == SQLITE
    try:
        check_ours(storage, run, folder, read_finished(folder / STORE_FILE)[0] if has_file else 0)
    except StorageError as error:
        raise SettingsError(f"{error}; --storage none goes on without it") from None


def _run_folder(request: Request) -> tuple[Path, str]:
    """The run's folder and where its store is."""
    tag = request.tag or default_tag()
    folder = request.runs_dir / tag
    here = locate_store(folder)
    location = request.state or here or SQLITE
    check_location(location)
    if here is not None and not request.resume:
        raise SettingsError(f"{folder} exists; continue it with --resume --tag {tag}, or choose another --tag")
    if here is not None and location != here:
        raise SettingsError(
            f"--state {location}: {folder} keeps its state in {here}; leave --state out or use a new --tag"
        )
    if (
        here is None
        and location != SQLITE
        and not request.resume
        and read_stored_settings(folder, location) is not None
    ):
        raise SettingsError(
            f"{location} holds run {tag}; continue it with --resume --tag {tag}, or choose another --tag"
        )
    if request.resume and here is None and location == SQLITE:
        raise SettingsError(f"{folder} holds no run; expected {STORE_FILE} there, check --tag and --runs-dir")
    return folder.resolve(), location


def _make(folder: Path) -> None:
    try:
        (folder / TRIALS_FOLDER).mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise SettingsError(f"{folder}: cannot be written ({error.strerror}); choose another --runs-dir") from None


def _read_stored(folder: Path, location: str) -> RunSettings:
    try:
        return RunSettings.model_validate_json(read_stored_settings(folder, location) or b"")
    except ValidationError:
        store = folder / STORE_FILE if location == SQLITE else f"{location}, run {folder.name}"
        raise SettingsError(f"{store}: holds no settings of this version; start a new run") from None
