"""What a prompt says of the earlier run that this one starts from: what won, lost and failed there, in short lines.

    lessons = tell_lessons(view)          # once, when the new run begins: the view is the earlier run's
    text = earlier_text(earlier)          # of what was stored, for every prompt

No held-out score is in a view, so none is here.
"""

from collections.abc import Callable, Iterable, Iterator

from autoresearch_ray.common.text import last_line, one_line, printable
from autoresearch_ray.propose.llm.prompt.summary import area_lines, failure_groups
from autoresearch_ray.propose.llm.prompt.tokens import token_count
from autoresearch_ray.propose.llm.prompt.untrusted import QUOTE
from autoresearch_ray.propose.llm.prompt.view import SearchView
from autoresearch_ray.records.history import EarlierRun

LESSON_TOKENS = 500  # for all lessons; with the text before them a prompt takes some 600
IDEA, ERROR, CONDITIONS = 200, 100, 300  # characters

Count = Callable[[str], int]


def tell_lessons(view: SearchView, count: Count = token_count) -> str:
    """What the run of this view learned, in quoted lines; "" where it learned nothing."""
    told, left = [], LESSON_TOKENS
    the = "the files" if view.subject == "files" else view.subject
    for title, share, lines in (
        (f"Won, and in {the} already, the latest first:", 0.4, _list_wins(view)),
        ("Ideas for the code that lost, the worst first:", 0.45, _list_losses(view)),
        ("What failed, the most frequent first:", 0.5, _list_failures(view)),
        ("Changes of code by function, differences to the parent:", 1.0, area_lines(view)),
    ):
        text = _fill(title, lines, int(share * left), count)
        left -= count(text) + 1 if text else 0
        told.append(text)
    return "\n".join(filter(None, told))


def earlier_text(earlier: EarlierRun | None) -> str:
    """The section of a prompt; "" where there is nothing to tell."""
    if earlier is None or not earlier.lessons:
        return ""
    other = f" It ran under other conditions ({one_line(earlier.differs, CONDITIONS)})." if earlier.differs else ""
    return (
        f"# What an earlier run learned\n\nThis search starts from the best of run {one_line(earlier.tag, 64)}.{other} "
        f"Numbers and trials here are that run's.\n\n{earlier.lessons}"
    )


def _fill(title: str, lines: Iterable[str], budget: int, count: Count) -> str:
    """The title and the first lines that fit; "" without any."""
    text = ""
    for line in lines:
        longer = f"{text or title}\n{QUOTE}{printable(line)}"
        if count(longer) > budget:
            break
        text = longer
    return text


def _list_wins(view: SearchView) -> Iterator[str]:
    for step in reversed(view.steps):
        if step.kind == "keep":
            yield f"gain {view.words.amount(step.gain)}: {one_line(step.hypothesis, IDEA)}"


def _list_losses(view: SearchView) -> Iterator[str]:
    lost = [c for c in view.candidates if c.places and not c.taken and c.verdict == "discard" and c.difference > 0]
    for candidate in sorted(lost, key=lambda c: -c.difference):
        yield f"{view.words.change(candidate.difference)}: {one_line(candidate.hypothesis, IDEA)}"


def _list_failures(view: SearchView) -> Iterator[str]:
    for group in sorted(failure_groups(view.candidates), key=lambda group: -len(group)):
        latest = group[-1]
        reason = one_line(last_line(latest.error), ERROR)
        yield f"{len(group)}x {latest.status} ({reason}), the latest: {one_line(latest.hypothesis, IDEA)}"
