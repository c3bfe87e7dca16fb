"""A run's readable files, made from its store: table, picture and report, each written whole or not at all.

Making them twice changes nothing. The store may be a living run's.
"""

from pathlib import Path

from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.common.paths import PICTURE_FILE, REPORT_FILE, RESULTS_FILE, TABLE_FILE, write_whole
from autoresearch_ray.observe.ablations import read_ablations
from autoresearch_ray.observe.pictures.progress import progress_png
from autoresearch_ray.observe.report.html import report_html
from autoresearch_ray.observe.tables.formats import write_table
from autoresearch_ray.observe.tables.trials import results_tsv, trial_table
from autoresearch_ray.observe.transfers import read_transfers
from autoresearch_ray.records.history import History
from autoresearch_ray.records.kept_model import look_at_kept
from autoresearch_ray.store.connect import read_run


def rebuild(run_dir: Path) -> History:
    """Write the run's files from its store. SettingsError if it is no run's folder or cannot be written."""
    history = read_run(run_dir)
    try:
        write_files(history, run_dir)
    except OSError as error:
        raise SettingsError(f"{run_dir}: cannot be written ({error.strerror}); expected a writable folder") from None
    return history


def write_files(history: History, run_dir: Path) -> None:
    """Write table, picture and report of this history into a folder."""
    write_whole(run_dir / RESULTS_FILE, results_tsv(history).encode())
    write_table(trial_table(history), run_dir / TABLE_FILE)
    progress_png(history, run_dir / PICTURE_FILE)
    transfers, ablations = read_transfers(run_dir), read_ablations(run_dir)
    report_html(history, run_dir / REPORT_FILE, run_dir / PICTURE_FILE, transfers, ablations, look_at_kept(run_dir))
