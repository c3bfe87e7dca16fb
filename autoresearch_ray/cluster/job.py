"""A launch as a job of a cluster that is elsewhere: `python -m autoresearch_ray.launch ... --submit http://127.0.0.1:8265`.

The same command line runs on the cluster's head, in the folder and with the interpreter that its set-up names
(AUTORESEARCH_ROOT, AUTORESEARCH_PYTHON), and its lines are shown here. Ctrl-C leaves: the run goes on. The same command
again, with its --tag, joins it as long as it runs; `ray job stop` ends it cleanly. Runs stay on the cluster: nothing is
copied here.
"""

import asyncio
import logging
import os
import shlex
from collections.abc import Sequence
from typing import Any

from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.common.output import STDERR, STDOUT
from autoresearch_ray.common.paths import find_home
from autoresearch_ray.settings.request import default_tag

OPTION = "--submit"
STOP_SECONDS = 60  # that a stopped run has to give up its trials and write its files; Ray's own default is 3
ENTRYPOINT = 'cd "${AUTORESEARCH_ROOT:-.}" && exec "${AUTORESEARCH_PYTHON:-python3}" -m autoresearch_ray.launch '
INTERRUPTED = 130


def submit(address: str, arguments: Sequence[str], tag: str | None = None) -> int:
    """Run the launch with these arguments on the cluster of this dashboard and follow it to its end.

    Returns the launch's own exit status; 130 when it was left or stopped. SettingsError when nobody answers there.
    `arguments` may hold `--submit ADDRESS`, which is not passed on. A run of this tag that goes on is joined instead.
    """
    client = _client(address)
    tag = tag or default_tag()
    try:
        job = _running(client, tag)
        if job is None:
            job = _submit(client, tag, arguments)
            _say(f"run {tag} is job {job} of {address}")
        else:
            _say(f"run {tag} goes on as job {job} of {address}: following it, nothing was started")
    except (RuntimeError, ConnectionError) as error:
        raise SettingsError(f"{OPTION} {address}: {_line(error)}") from None
    try:
        asyncio.run(_follow(client, job))
    except KeyboardInterrupt:
        _say(_left(address, tag, job))
        return INTERRUPTED
    except (RuntimeError, OSError) as error:
        _say(f"the connection is gone ({_line(error)})\n{_left(address, tag, job)}")
        return INTERRUPTED
    return _status(client, job)


def without_option(arguments: Sequence[str]) -> list[str]:
    """The arguments without `--submit ADDRESS`."""
    kept, words = [], iter(arguments)
    for word in words:
        if word == OPTION:
            next(words, None)
        elif not word.startswith(f"{OPTION}="):
            kept.append(word)
    return kept


def _client(address: str) -> Any:
    home = find_home()
    if home is not None and (home / ".ray" / "auth_token").exists():
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # read when Ray is imported
    from ray.job_submission import JobSubmissionClient

    try:
        return JobSubmissionClient(address)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise SettingsError(
            f"{OPTION} {address}: no cluster's dashboard answers there ({_line(error)}); expected the tunnel that "
            "`ray dashboard cluster.yaml` opens, and the cluster's key in ~/.ray/auth_token"
        ) from None


def _running(client: Any, tag: str) -> str | None:
    """The job of this run that has not ended."""
    ours = [job for job in client.list_jobs() if _is_of(job.submission_id, tag)]
    return next((str(job.submission_id) for job in ours if not job.status.is_terminal()), None)


def _submit(client: Any, tag: str, arguments: Sequence[str]) -> str:
    words = without_option(arguments)
    if "--tag" not in words and not any(word.startswith("--tag=") for word in words):
        words += ["--tag", tag]
    earlier = sum(_is_of(job.submission_id, tag) for job in client.list_jobs())
    return str(
        client.submit_job(
            entrypoint=ENTRYPOINT + shlex.join(words),
            submission_id=f"autoresearch-{tag}-{earlier + 1}",
            metadata={"run": tag},
            runtime_env={"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS), "PYTHONUNBUFFERED": "1"}},
        )
    )


async def _follow(client: Any, job: str) -> None:
    logging.getLogger("ray").setLevel(logging.WARNING)  # it tells of every socket that it closes
    async for lines in client.tail_job_logs(job):
        STDOUT.write(lines)


def _status(client: Any, job: str) -> int:
    info = client.get_job_info(job)
    if info.status == "SUCCEEDED":
        return 0
    if info.status == "STOPPED":
        return INTERRUPTED
    if info.driver_exit_code is None:
        _say(f"error: job {job}: {_line(info.message)}")
    return int(info.driver_exit_code or 2)


def _left(address: str, tag: str, job: str) -> str:
    return (
        f"\nthe run goes on without you; join it again with\n"
        f"  python -m autoresearch_ray.launch --tag {tag} {OPTION} {address}\n"
        f"and stop it, everything saved, with\n"
        f"  ray job stop {job} --address {address}"
    )


def _is_of(submission_id: str | None, tag: str) -> bool:
    prefix, _, number = (submission_id or "").rpartition("-")
    return prefix == f"autoresearch-{tag}" and number.isdigit()


def _line(error: object) -> str:
    return " ".join(str(error).split())[:300]


def _say(text: str) -> None:
    STDERR.write(text + "\n")
