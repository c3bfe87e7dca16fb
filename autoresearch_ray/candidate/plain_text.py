"""A file that is not Python without its comments: what of it counts, and how long it is."""

import re
from functools import lru_cache

from autoresearch_ray.candidate.languages import KEPT_FILES, UNKNOWN, Language, language_of

MARK = "\0"  # stands for a string: no candidate contains it
BLANK_LINES = re.compile(r"(?<!\\)\n(?:[ \t]*\n)+")  # a backslash joins the next line to this one
YAML_BLANK_LINES = re.compile(
    r"\n(?:[ \t]*\n)+(?=[ ]*(?:-[ \n]|[\w.-]+[ ]*(?::\s|:?\0))|\Z)"
)  # else in a scalar, maybe


@lru_cache(maxsize=KEPT_FILES)
def bare_text(path: str, text: str) -> str:
    """The text without comments, blank lines and blanks at the ends of lines; as it is, where one cannot be sure."""
    language = language_of(path)
    pieces = language.scan(text)
    if pieces is None:
        return text
    parts, strings, at = [""], list[str](), 0
    for kind, start, end in pieces:
        parts.append(text[at:start])
        at = end
        if kind == "string":
            strings.append(text[start:end])
            parts.append(MARK)
        elif kind == "block":
            parts.append("\n" if language.breaks and "\n" in text[start:end] else " ")
    bare = _drop_blanks(language, "".join([*parts, text[at:]]))
    if bare is None:
        return text
    if bare.count(MARK) != len(strings):
        return text  # it has the mark itself
    between = bare.split(MARK)
    return "".join([between[0], *(piece for pair in zip(strings, between[1:], strict=True) for piece in pair)])


def code_lines(path: str, text: str) -> int:
    """The lines that are neither blank nor only a comment."""
    bare, language = bare_text(path, text), language_of(path)
    lines = [line for line in bare.split("\n") if line.strip()]
    if bare == text and language is not UNKNOWN:  # its comments may still be there
        lines = [line for line in lines if not line.lstrip().startswith(language.marks)]
    return len(lines)


def _drop_blanks(language: Language, text: str) -> str | None:
    """The text without blanks that mean nothing; None where a blank after a backslash may matter."""
    if re.search(r"\\[ \t]+$", text, re.MULTILINE):
        return None
    if language.free_form:
        text = re.sub(r"[ \t]+", " ", text)
        text = re.sub(r"^ ", "", text, flags=re.MULTILINE)
    text = re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
    blank = YAML_BLANK_LINES if language.colons and language.words and language.trailing else BLANK_LINES
    return blank.sub("\n", text).lstrip("\n")
