"""The asking for one idea on a frontier that has moved: its own diff, and what has changed since it was made."""

import difflib
import re
from dataclasses import dataclass

from autoresearch_ray.common.text import one_line, printable
from autoresearch_ray.propose.llm.prompt.untrusted import QUOTE

DIFF_CHARACTERS = 20_000  # most of each diff: the conflict may stand at its end
WITHDRAWN = "no longer applies"
STANDS = "still applies"
SAYS_SO = re.compile(rf"^\W*{WITHDRAWN}\b(.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class RebaseView:
    """An idea and the text that it was made from; the frontier stands in the view that this is part of."""

    hypothesis: str
    base: str
    text: str
    ran_as: str = ""  # its trial and what came of it; "" if it has not run
    merged: str = ""  # the merge of the two texts; "" where they conflict


def rebase_text(rebase: RebaseView, frontier: str, lines_left: int | None, form: str, subject: str = "train.py") -> str:
    """What is asked for in the place of new ideas; `subject` is what they change. `lines_left` None: no limit."""
    earlier = "earlier files" if subject == "files" else f"an earlier {subject}"
    if form == "folder":
        bring = f"Bring this one idea into the {subject} of your folder, keeping what has won."
        withdraw = f"change nothing and end with one line: `{WITHDRAWN}:` and why."
    else:
        bring = (
            f"Bring this one idea onto the {subject} above: as `<idea 1>` in the format of the system text, with "
            f"blocks against the {subject} above, keeping what has won."
        )
        withdraw = f"answer with one line instead: `{WITHDRAWN}:` and why."
    if rebase.merged and form == "edits":
        met = (
            "Meanwhile other changes of code have won. The two merge as texts, but may not belong together. If the "
            f"merged text makes sense as it is, answer with one line: `{STANDS}`, and it is tried so. From that "
        )
    elif rebase.merged:
        met = "Meanwhile other changes of code have won. They may not belong together. From that "
    else:
        met = "Meanwhile other changes have won, and the two touch the same lines. From that "
    growth = "" if lines_left is None else f" It may grow by at most {max(0, lines_left)} lines."
    return "\n\n".join(
        (
            f"An idea of yours was made from {earlier}: {one_line(rebase.hypothesis, 600)}\n"
            + (f"There it ran as {rebase.ran_as}." if rebase.ran_as else "It has not run yet."),
            f"This was its change:\n{_quote_diff(rebase.base, rebase.text)}",
            f"{met}earlier text to the {subject} above this has changed:\n{_quote_diff(rebase.base, frontier)}",
            f"{bring} Add no other change.{growth} If the idea makes no "
            f"sense there any more, or stands there already, {withdraw}",
        )
    )


def withdrawal(answer: str) -> str | None:
    """Why a model gives an idea up, if its answer says so."""
    match = SAYS_SO.match(answer.strip())
    return match[1].strip(" :`*\n") or WITHDRAWN if match else None


def stands_as_merged(answer: str) -> bool:
    """Whether an answer takes the merged text as it is."""
    return re.fullmatch(rf"\W*{STANDS}\b.{{0,200}}", answer.strip(), re.IGNORECASE | re.DOTALL) is not None


def _quote_diff(before: str, after: str) -> str:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=2)
    text = "\n".join(QUOTE + printable(line) for line in list(lines)[2:])
    return text if len(text) <= DIFF_CHARACTERS else f"{text[:DIFF_CHARACTERS]}\n(and more)"
