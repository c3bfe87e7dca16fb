"""Foreign text made safe to show: hypotheses, errors and sources are written by models and by failing programs.

Covers control characters, lone surrogates and invisible direction marks. Escaping for HTML is the report's work.
"""

import re

ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")  # what terminals obey


def one_line(text: str, limit: int = 0) -> str:
    """`text` as one printable line, at most `limit` characters (0: all of it)."""
    if limit:
        text = text[: 8 * limit + 64]  # a 10 MB error is not worth reading to its end
    text = " ".join(printable(text).split())
    return text[: limit - 1].rstrip() + "…" if 0 < limit < len(text) else text


def printable(text: str) -> str:
    """Blanks for what does not print: control characters, direction marks, lone surrogates, tabs and line ends."""
    text = ESCAPES.sub("", text)
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


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
