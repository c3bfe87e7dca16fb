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
from dataclasses import dataclass

from autoresearch_ray.propose.llm.drafts import AnswerReader, Draft
from autoresearch_ray.propose.llm.edits import Block
from autoresearch_ray.propose.llm.script_files import ScriptFiles
from autoresearch_ray.records.source_files import heading

HYPOTHESIS = 600  # characters
IDEAS = 8  # most ideas read from an answer

NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ParsedIdea:
    """One idea of an answer. Without a problem it has either blocks or a whole file."""

    number: int | None  # the model's own number; None without one
    hypothesis: str
    expected_effect: float  # change of what decisions read, below 0 is better; NaN if nothing was said
    blocks: tuple[Block, ...]
    whole_file: str | None  # the whole candidate; of a script with the files that were not given as they are
    problem: str  # "" if it can be tried


def parse_answer(text: str, *, cut: bool = False, script: ScriptFiles | None = None) -> tuple[ParsedIdea, ...]:
    """The ideas of an answer in order, the first eight; none if it holds none. `cut`: it ended at the token limit."""
    drafts = AnswerReader(_without_thoughts(text).split("\n"), script).drafts()
    tagged = next((index for index, draft in enumerate(drafts) if draft.tagged), 0)
    drafts = drafts[tagged:]  # text before the first tag was thinking aloud
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


def _idea(draft: Draft, script: ScriptFiles | None) -> ParsedIdea:
    hypothesis = " ".join(" ".join(draft.hypothesis or draft.prose).split())
    if len(hypothesis) > HYPOTHESIS:
        hypothesis = hypothesis[: HYPOTHESIS - 1].rstrip() + "…"
    problems = list(draft.problems)
    if not hypothesis:
        problems.append("there is no `hypothesis:` line")
    problems += _problems_in_edits(draft, script)
    number = NUMBER.search(draft.expected.replace("−", "-").replace("–", "-"))
    effect = float(number[0]) if number else math.nan
    return ParsedIdea(
        draft.number,
        hypothesis,
        effect * (1 if script is None else script.sign),
        tuple(draft.blocks),
        _whole_text(draft, script),
        "; ".join(problems),
    )


def _problems_in_edits(draft: Draft, script: ScriptFiles | None) -> Iterator[str]:
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


def _whole_text(draft: Draft, script: ScriptFiles | None) -> str | None:
    """The candidate's text where whole files were given; None where they were not, or not rightly."""
    if not draft.files or draft.blocks:
        return None
    if script is None:
        return draft.files[0][1]
    return script.put({script.find(path) or path: text for path, text in draft.files})
