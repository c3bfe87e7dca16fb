"""Foreign text made safe to put in a prompt: bounded, without control characters, and marked as data.

Programs' output is quoted line by line, so that no line of it can end the quotation. Sources stand in a fence that is
longer than any run of backticks in them.
"""

import re

from autoresearch_ray.common.text import ESCAPES, printable, visible

QUOTE = "| "  # prefix of each line of a program's output
BREAKS = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


def quote_end(text: str, lines: int, characters: int) -> str:
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


def fence_source(text: str, language: str = "") -> str:
    """A source as a code block that it cannot end; hidden characters are spelled out."""
    shown = visible(text)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    return f"{fence}{language}\n{shown.rstrip()}\n{fence}"
