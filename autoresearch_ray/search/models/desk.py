"""What all language models of a run share: the store, the queue, the past, and what an idea must pass."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from autoresearch_ray.propose.llm.conversation import Alike, DryRun
from autoresearch_ray.propose.llm.prompt.view import SearchView
from autoresearch_ray.records.guidance import Directives
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.rebases import Rebases


@dataclass(frozen=True, slots=True)
class Desk:
    """What all writers of a run share."""

    board: Board
    slots: Callable[[], int]
    has_scores: Callable[[], bool]  # whether anything was measured: before that there is nothing to go by
    view: Callable[[int], SearchView]  # how many ideas to ask for -> what the prompt is made of
    waiting: Callable[[str], int]  # a proposer's proposals in the queue
    number: Callable[[], int]  # of the next conversation
    named: Callable[[str], str]  # a proposal by its id, as a model knows it
    ran_as: Callable[[str], str]  # the same; "" if it has not run
    alike: Callable[[str], Alike | None]  # a hypothesis -> what it is like
    bring_onto: Callable[[str, str], tuple[str, str, int] | None]  # as of Arrivals
    rebases: Rebases
    directives: Callable[[], Directives]  # the newest
    choose_direction: Callable[
        [Directives, Sequence[str]], str
    ]  # those of conversations under way -> the next; "": any
    check: Callable[[str], None]
    dry_run: DryRun
    folder: Path  # of the transcripts
