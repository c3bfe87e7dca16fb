"""git, as a run uses it: the lineage by a configuration of its own, a push by the user's.

Within a hook, or with GIT_DIR set, git's variables name another repository. None of them reaches a run's git. The
lineage's hashes and files must be the same everywhere, so neither do the user's settings, templates, hooks and filters.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import git

from autoresearch_ray.common.errors import LineageError

INSTALLATION = "GIT_EXEC_PATH"  # where git's own programs lie
OF_A_REPOSITORY = (  # git's variables that name or change one repository: `git rev-parse --local-env-vars`, and a few
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_IMPLICIT_WORK_TREE"),
    *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH", "GIT_NAMESPACE"),
    *("GIT_GRAFT_FILE", "GIT_SHALLOW_FILE", "GIT_NO_REPLACE_OBJECTS", "GIT_REPLACE_REF_BASE", "GIT_ATTR_SOURCE"),
    *("GIT_INTERNAL_SUPER_PREFIX", "GIT_DEFAULT_HASH", "GIT_TEMPLATE_DIR"),
)
NO_SETTINGS = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_ATTR_NOSYSTEM": "1"}
# Also against what an older version took over from a template.
SETTINGS = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "i18n.commitEncoding=UTF-8")


class Repository:
    """The repository of a lineage, in `folder`. Its owner does not matter: whoever can write there may."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._own_variables = {"GIT_DIR": f"{self._folder}/.git", "GIT_WORK_TREE": str(self._folder)}

    def create(self, branch: str) -> None:
        """Make it, with `branch` to be the first, or do nothing to the one that is there. LineageError."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LineageError(
                f"{self._folder}: cannot be made ({error.strerror}); expected a folder for git"
            ) from None
        is_new = not (self._folder / ".git").exists()
        kind = ["--object-format=sha1"] if is_new else []  # what an older version made stays as it is
        self._execute(["init", "--quiet", "--template=", f"--initial-branch={branch}", *kind], {})

    def unlock(self) -> None:
        """Take away the locks of a git that was killed. For the only writer alone. LineageError."""
        try:
            for lock in (self._folder / ".git").rglob("*.lock"):
                lock.unlink(missing_ok=True)
        except OSError as error:
            raise LineageError(f"{error.filename}: cannot be taken away ({error.strerror}); its git is gone") from None

    def run(self, *words: str, text: str = "", variables: Mapping[str, str] | None = None) -> str:
        """What a git command prints there; `text` is its standard input. LineageError if it fails."""
        return self._execute(list(words), self._own_variables | dict(variables or {}), text)

    def _execute(self, words: list[str], variables: dict[str, str], text: str = "") -> str:
        foreign = [f"--unset={name}" for name in os.environ if name.startswith("GIT_") and name != INSTALLATION]
        given = [f"{name}={value}" for name, value in (NO_SETTINGS | variables).items()]
        settings = [word for setting in SETTINGS for word in ("-c", setting)]
        command = ["env", *foreign, *given, "git", *settings, *words]
        try:
            with tempfile.TemporaryFile() as stdin:
                stdin.write(text.encode())
                stdin.seek(0)
                return str(git.Git(self._folder).execute(command, istream=stdin.fileno()))
        except (git.CommandError, OSError) as error:
            said = str(getattr(error, "stderr", error)).removeprefix("\n  stderr: ").strip(" '\n")
            raise LineageError(f"{self._folder}: git {words[0]} failed: {' '.join(said.split())[:300]}") from None


def users_environment() -> dict[str, str]:
    """The environment of a push: the user's git, with its keys, proxies and settings, but of no other repository."""
    return {name: value for name, value in os.environ.items() if name not in OF_A_REPOSITORY}
