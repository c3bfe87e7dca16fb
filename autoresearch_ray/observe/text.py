"""Foreign text made safe to show: hypotheses, errors and sources are written by models and by failing programs.

Covers control characters, lone surrogates and invisible direction marks. Escaping for HTML is the report's work.
"""

import os
from pathlib import Path

from rich.cells import cell_len, set_cell_size


def one_line(text: str, limit: int = 0) -> str:
    """`text` as one printable line, at most `limit` characters (0: all of it)."""
    if limit:
        text = text[: 8 * limit + 64]  # a 10 MB error is not worth reading to its end
    if not text.isprintable():
        text = "".join(character if character.isprintable() else " " for character in text)
    text = " ".join(text.split())
    return text[: limit - 1].rstrip() + "…" if 0 < limit < len(text) else text


def fitted(text: str, cells: int) -> str:
    """`text` as one line, cut to that many terminal cells (a Chinese character takes two, an accent none)."""
    line = one_line(text, max(8 * cells, 1))
    if cell_len(line) <= cells:
        return line
    return (set_cell_size(line, cells - 1).rstrip() + "…") if cells > 0 else ""


def visible(text: str) -> str:
    """`text` with its lines kept and everything invisible spelled out, so that a diff hides nothing."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else f"<U+{ord(c):04X}>" for c in text)


def encodable(text: str) -> str:
    """`text` as it is, but for lone surrogates, which UTF-8 cannot hold: they become question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def last_line(text: str) -> str:
    """The last line of an error that says something: a traceback's summary."""
    lines = [line for line in text[-4000:].splitlines() if line.strip()]
    return one_line(lines[-1]) if lines else ""


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old or the new one, never a part; one writer a process."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
