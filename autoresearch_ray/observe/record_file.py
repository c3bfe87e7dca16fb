"""Records in a file, one line of JSON each: what a run's folder keeps beside its store."""

from pathlib import Path
from typing import TypeVar

from autoresearch_ray.common.errors import StoreError
from autoresearch_ray.common.paths import write_whole
from autoresearch_ray.records.codec import from_json, to_json

T = TypeVar("T")


def read_records(path: Path, kind: type[T]) -> list[T]:
    """All of a file, in order; [] where there is none. RecordError or StoreError for one that cannot be read."""
    if not path.exists():
        return []
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path}: cannot be read ({error}); expected lines of JSON") from None
    return [from_json(kind, line) for line in lines if line.strip()]


def add_record(path: Path, record: object) -> None:
    """Add one, so that a reader sees the file with it or without it."""
    before = path.read_bytes() if path.exists() else b""
    write_whole(path, before + to_json(record).encode() + b"\n")
