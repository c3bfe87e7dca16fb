"""Foreign text made safe to put in a prompt: bounded, without control characters, and marked as data.

Programs' output is quoted line by line, so that no line of it can end the quotation; sources stand in a fence that is
longer than any run of backticks in them.
"""

import re

QUOTE = "| "  # before each line of a program's output
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
BREAKS = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


def one_line(text: str, limit: int) -> str:
    """`text` as one printable line of at most `limit` characters."""
    text = " ".join(printable(text[: 8 * limit + 64]).split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def quoted_end(text: str, lines: int, characters: int) -> str:
    """The last lines of a program's output, each behind `| `; "" for no text. Both limits hold, quotation aside."""
    kept: list[str] = []
    for line in reversed(BREAKS.split(ESCAPES.sub("", text[-4 * characters - 64 :]))):
        line = printable(line).rstrip()
        if not line:
            continue
        if len(kept) == lines or characters < 1:
            break
        kept.append(QUOTE + (line if len(line) <= characters else "…" + line[len(line) - characters + 1 :]))
        characters -= len(line)
    return "\n".join(reversed(kept))


def fenced(text: str, language: str = "") -> str:
    """A source as a code block that it cannot end; hidden characters are spelled out."""
    shown = "".join(c if c.isprintable() or c in "\n\t" else f"<U+{ord(c):04X}>" for c in text)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    return f"{fence}{language}\n{shown.rstrip()}\n{fence}"


def printable(text: str) -> str:
    """Blanks for what does not print: control characters, direction marks, lone surrogates, tabs and line ends."""
    text = ESCAPES.sub("", text)
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
