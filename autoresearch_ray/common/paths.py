"""The names of a run's files and folders, below `runs/<tag>/`, and how a file is written there.

Everything but the store, `trials/`, `best/`, what a person left for the driver (`suggestions/`, `directives/`) and what
was measured after the run (`transfers.jsonl`, `ablations.jsonl`) can be made again from the store.
"""

import os
import shlex
import shutil
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
SHIPPED = PACKAGE / "shipped" if (PACKAGE / "shipped").is_dir() else PACKAGE.parent  # in a wheel; in a checkout
EXPERIMENTS = SHIPPED / "experiments"
PROGRAM = SHIPPED / "program.md"

STORE_FILE = "state.db"  # the store, if it is SQLite
BACKUP_FILE = "state.backup.db"  # a copy of it, for a damaged one
SETTINGS_FILE = "settings.json"
LINEAGE = "lineage"  # a git repository
TRIALS_FOLDER = "trials"  # a folder a trial
CALLS_FOLDER = "calls"  # what models were asked and answered, one file a conversation
TABLE_FILE = "trials.parquet"
RESULTS_FILE = "results.tsv"
REPORT_FILE = "report.html"
PICTURE_FILE = "progress.png"
DIRECTIVES_FOLDER = "directives"  # a person's edits of the directives, that wait for the driver
SUGGESTIONS_FOLDER = "suggestions"  # ideas of a person that wait for the driver
ABLATIONS_FILE = "ablations.jsonl"  # what `ablate` measured
TRANSFERS_FILE = "transfers.jsonl"  # what `transfer` measured
ORIGIN_FILE = ".storage.json"  # what the folder knows of its copy in a bucket
LOCK_FILE = ".driver.lock"  # held by the launch that runs

BEST_FOLDER = "best"  # the proven best with its trained model, where that is kept
KEPT_FILE = "best.json"  # of that folder: what is in it, written last

CANDIDATE_FILE = "train.py"  # of a trial, in the lineage, and of the best
TOKENIZER_FILE = "tokenizer.json"  # of a data set, and of the best
WEIGHTS_FILE, SKELETON_FILE = "model.pt", "skeleton.pt"  # of a kept model
KEPT_MODEL_FILES = (WEIGHTS_FILE, SKELETON_FILE)  # of a trial that may prove the best, until that is decided
OUTPUT_FILE = "output.log"  # of a trial
CURVE_FILE = "curve.csv"  # of a trial


def find_home() -> Path | None:
    """The user's home folder; None for a user without one."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def shorten(path: Path) -> str:
    """As it is named from the working folder, where that is shorter."""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(str(path)) else str(path)


def python_command() -> str:
    """What a shell of the user's starts this interpreter by: `python` if that is the one, else its path."""
    found = shutil.which("python")
    is_first = found is not None and Path(found).parent == Path(sys.executable).parent
    return "python" if is_first else shlex.quote(shorten(Path(sys.executable)))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old or the new one, never a part; one writer a process."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
