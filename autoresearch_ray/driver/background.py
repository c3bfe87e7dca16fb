"""A run in a process of its own, for notebooks: their cells stay free while it goes.

    run = autoresearch_ray.start(trials=24)       # says what the command line says, until the search begins
    shown = display(run, display_id=True)         # a notebook shows a run as its progress picture
    for trials in run.follow():
        shown.update(run)
    print(run)                                    # its summary, at any time
    run.stop()                                    # everything is saved
    run = autoresearch_ray.start(tag=run.tag, resume=True)

The process is the command line in a session of its own: neither a notebook's Stop button nor a restart of its kernel
ends it. What it prints is in `runs/TAG.log`.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.common.output import STDOUT
from autoresearch_ray.common.paths import shorten
from autoresearch_ray.driver.console import PAGE_WORDS
from autoresearch_ray.observe import headline
from autoresearch_ray.observe.lines import summary_lines
from autoresearch_ray.observe.pictures.progress import draw_progress
from autoresearch_ray.settings.request import Request, ask, default_tag, option_name
from autoresearch_ray.store.connect import read_run

ENDS_WELL = (0, 130)  # exit statuses: done, stopped
REST = 4.0  # pause between looks, in durations of a look: watching must not take the run's cores
READ_SECONDS = 0.2


@dataclass(frozen=True, eq=False)
class BackgroundRun:
    """A run that `start` has started."""

    run_dir: Path
    log: Path  # output of its launches
    process: "subprocess.Popen[Any]"

    @property
    def tag(self) -> str:
        """The run's name."""
        return self.run_dir.name

    @property
    def is_going(self) -> bool:
        """Whether its process is there."""
        return self.process.poll() is None

    def follow(self, every_seconds: float = 10.0) -> Iterator[int]:
        """The number of trials with a result: now, every so often, and for the last time when the run has ended.

        Ctrl-C, a notebook's Stop button, ends the following and not the run.
        """
        is_last = False
        while not is_last:
            is_last = not self.is_going
            begin = time.monotonic()
            yield headline.summarise(read_run(self.run_dir)).trials
            if not is_last:
                try:
                    self.process.wait(max(every_seconds, REST * (time.monotonic() - begin)))
                except subprocess.TimeoutExpired:
                    continue
                except KeyboardInterrupt:
                    return

    def stop(self) -> None:
        """Stop the run as Ctrl-C does, and wait until everything is saved. Without effect on one that has ended."""
        if self.is_going:
            self.process.send_signal(signal.SIGINT)
        self.process.wait()

    def __str__(self) -> str:
        """The run's summary as of now, and why it failed if it did."""
        lines = summary_lines(read_run(self.run_dir), shorten(self.run_dir))
        status = self.process.poll()
        failed = [f"failed       {_last_line(self.log)}; see {shorten(self.log)}"]
        return "\n".join(lines if status is None or status in ENDS_WELL else lines + failed)

    def __repr__(self) -> str:
        how = "going" if self.is_going else f"ended with status {self.process.returncode}"
        return f"<run {self.tag}, {how}>"

    def _repr_png_(self) -> bytes:
        return draw_progress(read_run(self.run_dir))


def start(*, keys: Mapping[str, str] | None = None, **options: Any) -> BackgroundRun:
    """Start a run, or with `resume` continue one, and return when its search has begun.

    `options` are the fields of `request.Request`, each as the command line takes it. `keys` are variables for that
    process alone, such as ANTHROPIC_API_KEY. Prints what the command line prints until then. Raises SettingsError with
    the line that the command line ends with, where it ends before the search.
    """
    options = options | {"tag": options.get("tag") or default_tag(), "plain": True}
    request = ask(**options)
    if request.submit is not None:
        raise SettingsError(f"submit {request.submit}: a job of a cluster is no run of this machine; expected none")
    folder = request.runs_dir / str(request.tag)
    log = folder.with_name(f"{folder.name}.log")
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            said = output.tell()
            process = subprocess.Popen(
                [sys.executable, "-m", "autoresearch_ray.launch", *as_arguments(options)],
                env=os.environ | {"PYTHONUNBUFFERED": "1"} | dict(keys or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except OSError as error:
        raise SettingsError(f"{log}: cannot be written ({error.strerror}); choose another runs_dir") from None
    run = BackgroundRun(folder, log, process)
    try:
        _tell_until_it_searches(run, said)
    except KeyboardInterrupt:
        run.stop()
        raise
    return run


def as_arguments(options: Mapping[str, Any]) -> list[str]:
    """The options as the command line takes them."""
    found = []
    for name, value in options.items():
        default = Request.model_fields[name].default
        if value is None or value is False:
            continue
        if name == "experiment":
            found.append(str(value))
        elif value is True:
            found.append(option_name(name))
        else:
            values = value if isinstance(default, tuple) else [value]
            found += [f"{option_name(name)}={one}" for one in values]
    return found


def _tell_until_it_searches(run: BackgroundRun, said: int) -> None:
    """Print what the process writes into its log from `said` on, until its search begins."""
    line = ""
    with run.log.open(encoding="utf-8", errors="replace") as log:
        log.seek(said)
        while not (line.startswith(PAGE_WORDS) and line.endswith("\n")):
            has_ended = not run.is_going  # asked before the read, so that the last output is read too
            read = log.readline()
            STDOUT.write(read)
            line = read if line.endswith("\n") else line + read  # a line may come in parts
            if not read and has_ended:
                raise SettingsError(_last_line(run.log).removeprefix("error: "))
            if not read:
                time.sleep(READ_SECONDS)


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"
