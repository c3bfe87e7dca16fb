"""A model's answer as ideas: hypothesis, expected effect, and edits or a whole file.

    <idea 1>
    hypothesis: one or two sentences
    expected: -0.003
    <<<<<<< SEARCH
    ...
    =======
    ...
    >>>>>>> REPLACE
    </idea>

What models do differently is read as it is meant: Markdown around tags, fields and blocks, other line ends, text in
between, missing tags, a chain of thought before the answer, the hypothesis behind its block, a unified diff. What
cannot be read is a problem that says what is missing. Applying the edits is `edits.py`.
"""

import math
import re
from dataclasses import dataclass, field

from autoresearch_ray.propose.llm.diffs import HEAD, HUNK, LANGUAGES, read_hunk
from autoresearch_ray.propose.llm.docstrings import open_quote
from autoresearch_ray.propose.llm.edits import Block

HYPOTHESIS = 600  # characters
IDEAS = 8  # of an answer that are looked at

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
FILE_NAME = re.compile(r"^[*`]*[\w./-]+\.py[*`:]*$")  # before a block
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", re.IGNORECASE)
TRAIN = re.compile(r"^def\s+train\s*\(", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ParsedIdea:
    """One idea of an answer. Without a problem it has either blocks or a whole file."""

    number: int | None  # as the model counts; None if it does not
    hypothesis: str
    expected_effect: float  # change of val_bpb, below 0 is better; NaN if nothing was said
    blocks: tuple[Block, ...]
    whole_file: str | None
    problem: str  # "" if it can be tried


@dataclass(slots=True)
class _Draft:
    """An idea while its lines come in."""

    number: int | None = None
    tagged: bool = False
    hypothesis: list[str] = field(default_factory=list)
    expected: str = ""
    prose: list[str] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    closed: bool = False
    explained: bool = False  # its hypothesis came behind its edits

    @property
    def begun(self) -> bool:
        """There is more than prose."""
        return bool(self.hypothesis or self.blocks or self.files or self.problems or self.expected)


def parse_answer(text: str, *, cut: bool = False) -> tuple[ParsedIdea, ...]:
    """The ideas of an answer in order, the first eight; none if it holds none. `cut`: it ended at the token limit."""
    drafts = _Reader(_without_thoughts(text).split("\n")).drafts()
    tagged = next((place for place, draft in enumerate(drafts) if draft.tagged), 0)
    drafts = drafts[tagged:]  # what stands before the first tag was thinking aloud
    if cut and drafts and not drafts[-1].closed:
        drafts[-1].problems.insert(
            0, "the answer ended at its token limit before this idea was complete; say it shorter"
        )
    return tuple(map(_idea, drafts[:IDEAS]))


def _without_thoughts(text: str) -> str:
    """The answer behind a chain of thought that a server did not take off."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    opened = re.match(r"\s*<think(?:ing)?>", text)
    closed = re.search(r"^.*</think(?:ing)?>", text, re.DOTALL)
    if closed is not None:
        return text[closed.end() :]
    return "" if opened else text


class _Reader:
    """Reads an answer line by line into drafts."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._at = 0
        self._drafts: list[_Draft] = []
        self._draft = _Draft()
        self._around = ""  # a fence that stands around an idea or its edits

    def drafts(self) -> list[_Draft]:
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
        self._draft = _Draft(number=number, tagged=tagged)

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
        words = "" if FILE_NAME.match(words) or HEAD.match(words) else words
        if in_hypothesis and (words or not any(self._draft.hypothesis)):
            self._draft.hypothesis.append(words)
            return True
        if words:
            self._draft.prose.append(words)
        return False

    def _begin_edits(self) -> None:
        """Without tags, edits behind an idea that was explained behind its own are another idea's."""
        if self._draft.explained and not self._draft.tagged:
            self._next()

    def _take_hunk(self, start: int) -> None:
        """A part of a unified diff from this line on, as a block; afterwards the reader stands behind it."""
        self._begin_edits()
        block, end = read_hunk(self._lines, start)
        self._draft.blocks += [block] if block is not None else []
        self._at = max(end, self._at + 1)

    def _take_block(self) -> None:
        """Read one block; afterwards the reader stands behind it."""
        number = len(self._draft.blocks) + 1
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
        self._draft.blocks.append(Block(tuple(_inner(search)), tuple(_inner(replace))))

    def _take_fence(self) -> None:
        """A code block: around tags or blocks it is ignored, as a listing with `def train` it is a whole file."""
        opening = FENCE.match(self._lines[self._at])
        assert opening is not None, self._lines[self._at]
        fence, start, quote = opening[1], self._at + 1, ""
        if self._around and fence.startswith(self._around) and not opening[2]:
            self._around, self._at = "", start
            return
        first = True  # nothing but blank lines so far
        for end in range(start, len(self._lines)):
            line, within = self._lines[end], quote
            quote = open_quote(line, quote)
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
                self._take_listing(self._lines[start:end], opening[2].lower(), start)
                self._at = end + 1
                return
        listing = "\n".join(self._lines[start:])
        if TRAIN.search(listing):
            self._draft.problems.append("the code block with the whole file has no closing fence")
        self._at = len(self._lines) if listing.strip() else start

    def _take_listing(self, lines: list[str], language: str, start: int) -> None:
        text = "\n".join(lines)
        if language in LANGUAGES:
            self._take_hunk(start)
        elif TRAIN.search(text):
            self._begin_edits()
            self._draft.files.append(text + "\n")


def _inner(lines: list[str]) -> list[str]:
    fenced = len(lines) >= 2 and FENCE.match(lines[0]) and FENCE.match(lines[-1])
    return lines[1:-1] if fenced else lines


def _idea(draft: _Draft) -> ParsedIdea:
    hypothesis = " ".join(" ".join(draft.hypothesis or draft.prose).split())
    if len(hypothesis) > HYPOTHESIS:
        hypothesis = hypothesis[: HYPOTHESIS - 1].rstrip() + "…"
    problems = list(draft.problems)
    if not hypothesis:
        problems.append("there is no `hypothesis:` line")
    if draft.blocks and draft.files:
        problems.append("there are SEARCH/REPLACE blocks and a whole file; give one of the two")
    elif len(draft.files) > 1:
        problems.append(f"there are {len(draft.files)} whole files; give one")
    elif not draft.blocks and not draft.files and not draft.problems:
        problems.append("there is no SEARCH/REPLACE block and no whole train.py")
    whole = draft.files[0] if draft.files and not draft.blocks else None
    return ParsedIdea(
        draft.number, hypothesis, _effect(draft.expected), tuple(draft.blocks), whole, "; ".join(problems)
    )


def _effect(text: str) -> float:
    """The first number that was said, in bpb."""
    match = NUMBER.search(text.replace("−", "-").replace("–", "-"))
    return float(match[0]) if match else math.nan
