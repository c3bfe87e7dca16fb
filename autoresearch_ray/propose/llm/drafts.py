"""An answer read line by line into drafts of ideas: their hypothesis, edits, whole files, and what is missing.

What a draft must have to be an idea is decided in `answer.py`; the format is described there.
"""

import re
from dataclasses import dataclass, field, replace

from autoresearch_ray.propose.llm.diffs import HEAD, HUNK, LANGUAGES, read_hunk, read_target
from autoresearch_ray.propose.llm.docstrings import open_quote
from autoresearch_ray.propose.llm.edits import Block
from autoresearch_ray.propose.llm.script_files import ScriptFiles
from autoresearch_ray.records.source_files import Files, has_headings, is_heading, path_of, split

TAG = re.compile(r"^[\s>*_`-]*<idea\b[^\d>]*(\d+)?", re.IGNORECASE)

HEADING = re.compile(r"^\s*(?:#{1,6}\s*\**|\*\*)idea\s*#?(\d+)\b|^\s*idea\s*#?(\d+)\s*[:.)]?\s*$", re.IGNORECASE)

CLOSE = re.compile(r"^\s*</idea\b[^>]*>", re.IGNORECASE)

FIELD = re.compile(
    r"^[\s>*_#`<-]*(hypothesis|expected(?:[ _](?:effect|change|gain|delta))?)\s*[*_`>]*\s*[:=>]\s*[*_`]*\s*(.*)$",
    re.IGNORECASE,
)

SEARCH = re.compile(r"^\s{0,3}<{5,9}\s*SEARCH\b")

DIVIDER = re.compile(r"^\s{0,3}={6,9}\s*$")

REPLACE = re.compile(r"^\s{0,3}>{5,9}\s*REPLACE\b")

FENCE = re.compile(r"^\s*(`{3,}|~{3,})\s*([\w.+-]*)\s*$")

FILE_NAME = re.compile(r"^[*`]*[\w./-]+\.py[*`:]*$")  # a line that names the file of the next block

TRAIN = re.compile(r"^def\s+train\s*\(", re.MULTILINE)


@dataclass(slots=True)
class Draft:
    """An idea while its lines come in."""

    number: int | None = None
    tagged: bool = False
    hypothesis: list[str] = field(default_factory=list)
    expected: str = ""
    prose: list[str] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    files: list[tuple[str, str]] = field(default_factory=list)  # (path, text); path "" of train.py
    problems: list[str] = field(default_factory=list)
    closed: bool = False
    explained: bool = False  # its hypothesis came behind its edits

    @property
    def begun(self) -> bool:
        """There is more than prose."""
        return bool(self.hypothesis or self.blocks or self.files or self.problems or self.expected)


