"""A proposer of one's own: a class with one method, from a view of the search to ideas.

    from autoresearch_ray.propose.own import OwnIdea

    class Mine:
        def propose(self, view):            # propose/llm/prompt/view.py says what a view has
            text = view.frontier.text.replace("SOFTCAP = 15.0", "SOFTCAP = 30.0")
            return [OwnIdea(text, "A wider cap lets rare tokens be told apart.")]

`--proposer own:package.module:Mine` names it, and `own:NAME` one that an installed package gives by an entry point of
the group `autoresearch_ray.proposers`. It is made once, without arguments, in the process that proposes; `propose` is
called in a thread, one call at a time, as often as ideas are wanted. An idea is a whole train.py, or of a script all
its files as `view.frontier.text` has them. It passes the gates of every model; what is refused or failed stands in
later views. An exception makes the proposer pause.

A tuner of one's own has `suggest` (`KnobTuner`) and is named by `--proposer tuner:package.module:Class`, or by an entry
point of the group `autoresearch_ray.tuners`.
"""

import asyncio
import importlib
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Protocol

from autoresearch_ray.candidate.knobs import Knob
from autoresearch_ray.candidate.ranges import Value
from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.propose.llm.answer import ParsedIdea
from autoresearch_ray.propose.llm.conversation import Accept, Conversation, Gates
from autoresearch_ray.propose.llm.prompt.view import SearchView
from autoresearch_ray.propose.llm.session import settle_ideas
from autoresearch_ray.propose.tuner.tuner import Observation, Suggestion, suggestion_of

GROUP, TUNER_GROUP = "autoresearch_ray.proposers", "autoresearch_ray.tuners"
PAUSE_SECONDS = 15.0  # pause after a failed call


@dataclass(frozen=True, slots=True)
class OwnIdea:
    """A whole candidate, and why it should score better."""

    text: str
    hypothesis: str
    expected_effect: float = math.nan  # expected change of val_bpb as in the view; below 0 is better


class Proposer(Protocol):
    """The interface of a proposer class of one's own."""

    def propose(self, view: SearchView) -> Iterable[OwnIdea]:
        """Ideas on `view.frontier.text`, as many as `view.ideas` or fewer; none if nothing comes to mind."""


class OwnProposer:
    """One's own class, asked as models are."""

    def __init__(self, proposer: Proposer) -> None:
        self._proposer = proposer

    async def converse(self, view: SearchView, gates: Gates, accept: Accept) -> Conversation:
        """Pass its ideas through all gates. Its exceptions go on to the caller."""
        ideas = list(await asyncio.to_thread(lambda: list(self._proposer.propose(view))))
        for idea in ideas:
            if not isinstance(idea, OwnIdea):
                raise TypeError(f"propose gave a {type(idea).__name__}, expected an OwnIdea")
        parsed = (
            ParsedIdea(number, " ".join(idea.hypothesis.split()), idea.expected_effect, (), idea.text, "")
            for number, idea in enumerate(ideas, start=1)
        )
        return await settle_ideas(tuple(parsed), view.frontier.text, gates, accept)


class KnobTuner(Protocol):
    """The interface of a tuner class of one's own."""

    def suggest(
        self, knobs: Sequence[Knob], observations: Sequence[Observation], running: Sequence[Mapping[str, Value]]
    ) -> Mapping[str, Value] | None:
        """New values of some of the frontier's knobs, by name; None if nothing is left to try.

        `observations` are the latest 2,000 results, the oldest first, those of an earlier run before all others: values
        by knob and J, lower is better, NaN of a failure. `running` are the values in flight and in the queue. What was
        tried is not tried again: it is asked once more, eight times at most.
        """


class OwnTuner:
    """One's own tuner, whose faults make it pause."""

    def __init__(self, tuner: KnobTuner, say: Callable[[str], None]) -> None:
        """`say` is given what is wrong with it, and "" when it is well again."""
        self._tuner, self._say = tuner, say
        self._fault, self._until = "", 0.0

    def suggest(
        self, knobs: Sequence[Knob], observations: Sequence[Observation], running: Sequence[Mapping[str, Value]]
    ) -> Suggestion | None:
        """See `Tuner.suggest`."""
        if not knobs or time.monotonic() < self._until:
            return None
        fault, found = "", None
        try:
            values = self._tuner.suggest(knobs, observations, running)
            fault = "" if values is None else _fault_of(knobs, values)
            if values is not None and not fault:
                found = suggestion_of(knobs, {knob.name: values.get(knob.name, knob.value) for knob in knobs})
        except Exception as error:  # noqa: BLE001  # whatever a class of one's own raises
            fault = f"{type(error).__name__}: {error}"
        self._until = time.monotonic() + PAUSE_SECONDS if fault else 0.0
        if fault != self._fault:
            self._say(fault)
        self._fault = fault
        return found


def _fault_of(knobs: Sequence[Knob], values: Mapping[str, Value]) -> str:
    ranges = {knob.name: knob.range for knob in knobs}
    for name, value in values.items():
        if name not in ranges:
            return f"suggest gave {name}, expected names of knobs: {', '.join(ranges)}"
        if not ranges[name].contains(value):
            return f"suggest gave {name} = {value!r}, expected a value of {ranges[name]}"
    return ""


def load_proposer(where: str) -> Proposer:
    """The object that `own:WHERE` names: of a module's class, or of an entry point. SettingsError."""
    proposer: Proposer = _load("own", where, GROUP, "propose", "propose(self, view)")
    return proposer


def load_tuner(where: str) -> KnobTuner:
    """The object that `tuner:WHERE` names, likewise. SettingsError."""
    tuner: KnobTuner = _load("tuner", where, TUNER_GROUP, "suggest", "suggest(self, knobs, observations, running)")
    return tuner


def _load(kind: str, where: str, group: str, method: str, signature: str) -> Any:
    module, _, name = where.partition(":")
    try:
        if name:
            made = getattr(importlib.import_module(module), name)()
        else:
            found = list(entry_points(group=group, name=where))
            if not found:
                raise LookupError("no installed package has it; expected package.module:Class")
            made = found[0].load()()
    except Exception as error:  # noqa: BLE001  # whatever a class of one's own raises where it is made
        raise SettingsError(f"--proposer {kind}:{where}: cannot be made ({type(error).__name__}: {error})") from None
    if not callable(getattr(made, method, None)):
        raise SettingsError(f"--proposer {kind}:{where}: has no method {method}; expected {signature}")
    return made
