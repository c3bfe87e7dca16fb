"""Local files as a corpus: what names their content, the documents of a .txt file, and where a file is not sound."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from autoresearch_ray.common.errors import DataError

SEPARATOR = "<|endoftext|>"  # a line of its own between the documents of a .txt file


def content_sha(path: Path) -> str:
    """The sha256 (hex) of a file, or of all files of a folder with their names, hidden ones left out. DataError."""
    try:
        if not path.is_dir():
            return sha256_of(path)
        names = sorted(file.relative_to(path) for file in path.rglob("*") if file.is_file())
        seen = [name for name in names if not any(part.startswith(".") for part in name.parts)]
        shards = [(str(name), sha256_of(path / name)) for name in seen]
        return hashlib.sha256(json.dumps(shards).encode()).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); expected a text file to train on") from None


def sha256_of(path: Path) -> str:
    """The sha256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_documents(path: Path) -> Iterator[str]:
    """The documents of a .txt file: between lines of `<|endoftext|>`, or between blank lines where there are none."""
    with path.open(encoding="utf-8") as file:
        try:
            marked = any(line.strip() == SEPARATOR for line in file)
            file.seek(0)
            lines: list[str] = []
            for line in file:
                if line.strip() == (SEPARATOR if marked else ""):
                    yield "".join(lines).strip("\n")
                    lines = []
                else:
                    lines.append(line)
            yield "".join(lines).strip("\n")
        except UnicodeDecodeError:
            raise DataError(f"{path}: {_wrong_byte(path)}; expected UTF-8 text, convert the file") from None


def fault(path: Path, column: str) -> str:
    """Which file under `path` is broken, where and why; empty if that cannot be found out."""
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        reason = _wrong_line(file, column) if file.suffix.lower() == ".jsonl" else ""
        reason = _wrong_end(file) if file.suffix.lower() == ".parquet" else reason
        if reason:
            return f"{file}: {reason}"
    return ""


def _wrong_line(path: Path, column: str) -> str:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line) if line.strip() else {column: ""}
            except UnicodeDecodeError:
                return _wrong_byte(path)
            except ValueError as error:
                return f"line {number:,} is no whole JSON object ({error})"
            if not isinstance(row, dict) or not isinstance(row.get(column), str):
                return f"line {number:,} has no text in `{column}`"
    return ""


def _wrong_end(path: Path) -> str:
    from pyarrow import ArrowException, parquet

    try:
        parquet.read_metadata(path)
    except (ArrowException, OSError) as error:
        return " ".join(str(error).split())[:200].rstrip(".")
    return ""


def _wrong_byte(path: Path) -> str:
    at = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return f"byte {at + error.start:,} (in line {number:,}) is not UTF-8"
            at += len(line)
    raise AssertionError(f"{path} has changed while it was read")
