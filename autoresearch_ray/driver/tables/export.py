"""A table of one run or several, written into a file."""

from collections.abc import Sequence
from pathlib import Path

from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.driver.tables.load import TABLES, load
from autoresearch_ray.observe.tables.formats import FORMATS, write_table


def export_table(name: str, sources: Sequence[str], path: Path) -> int:
    """Write the table of this name, as `load` gives it of one source or of a list, whole or not at all; its rows.

    SettingsError for a table or an ending that there is none of, and where the file cannot be written; else as `load`.
    """
    if name not in TABLES:
        raise SettingsError(f"--table {name}: expected one of {', '.join(TABLES)}")
    if path.suffix.lower() not in FORMATS:
        raise SettingsError(f"--to {path}: expected a name that ends in one of {', '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise SettingsError(f"--to {path}: expected a folder that is there")
    table = load(name, sources[0] if len(sources) == 1 else sources)
    try:
        write_table(table, path)
    except OSError as error:
        raise SettingsError(f"--to {path}: cannot be written ({error.strerror}); expected a writable file") from None
    return len(table)
