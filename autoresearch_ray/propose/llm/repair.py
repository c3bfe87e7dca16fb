"""What is said to a model about an answer that cannot be used as it is: which idea, what is wrong, what to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from autoresearch_ray.common.text import one_line
from autoresearch_ray.propose.llm.prompt.untrusted import quote_end
from autoresearch_ray.propose.llm.prompt.view import Form

Reason = Literal["edit", "rule", "duplicate", "alike", "dry_run", "answer"]

TRACE_LINES, TRACE_CHARACTERS = 24, 3_000
DETAIL = 4_000  # characters
WHAT = {
    "edit": "its edits do not apply",
    "rule": "a rule refuses it",
    "duplicate": "it is not new",
    "alike": "it is described like another",
    "dry_run": "it fails the dry run on the CPU",
    "answer": "it cannot be read",
}
EMPTY = "Your last answer had no text. Answer in the format of the system text."
THOUGHT = "You thought and gave no answer: the text was empty. Think less, and answer in the format of the system text."
CUT = (
    "Your last answer reached its limit of {tokens} tokens before an idea was complete. Think less, propose one idea, "
    "and give it as short SEARCH/REPLACE blocks."
)
UNREADABLE = (
    "There is no idea in this answer: expected `<idea 1>`, a `hypothesis:` line, `expected:`, SEARCH/REPLACE blocks "
    "and `</idea>`, as in the system text. Answer again in that format."
)
UNCHANGED = "{there}. Make one change to {it} that is worth a trial, then end with your last message."
MEND = (
    "Give each idea that you can mend once more and whole, under its number, with all its blocks against the "
    "{subject} shown at the start. Put a better idea in the place of one that cannot be mended, or leave it out."
)
MEND_FOLDER = "{there}. Mend {it} there, or put a better idea in {its} place, then end with your last message."
FILES = "files"  # word for several files


@dataclass(frozen=True, slots=True)
class Failure:
    """An idea that cannot be tried, and why."""

    number: int
    hypothesis: str
    reason: Reason
    detail: str


def ask_for_change(subject: str) -> str:
    """The request to an agent that left its folder unchanged."""
    if subject == FILES:
        return UNCHANGED.format(there="The files are as they were", it="them")
    return UNCHANGED.format(there=f"{subject} is as it was", it="it")


def repair_text(failures: Sequence[Failure], accepted: Sequence[int], form: Form, subject: str = "train.py") -> str:
    """The next turn of the user: the failed ideas, precisely. `subject` is what they change."""
    parts = [_failure_text(failure) for failure in failures]
    if accepted:
        parts.insert(0, f"Accepted, do not repeat: idea {', '.join(map(str, accepted))}.")
    return "\n\n".join([*parts, _ask_to_mend(form, subject)])


def _ask_to_mend(form: Form, subject: str) -> str:
    if form == "edits":
        return MEND.format(subject=subject)
    if subject == FILES:
        return MEND_FOLDER.format(there="The files in your folder are as you left them", it="them", its="their")
    return MEND_FOLDER.format(there=f"{subject} in your folder is as you left it", it="it", its="its")


def _failure_text(failure: Failure) -> str:
    head = f"Idea {failure.number} ({one_line(failure.hypothesis, 80)}): {WHAT[failure.reason]}."
    if failure.reason == "dry_run":
        return f"{head} The end of its output:\n{quote_end(failure.detail, TRACE_LINES, TRACE_CHARACTERS)}"
    return f"{head} {failure.detail[:DETAIL]}"
