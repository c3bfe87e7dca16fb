"""What a Ray of our own needs of its machine: a folder for its files, and a token that shuts out other users.

Ray takes the first folder that is named, and the home folder for its token, without a look at either: a path that is
too long for its sockets, or that cannot be written, ends it with a traceback.
"""

import contextlib
import logging
import math
import os
import resource
import secrets
import tempfile
from pathlib import Path
from typing import Any

from autoresearch_ray.benchmark.sandbox.cgroup import OWN, limit, usable_cpus
from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.settings.run_settings import RequestedRun

NAMED = ("RAY_TMPDIR", "TMPDIR")  # Ray's own order
THREADS = 300  # of Ray's own processes on two cores; with one slot there were 450
LONGEST = 36  # of the folder: 107 bytes of a socket's path less session_DATE_TIME_PID/sockets/dash_UsageStatsHead
TOKEN, TOKEN_PATH = "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"  # Ray's

logger = logging.getLogger(__name__)


def check_threads(own: Path = OWN) -> None:
    """SettingsError where this container, or this user, may not have the processes and threads that Ray takes."""
    allowed = limit("pids", own)
    by_user = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    if os.geteuid() != 0 and by_user != resource.RLIM_INFINITY:
        allowed = min(allowed, by_user)
    if allowed < THREADS:
        raise SettingsError(
            f"{allowed:.0f} processes and threads are allowed here, Ray takes more than {THREADS} before the first "
            "trial; raise the container's limit (docker run --pids-limit) or the user's (ulimit -u)"
        )


def own_ray(run: RequestedRun) -> dict[str, Any]:
    """The options of `ray.init` for a Ray that this run starts here. SettingsError if it cannot have its files."""
    check_threads()
    if os.environ.get("RAY_AUTH_MODE", "token") == "token" and TOKEN not in os.environ:
        ensure_token()
    known = run.slots is not None and not run.measures_sharing
    cpus = max(1, math.ceil((run.slots or 0) * run.experiment.cpus_per_trial)) if known else usable_cpus()
    options: dict[str, Any] = {"num_cpus": cpus, "dashboard_host": "127.0.0.1", "_temp_dir": choose_folder()}
    if run.device == "cpu" and run.gpu_share > 0:
        options["num_gpus"] = run.slots  # logical ones, enough for any share
    return options


def choose_folder() -> str:
    """Where Ray keeps its files: as it would itself, or in /tmp where it could not. SettingsError if nowhere."""
    named = {name: os.path.join(os.environ[name], "ray") for name in NAMED if os.environ.get(name)}  # noqa: PTH118
    own = f"ray-{os.getuid()}"
    folders = [*named.items(), ("", "/tmp/ray"), ("", f"/tmp/{own}"), ("", f"/var/tmp/{own}")]
    refused: list[str] = []
    for name, folder in folders:
        reason = _refuse(folder)
        if not reason:
            if refused and refused[0].startswith(NAMED):
                logger.warning("%s; Ray keeps its files in %s", "; ".join(refused), folder)
            return folder
        refused.append(f"{name} {folder}: {reason}".lstrip())
    raise SettingsError(f"Ray has no place for its files: {'; '.join(refused)}; set RAY_TMPDIR to a folder with room")


def ensure_token() -> None:
    """Ray's token is in its file or, where that cannot be written, known to this run's processes alone."""
    try:
        _write_token(Path(os.environ.get(TOKEN_PATH) or Path.home() / ".ray" / "auth_token"))
    except (OSError, RuntimeError) as error:  # no home folder, or one that is read-only
        if os.environ.get(TOKEN_PATH):
            raise SettingsError(f"{TOKEN_PATH}: {error}; name a file that can be written") from None
        os.environ[TOKEN] = secrets.token_hex(32)


def _refuse(folder: str) -> str:
    """Why Ray cannot have its files there; "" if it can."""
    if len(os.fsencode(folder)) > LONGEST:
        return f"{len(os.fsencode(folder))} bytes, a path of Ray's sockets has room for {LONGEST}"
    if not Path(folder).is_absolute():
        return "not an absolute path"
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder):
            return ""
    except OSError as error:
        return f"cannot be written ({error.strerror})"


def _write_token(path: Path) -> None:
    if path.exists() and path.read_text().strip():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with contextlib.suppress(FileExistsError), path.open("x") as file:  # it exists: by another launch, just now
        path.chmod(0o600)
        file.write(secrets.token_hex(32))
