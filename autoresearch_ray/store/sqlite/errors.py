"""What SQLite and the disk say, as the store's errors."""

import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from autoresearch_ray.common.errors import DamagedStoreError, StoreError
from autoresearch_ray.common.paths import BACKUP_FILE

# What SQLite answers when the machine, not the file, is in the way.
REFUSALS = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOMEM,
}


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """SQLite's errors as ours: a refusal (full, read-only, locked) is a StoreError, nonsense in the file is damage."""
    try:
        yield
    except UnicodeDecodeError as error:  # SQLite's own message quotes the nonsense
        raise damage_error(path, str(error)) from error
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in REFUSALS:
            raise damage_error(path, str(error)) from error
        raise _refusal(path, error) from error
    except OSError as error:
        raise _refusal(path, error) from error


def damage_error(path: Path, seen: str) -> DamagedStoreError:
    """The error for a file that is not as the store wrote it."""
    return DamagedStoreError(f"{path}: {seen}; expected a state store as it was written. {_way_out(path)}")


def damage(seen: str) -> sqlite3.DatabaseError:
    """What `storage_errors` makes that error of, for who does not know the path."""
    return sqlite3.DatabaseError(seen)


def _way_out(path: Path) -> str:
    backup = path.with_name(BACKUP_FILE)
    try:
        made = datetime.fromtimestamp(backup.stat().st_mtime, UTC)
    except OSError:
        return f"There is no {BACKUP_FILE} beside it as a last backup: start a run under a new tag"
    name = shlex.quote(path.name)
    return (
        f"Put the last backup, of {made:%Y-%m-%d %H:%M:%S} UTC, in its place: "
        f"cd {shlex.quote(str(path.parent.absolute()))} && rm -f {name}-wal {name}-shm && cp {BACKUP_FILE} {name}"
    )


def _refusal(path: Path, error: Exception) -> StoreError:
    locked = getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    advice = "Close the other program that has it open" if locked else "Look at disk space and rights"
    return StoreError(f"{path}: {error}; nothing of the request was written. {advice}")
