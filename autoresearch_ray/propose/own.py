"""A proposer of one's own: a class with one method, from a view of the search to ideas.

    from autoresearch_ray.propose.own import OwnIdea

    class Mine:
        def propose(self, view):            # propose/llm/prompt/view.py says what a view has
            text = view.frontier.text.replace("SOFTCAP = 15.0", "SOFTCAP = 30.0")
            return [OwnIdea(text, "A wider cap lets rare tokens be told apart.")]

`--proposer own:package.module:Mine` names it, and `own:NAME` one that an installed package gives by an entry point of
the group `autoresearch_ray.proposers`. It is made once, without arguments, in the process that proposes; `propose` is
called in a thread, one call at a time, as often as ideas are wanted. An idea is a whole train.py and passes the gates
of every model; what is refused or failed stands in later views. An exception makes the proposer pause.
"""

import asyncio
import importlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Protocol

from autoresearch_ray.errors import SettingsError
from autoresearch_ray.propose.llm.answer import ParsedIdea
from autoresearch_ray.propose.llm.prompt.view import SearchView
from autoresearch_ray.propose.llm.session import Accept, Conversation, Gates, settle_ideas

GROUP = "autoresearch_ray.proposers"


@dataclass(frozen=True, slots=True)
class OwnIdea:
    """A whole train.py, and why it should score better."""

    text: str
    hypothesis: str
    expected_effect: float = math.nan  # on val_bpb, below 0 is better


class Proposer(Protocol):
    """What a class of one's own has."""

    def propose(self, view: SearchView) -> Iterable[OwnIdea]:
        """Ideas on `view.frontier.text`, as many as `view.ideas` or fewer; none if nothing comes to mind."""


class OwnProposer:
    """One's own class, asked as models are."""

    def __init__(self, proposer: Proposer) -> None:
        self._proposer = proposer

    async def converse(self, view: SearchView, gates: Gates, accept: Accept) -> Conversation:
        """Its ideas, through all gates. What it raises goes on to the caller."""
        ideas = list(await asyncio.to_thread(lambda: list(self._proposer.propose(view))))
        for idea in ideas:
            if not isinstance(idea, OwnIdea):
                raise TypeError(f"propose gave a {type(idea).__name__}, expected an OwnIdea")
        parsed = (
            ParsedIdea(number, " ".join(idea.hypothesis.split()), idea.expected_effect, (), idea.text, "")
            for number, idea in enumerate(ideas, start=1)
        )
        return await settle_ideas(tuple(parsed), view.frontier.text, gates, accept)


def load_proposer(where: str) -> Proposer:
    """The object that `own:WHERE` names: of a module's class, or of an entry point. SettingsError."""
    module, _, name = where.partition(":")
    try:
        if name:
            made = getattr(importlib.import_module(module), name)()
        else:
            found = list(entry_points(group=GROUP, name=where))
            if not found:
                raise LookupError("no installed package has it; expected package.module:Class")
            made = found[0].load()()
    except Exception as error:  # noqa: BLE001  # whatever a class of one's own raises where it is made
        raise SettingsError(f"--proposer own:{where}: cannot be made ({type(error).__name__}: {error})") from None
    if not callable(getattr(made, "propose", None)):
        raise SettingsError(f"--proposer own:{where}: has no method propose; expected propose(self, view)")
    proposer: Proposer = made
    return proposer
