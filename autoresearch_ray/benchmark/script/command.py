"""Which program a script's command starts, and what of this machine it may read.

`python` is the environment of the script's own folder (`.venv`), if it has one, else the one that runs this. Another
program is looked for as a shell would.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from autoresearch_ray.benchmark.sandbox.processes import ALLOWED_ENVIRONMENT
from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.settings.script_experiment import PYTHON, ScriptExperiment

PREFIXES = "import json, sys; print(json.dumps([sys.prefix, sys.base_prefix, sys.exec_prefix, sys.executable]))"
ASK_SECONDS = 60


def words_of(command: str, folder: str) -> list[str]:
    """The command's words, its program as a path. SettingsError if there is no such program."""
    program, *others = shlex.split(command)
    if PYTHON.fullmatch(program) and "/" not in program:
        own = Path(folder, ".venv", "bin", "python")
        return [str(own) if own.exists() else sys.executable, *others]
    if "/" in program and not program.startswith("/"):
        if not Path(folder, program).exists():
            raise SettingsError(
                f"command {command!r}: {Path(folder, program)} does not exist; expected a program there"
            )
        return [program, *others]  # run in the copy of the folder
    found = shutil.which(program)
    if found is None:
        raise SettingsError(f"command {command!r}: {program} is not found; expected a program of this machine's PATH")
    return [found, *others]


def list_shown_paths(experiment: ScriptExperiment) -> tuple[str, ...]:
    """Folders and files that the script or its judge may read besides what every trainer needs, where they are."""
    commands = [experiment.command, *filter(None, [experiment.judge])]
    programs = {words_of(command, experiment.folder)[0] for command in commands}
    foreign = [program for program in programs if PYTHON.fullmatch(program) and program != sys.executable]
    prefixes = [prefix for program in sorted(foreign) for prefix in _prefixes(program)]
    return tuple(dict.fromkeys([*experiment.data, *experiment.judge_data, *prefixes]))


@lru_cache
def _prefixes(python: str) -> tuple[str, ...]:
    """The folders of another Python and its packages. SettingsError if it does not start."""
    environment = {name: os.environ[name] for name in ALLOWED_ENVIRONMENT if name in os.environ}
    try:
        told = subprocess.run(
            [python, "-I", "-c", PREFIXES], env=environment, capture_output=True, timeout=ASK_SECONDS, check=True
        )
        found = [Path(path).resolve() for path in json.loads(told.stdout)]
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise SettingsError(f"{python}: does not start ({error}); expected the script's Python") from None
    return tuple(dict.fromkeys(str(path) for path in found if path != Path("/usr")))
