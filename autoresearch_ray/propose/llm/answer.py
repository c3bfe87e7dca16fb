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

Of a script (`script_files.py`) a block or a code block is for the file that the line above it names, and a whole file
may be of any language.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from autoresearch_ray.propose.llm.diffs import HEAD, HUNK, LANGUAGES, read_hunk, read_target
from autoresearch_ray.propose.llm.docstrings import open_quote
from autoresearch_ray.propose.llm.edits import Block
from autoresearch_ray.propose.llm.script_files import ScriptFiles
from autoresearch_ray.source_files import Files, has_headings, heading, is_heading, path_of, split

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
    expected_effect: float  # change of what decisions read, below 0 is better; NaN if nothing was said
    blocks: tuple[Block, ...]
    whole_file: str | None  # the whole candidate; of a script with the files that were not given as they are
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
    files: list[tuple[str, str]] = field(default_factory=list)  # (path, text); path "" of train.py
    problems: list[str] = field(default_factory=list)
    closed: bool = False
    explained: bool = False  # its hypothesis came behind its edits

    @property
    def begun(self) -> bool:
        """There is more than prose."""
        return bool(self.hypothesis or self.blocks or self.files or self.problems or self.expected)


def parse_answer(text: str, *, cut: bool = False, script: ScriptFiles | None = None) -> tuple[ParsedIdea, ...]:
    """The ideas of an answer in order, the first eight; none if it holds none. `cut`: it ended at the token limit."""
    drafts = _Reader(_without_thoughts(text).split("\n"), script).drafts()
    tagged = next((place for place, draft in enumerate(drafts) if draft.tagged), 0)
    drafts = drafts[tagged:]  # what stands before the first tag was thinking aloud
    if cut and drafts and not drafts[-1].closed:
        drafts[-1].problems.insert(
            0, "the answer ended at its token limit before this idea was complete; say it shorter"
        )
    return tuple(_idea(draft, script) for draft in drafts[:IDEAS])


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

    def __init__(self, lines: list[str], script: ScriptFiles | None) -> None:
        self._lines = lines
        self._script = script
        self._path = ""  # that the last head of a unified diff names
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
        """Without tags, edits behind an idea that was explained behind its own are another idea's."""
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


def _idea(draft: _Draft, script: ScriptFiles | None) -> ParsedIdea:
    hypothesis = " ".join(" ".join(draft.hypothesis or draft.prose).split())
    if len(hypothesis) > HYPOTHESIS:
        hypothesis = hypothesis[: HYPOTHESIS - 1].rstrip() + "…"
    problems = list(draft.problems)
    if not hypothesis:
        problems.append("there is no `hypothesis:` line")
    problems += _problems_in_edits(draft, script)
    return ParsedIdea(
        draft.number,
        hypothesis,
        _effect(draft.expected) * (1 if script is None else script.sign),
        tuple(draft.blocks),
        _whole_text(draft, script),
        "; ".join(problems),
    )


def _problems_in_edits(draft: _Draft, script: ScriptFiles | None) -> Iterator[str]:
    paths = [path for path, _ in draft.files]
    twice = sorted({path for path in paths if paths.count(path) > 1})
    if draft.blocks and draft.files:
        yield "there are SEARCH/REPLACE blocks and a whole file; give one of the two"
    elif twice and script is None:
        yield f"there are {len(draft.files)} whole files; give one"
    elif twice:
        yield f"{twice[0]} is given twice as a whole; give it once"
    elif not draft.blocks and not draft.files and not draft.problems:
        yield f"there is no SEARCH/REPLACE block and no {_name_whole(script)}"
    if script is not None:
        for path in sorted({path for path in paths if script.find(path) is None}):
            yield f"it gives a file {path}; expected {', '.join(script.paths)}, for no file can be added or renamed"


def _name_whole(script: ScriptFiles | None) -> str:
    if script is None:
        return "whole train.py"
    return f"whole file in a code block below a line `{heading(script.paths[0]).strip()}` that names it"


def _whole_text(draft: _Draft, script: ScriptFiles | None) -> str | None:
    """The candidate's text where whole files were given; None where they were not, or not rightly."""
    if not draft.files or draft.blocks:
        return None
    if script is None:
        return draft.files[0][1]
    return script.put({script.find(path) or path: text for path, text in draft.files})


def _effect(text: str) -> float:
    """The first number that was said."""
    match = NUMBER.search(text.replace("−", "-").replace("–", "-"))
    return float(match[0]) if match else math.nan
