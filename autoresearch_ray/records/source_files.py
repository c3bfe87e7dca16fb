"""A candidate's files as one text, and back.

Search and models edit one text. Of a candidate that is more than a lone train.py the text is all its files, one after
another, each below a heading that names it:

    #### file: model.py ####
    ...

`split` and `join` are inverse to each other. Every file ends with a line's end; no line of a file looks like a heading.
"""

import re

HEADING = re.compile(r"^#### file: (?P<path>\S[^\n]*) ####\n", re.MULTILINE)
Files = tuple[tuple[str, str], ...]  # (path, text) in the order of paths


def heading(path: str) -> str:
    """The line above a file's text, with its end."""
    return f"#### file: {path} ####\n"


def is_heading(line: str) -> bool:
    """Whether this line, with or without its end, stands above a file's text."""
    return HEADING.fullmatch(line.rstrip() + "\n") is not None


def path_of(line: str) -> str:
    """The path that a heading names."""
    match = HEADING.fullmatch(line.rstrip() + "\n")
    assert match is not None, line
    return match["path"]


def has_headings(text: str) -> bool:
    """Whether this is the text of a tree of files, not of a lone train.py."""
    return HEADING.match(text) is not None


def join(files: Files) -> str:
    """The files as one text. Each must end with a line's end, or be empty."""
    assert all(text.endswith("\n") or not text for _, text in files), [path for path, _ in files]
    return "".join(heading(path) + text for path, text in files)


def split(text: str) -> Files:
    """The files of a text with headings, in their order there. ValueError for text above the first heading."""
    found = list(HEADING.finditer(text))
    if not found or found[0].start():
        raise ValueError(f"expected {heading('PATH').strip()!r} as the first line, found {text[:60]!r}")
    ends = [match.start() for match in found[1:]] + [len(text)]
    return tuple((match["path"], text[match.end() : end]) for match, end in zip(found, ends, strict=True))
