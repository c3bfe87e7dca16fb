"""What a part of the GPU benchmark finds, written line by line: a part that is ended early keeps what it has."""

import contextlib
import json
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FAULTS = "faults"  # the table of what went wrong


@dataclass(frozen=True)
class Bench:
    """What a part is told, and where it writes. Threads of one process may share it."""

    folder: Path  # of this part alone
    ends_at: float  # time.monotonic()
    pretend: bool  # on the CPU, at tiny sizes: figures mean nothing, but every line runs

    @property
    def device(self) -> str:
        return "cpu" if self.pretend else "cuda"

    @property
    def seconds_left(self) -> float:
        return self.ends_at - time.monotonic()

    def row(self, table: str, **values: Any) -> None:
        """Keep one row of a table, and print it."""
        line = json.dumps({"table": table} | values, default=str)
        with (self.folder / "rows.jsonl").open("a") as file:
            file.write(line + "\n")
        shown = "  ".join(f"{name} {show(value)}" for name, value in values.items())
        print(f"  {table}: {shown}"[:400], flush=True)

    @contextlib.contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """A step whose failure is a fault that is kept; what comes after it goes on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  # any fault of a first run on a GPU is a finding
            traceback.print_exc(file=sys.stdout)
            self.row(FAULTS, what=what, error=f"{type(error).__name__}: {error}", trace=traceback.format_exc())

    def enough_time(self, what: str, seconds: float) -> bool:
        """Whether a step of so many seconds still fits; it is kept if not."""
        if self.seconds_left >= seconds:
            return True
        self.row("left out", what=what, needs_seconds=seconds, left_seconds=self.seconds_left)
        return False


def read_rows(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The tables that a part has written so far; a line that was cut off is left out."""
    tables: dict[str, list[dict[str, Any]]] = {}
    path = folder / "rows.jsonl"
    for line in path.read_text().splitlines() if path.exists() else []:
        with contextlib.suppress(ValueError):
            row = json.loads(line)
            tables.setdefault(row.pop("table"), []).append(row)
    return tables


def show(value: object) -> str:
    """A value as a person reads it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
