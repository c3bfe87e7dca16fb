"""A table as a file: CSV for spreadsheets, JSON lines, parquet. Each file is written whole or not at all."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from autoresearch_ray.common.paths import write_whole

ROWS_AT_ONCE = 10_000
# What spreadsheets take for a formula, https://owasp.org/www-community/attacks/CSV_Injection; some skip blanks first.
FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n]")


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write the table in the format of the path's ending, one of `FORMATS`; equal tables give equal bytes. OSError."""
    write_whole(path, FORMATS[path.suffix.lower()](table))


def to_parquet(table: pd.DataFrame) -> bytes:
    """The table as parquet; its column types are kept."""
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), buffer, compression="zstd")
    return buffer.getvalue()


def to_csv(table: pd.DataFrame) -> bytes:
    """The table as CSV in UTF-8; what is missing is empty. Texts are in quotes.

    Texts are written by models and failing programs: one that a spreadsheet would run as a formula begins with a `'`.
    """
    harmless = table.copy()
    for name in table.columns:
        if isinstance(table[name].dtype, (pd.StringDtype, pd.CategoricalDtype)):
            texts = table[name].astype("string").fillna("")
            harmless[name] = [f"'{text}" if FORMULA.match(text) else text for text in texts]
    return harmless.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n").encode()


def to_jsonl(table: pd.DataFrame) -> bytes:
    """The table as one JSON object a row; what is missing is null, times are UTC in ISO 8601."""
    buffer = io.StringIO()
    for start in range(0, len(table), ROWS_AT_ONCE):
        part = table.iloc[start : start + ROWS_AT_ONCE]
        columns = [_to_plain(part[name]) for name in table.columns]
        for row in zip(*columns, strict=True):
            buffer.write(json.dumps(dict(zip(table.columns, row, strict=True)), ensure_ascii=False, allow_nan=False))
            buffer.write("\n")
    return buffer.getvalue().encode()


def _to_plain(column: "pd.Series[Any]") -> list[Any]:
    """Values that JSON knows."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.map(lambda moment: moment.isoformat(), na_action="ignore")
    if column.dtype == "float64":
        column = column.where(np.isfinite(column))
    return column.astype(object).where(column.notna(), None).tolist()


FORMATS: dict[str, Callable[[pd.DataFrame], bytes]] = {".csv": to_csv, ".parquet": to_parquet, ".jsonl": to_jsonl}
