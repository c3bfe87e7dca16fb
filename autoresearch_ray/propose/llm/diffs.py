"""A part of a unified diff as a search/replace block, for models that answer in the form that git shows.

Its line numbers do not count, for models get them wrong: the lines have to stand in the file once, as any block's.
"""

import re

from autoresearch_ray.propose.llm.edits import Block

HUNK = re.compile(r"^@@( .*)?$")
HEAD = re.compile(r"^(diff --git |--- |\+\+\+ |index [0-9a-f]+\.\.).*$")
FILE = re.compile(r"^\+\+\+ (?:b/)?([^\t\n]+?)(?:\t.*)?$")
LANGUAGES = ("diff", "patch", "udiff")  # of a code block


def read_patch(text: str) -> list[Block]:
    """The hunks of a unified diff of one file, as blocks; [] without any."""
    lines, blocks, start = text.splitlines(), [], 0
    while start < len(lines):
        if not HUNK.match(lines[start]):
            start += 1
            continue
        block, start = read_hunk(lines, start + 1)
        blocks += [block] if block else []
    return blocks


def read_file_patches(text: str) -> list[tuple[str, list[Block]]]:
    """The same of a diff of several files: each path, as the line `+++` has it, with its blocks; "" where none is said.

    git's `a/` and `b/` before the paths are taken away.
    """
    found: list[tuple[str, list[str]]] = [("", [])]
    lines = text.splitlines()
    for number, line in enumerate(lines):
        match = FILE.match(line)
        if match is not None and number and lines[number - 1].startswith("--- "):
            found.append((match[1], []))
        else:
            found[-1][1].append(line)
    patches = [(path, read_patch("\n".join(lines))) for path, lines in found]
    return [(path, blocks) for path, blocks in patches if blocks]


def read_hunk(lines: list[str], start: int) -> tuple[Block | None, int]:
    """The block that begins at this line, behind the `@@`, and where it ends; None if there are no lines of a diff."""
    while start < len(lines) and HEAD.match(lines[start]):
        start += 1
    end = start
    while end < len(lines) and lines[end][:1] in ("", " ", "+", "-", "\\") and not HEAD.match(lines[end]):
        end += 1
    hunk = lines[start:end]
    while hunk and not hunk[-1].strip():
        hunk.pop()  # blank lines behind it
    search = tuple(line[1:] for line in hunk if line[:1] in ("", " ", "-"))
    replace = tuple(line[1:] for line in hunk if line[:1] in ("", " ", "+"))
    return (Block(search, replace) if hunk else None), end
