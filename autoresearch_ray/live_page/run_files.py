"""The files of a run that its page links to, as text: by a list of names, and never out of the run's folder.

A candidate may have written into its trial's folder. So every step of a path is opened without following a link, and
only a plain file is read.
"""

import gzip
import io
import json
import os
import re
import stat
import zlib
from contextlib import ExitStack
from pathlib import Path

from autoresearch_ray.common.paths import (
    CALLS_FOLDER,
    CANDIDATE_FILE,
    CURVE_FILE,
    OUTPUT_FILE,
    RESULTS_FILE,
    SETTINGS_FILE,
    TRIALS_FOLDER,
)

LIMIT = 8 * 2**20  # bytes that are shown of a file
OF_A_TRIAL = (OUTPUT_FILE, CURVE_FILE, CANDIDATE_FILE)
NAME = r"(?!\.)[\w.@:-]+"
SHOWN = re.compile(
    rf"{TRIALS_FOLDER}/{NAME}/({'|'.join(map(re.escape, OF_A_TRIAL))})"
    rf"|{CALLS_FOLDER}/{NAME}\.json\.gz|{re.escape(SETTINGS_FILE)}|{re.escape(RESULTS_FILE)}",
    re.ASCII,
)
PROPOSED = re.compile(r"w(.+-\d+)-\d[\w.]*")  # a model's proposal: its conversation, and its number there


def read_shown(folder: Path, path: str) -> bytes | None:
    """A file of the run as UTF-8 text; None if it is not there or not one of those that are shown."""
    if not SHOWN.fullmatch(path):
        return None
    content = _read(folder, path.split("/"))
    if content is None:
        return None
    return _unpack(content) if path.endswith(".gz") else _cut(content)


def trial_files(folder: Path, trial_id: str, proposal_id: str) -> list[str]:
    """The paths of a trial's files that are there, and of the conversation that its proposal came from."""
    paths = [f"{TRIALS_FOLDER}/{trial_id}/{name}" for name in OF_A_TRIAL]
    told = PROPOSED.fullmatch(proposal_id)
    paths += [f"{CALLS_FOLDER}/{told[1]}.json.gz"] if told else []
    return [
        path
        for path in paths
        if SHOWN.fullmatch(path) and not (folder / path).is_symlink() and (folder / path).is_file()
    ]


def _read(folder: Path, parts: list[str]) -> bytes | None:
    plain = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    with ExitStack() as opened:
        try:
            here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, here)
            for part in parts[:-1]:
                here = os.open(part, plain | os.O_DIRECTORY, dir_fd=here)
                opened.callback(os.close, here)
            file = os.open(parts[-1], plain | os.O_NONBLOCK, dir_fd=here)  # a pipe would never end
            opened.callback(os.close, file)
            if not stat.S_ISREG(os.fstat(file).st_mode):
                return None
            with open(file, "rb", closefd=False) as stream:
                return stream.read(LIMIT + 1)
        except OSError:
            return None


def _cut(content: bytes) -> bytes:
    if len(content) <= LIMIT:
        return content
    return content[:LIMIT] + f"\n\n[cut after {LIMIT:,} bytes; the file in the run's folder has all]\n".encode()


def _unpack(content: bytes) -> bytes:
    """A conversation with a model, its texts as lines; a file that cannot be read says so."""
    try:
        with gzip.open(io.BytesIO(content)) as stream:
            text = stream.read(LIMIT + 1)
        return _cut("\n".join(_lines(json.loads(text))).encode("utf-8", "replace") + b"\n")
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        return f"This conversation cannot be read: {type(error).__name__}\n".encode()


def _lines(value: object, indent: str = "") -> list[str]:
    """JSON for a person: names as headings, long texts as their lines."""
    if isinstance(value, dict):
        return [line for name, item in value.items() for line in _entry(f"{name}:", item, indent)]
    if isinstance(value, list):
        return [line for number, item in enumerate(value, 1) for line in _entry(f"{number}.", item, indent)]
    words = value if isinstance(value, str) else json.dumps(value)
    return [indent + line for line in words.splitlines()]


def _entry(head: str, item: object, indent: str) -> list[str]:
    lines = _lines(item, indent + "  ")
    if isinstance(item, (dict, list)) or len(lines) > 1:
        return [indent + head, *lines]
    return [f"{indent}{head} {lines[0].strip() if lines else ''}".rstrip()]