class AnswerReader:
    """Reads an answer line by line into drafts."""

    def __init__(self, lines: list[str], script: ScriptFiles | None) -> None:
        self._lines = lines
        self._script = script
        self._path = ""  # path named by the last head of a unified diff
        self._at = 0
        self._drafts: list[Draft] = []
        self._draft = Draft()
        self._around = ""  # a fence that stands around an idea or its edits

    def drafts(self) -> list[Draft]:
        """Every idea; prose before the first is none."""
        in_hypothesis = False
        while self._at < len(self._lines):
            line = self._lines[self._at]
            found = FIELD.match(line)
            if opened := TAG.match(line) or HEADING.match(line):
                number = next((int(digits) for digits in opened.groups() if digits), None)
                self._next(tagged=TAG.match(line) is not None, number=number)
                in_hypothesis = False
            elif CLOSE.match(line):
                self._draft.closed = True
                self._next()
            elif found is not None:
                in_hypothesis = self._take_field(found[1].lower(), found[2])
            elif SEARCH.match(line):
                self._begin_edits()
                self._take_block()
                in_hypothesis = False
                continue
            elif HUNK.match(line):
                self._take_hunk(self._at + 1)
                in_hypothesis = False
                continue
            elif FENCE.match(line):
                self._take_fence()
                in_hypothesis = False
                continue
            else:
                in_hypothesis = self._take_prose(line, in_hypothesis)
            self._at += 1
        self._next()
        return self._drafts

    def _next(self, tagged: bool = False, number: int | None = None) -> None:
        """End the idea that is read; one without any content is none."""
        if self._draft.begun or self._draft.tagged:
            self._drafts.append(self._draft)
        self._draft = Draft(number=number, tagged=tagged)
        self._path = ""

    def _take_field(self, name: str, value: str) -> bool:
        """Returns whether the hypothesis goes on in the next line."""
        value = re.sub(r"</\w+>\s*$", "", value).strip().rstrip("*_`").strip()
        if name != "hypothesis":
            self._draft.expected = value
            return False
        if self._draft.hypothesis:
            self._next()
        self._draft.explained = bool(self._draft.blocks or self._draft.files)
        self._draft.hypothesis = [value]
        return True

    def _take_prose(self, line: str, in_hypothesis: bool) -> bool:
        words = re.sub(r"</?\w+>", "", line).strip()
        self._path = read_target(line) or self._path
        words = "" if FILE_NAME.match(words) or HEAD.match(words) or self._name_file(line) else words
        if in_hypothesis and (words or not any(self._draft.hypothesis)):
            self._draft.hypothesis.append(words)
            return True
        if words:
            self._draft.prose.append(words)
        return False

    def _begin_edits(self) -> None:
        """Begin a new idea if, without tags, edits follow an explanation that came after its own edits."""
        if self._draft.explained and not self._draft.tagged:
            self._next()

    def _take_hunk(self, start: int) -> None:
        """A part of a unified diff from this line on, as a block; afterwards the reader stands behind it."""
        self._begin_edits()
        block, end = read_hunk(self._lines, start, self._path)
        self._path = block.path if block is not None else self._path
        if block is not None:
            self._draft.blocks.append(block if self._script is not None else replace(block, path=""))
        self._at = max(end, self._at + 1)

    def _take_block(self) -> None:
        """Read one block; afterwards the reader stands behind it."""
        number, path = len(self._draft.blocks) + 1, self._name_above(self._at)
        search: list[str] = []
        replace: list[str] = []
        part, problem = search, ""
        self._at += 1
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if SEARCH.match(line) or CLOSE.match(line) or TAG.match(line):
                problem = problem or f"block {number} has no `>>>>>>> REPLACE` line at its end"
                break
            self._at += 1
            if REPLACE.match(line):
                problem = problem or (f"block {number} has no `=======` line" if part is search else "")
                break
            if DIVIDER.match(line):
                problem = f"block {number} has two `=======` lines" if part is replace else ""
                part = replace
            else:
                part.append(line)
        else:
            problem = problem or f"block {number} has no `>>>>>>> REPLACE` line at its end"
        if problem:
            self._draft.problems.append(problem)
        self._draft.blocks.append(Block(tuple(_inner(search)), tuple(_inner(replace)), path))

    def _take_fence(self) -> None:
        """A code block: around tags or blocks it is ignored, as a listing with `def train` it is a whole file."""
        opening = FENCE.match(self._lines[self._at])
        assert opening is not None, self._lines[self._at]
        fence, start, quote, path = opening[1], self._at + 1, "", self._name_above(self._at)
        is_python = path.endswith(".py") or (not path and opening[2].lower() in ("", "python", "py"))
        if self._around and fence.startswith(self._around) and not opening[2]:
            self._around, self._at = "", start
            return
        first = True  # nothing but blank lines so far
        for end in range(start, len(self._lines)):
            line, within = self._lines[end], quote
            quote = open_quote(line, quote) if is_python or self._script is None else ""
            marks = (SEARCH, HUNK, TAG, CLOSE, FIELD) if first else (SEARCH, HUNK, TAG, CLOSE)
            if any(mark.match(line) for mark in marks):
                self._around, self._at = fence, start  # the fence is around the idea itself
                return
            first = first and not line.strip()
            other = None if within else FENCE.match(line)  # one in a docstring is the file's own
            if other is not None and other[1].startswith(fence):
                if other[2]:  # another one opens: this was the end of one that stood around an idea
                    self._at = start
                    return
                self._take_listing(self._lines[start:end], opening[2].lower(), start, path)
                self._at = end + 1
                return
        listing = "\n".join(self._lines[start:])
        if TRAIN.search(listing) if self._script is None else path:
            self._draft.problems.append("the code block with the whole file has no closing fence")
        self._at = len(self._lines) if listing.strip() else start

    def _take_listing(self, lines: list[str], language: str, start: int, path: str) -> None:
        text = "\n".join(lines) + "\n"
        script = self._script
        if language in LANGUAGES:
            self._take_hunk(start)
        elif script is None:
            self._take_files((("", text),) if TRAIN.search(text) else ())
        elif has_headings(text):
            self._take_files(split(text))
        elif path or script.is_whole(text):
            self._take_files(((path or script.paths[0], text),))

    def _take_files(self, files: Files) -> None:
        if files:
            self._begin_edits()
            self._draft.files += files

    def _name_above(self, at: int) -> str:
        """The file that the line above names, blank ones aside; "" for none, and always of train.py."""
        while at > 0 and self._script is not None:
            at -= 1
            if self._lines[at].strip():
                return self._name_file(self._lines[at])
        return ""

    def _name_file(self, line: str) -> str:
        """The file that a line names and nothing else: a heading, or a path in whatever Markdown."""
        if self._script is None:
            return ""
        if is_heading(line.strip()):
            return path_of(line.strip())
        return self._script.find(line.strip(" \t#*`:_>-")) or ""


def _inner(lines: list[str]) -> list[str]:
    fenced = len(lines) >= 2 and FENCE.match(lines[0]) and FENCE.match(lines[-1])
    return lines[1:-1] if fenced else lines
