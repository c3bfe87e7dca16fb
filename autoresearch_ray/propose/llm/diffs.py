"""A part of a unified diff as a search/replace block, for models that answer in the form that git shows.

Its line numbers do not count, for models get them wrong: the lines have to stand in the file once, as any block's.
"""

import re

from autoresearch_ray.propose.llm.edits import Block

HUNK = re.compile(r"^@@( .*)?$")
TARGET = re.compile(r"^\+\+\+ (?P<path>[^\t\n]+)")  # names the file that the following hunks change
HEAD = re.compile(r"^(diff --git |--- |\+\+\+ |index [0-9a-f]+\.\.).*$")
LANGUAGES = ("diff", "patch", "udiff")  # languages of a code block that holds a diff


def read_patch(text: str) -> list[Block]:
    """The hunks of a unified diff, as blocks of the files that it names; [] without any."""
    lines, blocks, start, path = text.splitlines(), [], 0, ""
    while start < len(lines):
        path = read_target(lines[start]) or path
        if not HUNK.match(lines[start]):
            start += 1
            continue
        block, start = read_hunk(lines, start + 1, path)
        blocks += [block] if block else []
    return blocks


def read_target(line: str) -> str:
    """The file that a `+++` line names; "" for another line."""
    match = TARGET.match(line)
    return match["path"].strip().removeprefix("b/") if match else ""


def read_hunk(lines: list[str], start: int, path: str = "") -> tuple[Block | None, int]:
    """The block that begins at this line, after the `@@`, and its end; None if there are no lines of a diff."""
    while start < len(lines) and HEAD.match(lines[start]):
        path = read_target(lines[start]) or path
        start += 1
    end = start
    while end < len(lines) and lines[end][:1] in ("", " ", "+", "-", "\\") and not HEAD.match(lines[end]):
        end += 1
    hunk = lines[start:end]
    while hunk and not hunk[-1].strip():
        hunk.pop()  # blank lines behind it
    search = tuple(line[1:] for line in hunk if line[:1] in ("", " ", "-"))
    replace = tuple(line[1:] for line in hunk if line[:1] in ("", " ", "+"))
    return (Block(search, replace, path) if hunk else None), end
