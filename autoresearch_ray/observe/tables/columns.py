"""Columns of tables: their types, and how the values of records become a table.

A schema names a table's columns in their order. A `category` column is made as a string, so that tables of several
runs can be put together and files stay as they are; `categorise` comes last.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from autoresearch_ray.common.text import encodable

Dtype = Literal["string", "category", "float64", "Int64", "boolean", "time"]
Schema = Mapping[str, Dtype]


def make_table(schema: Schema, records: Sequence[object], made: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """A row a record; a column's values are those of `made`, else the records' attributes of its name."""
    values = {name: made[name] if name in made else [getattr(one, name) for one in records] for name in schema}
    return pd.DataFrame({name: make_series(dtype, values[name]) for name, dtype in schema.items()})


def make_series(dtype: Dtype, values: Sequence[Any]) -> "pd.Series[Any]":
    """The values as a column; None is a value that is missing, "" in a string."""
    return _SERIES[dtype](values)


def complete(table: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """The table with every column of the schema, in its order: those of a later version are missing in older files.

    Columns that the schema does not know stay at the end.
    """
    missing = [name for name in schema if name not in table.columns]
    if missing:
        empty = {name: make_series(schema[name], [None] * len(table)) for name in missing}
        table = pd.concat([table, pd.DataFrame(empty, index=table.index)], axis=1)
    unknown = [name for name in table.columns if name not in schema]
    return table[[*schema, *unknown]]


def categorise(table: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """The table with its `category` columns as such, their categories in alphabetical order."""
    return table.astype({name: "category" for name, dtype in schema.items() if dtype == "category"})


def _strings(values: Sequence[Any]) -> "pd.Series[Any]":
    return pd.Series(["" if value is None else encodable(value) for value in values], dtype="string")


def _floats(values: Sequence[Any]) -> "pd.Series[Any]":
    return pd.Series([math.nan if value is None else value for value in values], dtype="float64")


def _counts(values: Sequence[Any]) -> "pd.Series[Any]":
    return pd.Series(pd.array(list(values), dtype="Int64"))


def _truths(values: Sequence[Any]) -> "pd.Series[Any]":
    return pd.Series(pd.array(list(values), dtype="boolean"))


def _times(values: Sequence[Any]) -> "pd.Series[Any]":
    """UTC to the microsecond; a moment of 0 means that it never came."""
    moments = [np.datetime64(round(value * 1e6), "us") if value else np.datetime64("NaT", "us") for value in values]
    return pd.Series(np.array(moments, dtype="datetime64[us]")).dt.tz_localize("UTC")


_SERIES: dict[Dtype, Callable[[Sequence[Any]], "pd.Series[Any]"]] = {
    "string": _strings,
    "category": _strings,
    "float64": _floats,
    "Int64": _counts,
    "boolean": _truths,
    "time": _times,
}
