"""What a conversation with a model is about, what its ideas must pass, and what came of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from autoresearch_ray.common.errors import ProviderError
from autoresearch_ray.propose.llm.calls import Answer, Prompt
from autoresearch_ray.propose.llm.repair import Reason
from autoresearch_ray.propose.llm.script_files import ScriptFiles


class DryRun(Protocol):
    """A cheap run of a candidate's text in the trial's sandbox."""

    async def __call__(self, text: str) -> str | None:
        """The end of its output if it failed, None if it works."""
        ...


@dataclass(frozen=True, slots=True)
class Alike:
    """An earlier idea that a new idea's hypothesis resembles."""

    name: str  # the trial's or proposal's name
    words: str  # its outcome, and its description


@dataclass(frozen=True, slots=True)
class Subject:
    """The subject of a conversation: what its ideas change."""

    name: str = "train.py"  # name in the prompt; "files" for several
    is_script: bool = False
    sign: int = 1  # factor to lower-is-better: -1 where higher is better

    def read(self, source: str) -> ScriptFiles | None:
        """How answers about this text are read; None for train.py of our contract."""
        return ScriptFiles(source, self.sign) if self.is_script else None


OURS = Subject()


@dataclass(frozen=True, slots=True)
class Gates:
    """What a text must pass before it may take a slot, from the cheapest to the dearest; `alike` only asks back."""

    check: Callable[[str], None]  # CandidateError: a rule refuses it
    find_duplicate: Callable[[str], str | None]  # the trial or queued proposal that it repeats
    dry_run: DryRun
    alike: Callable[[str], Alike | None] = lambda hypothesis: None  # an idea in other words that is or was tried


@dataclass(frozen=True, slots=True)
class Idea:
    """A candidate that passed every gate."""

    number: int
    text: str
    normal_sha: str
    hypothesis: str
    expected_effect: float  # on what decisions read, below 0 is better; NaN if the model did not say
    repairs: int  # answers that it took after the first


@dataclass(frozen=True, slots=True)
class Rejection:
    """An idea that was given up, with its last failure."""

    number: int
    reason: Reason
    detail: str
    hypothesis: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """One call: what was sent and what came."""

    prompt: Prompt
    answer: Answer


@dataclass(frozen=True, slots=True)
class Conversation:
    """The outcomes of one conversation, and its exchanges."""

    outcomes: tuple[Idea | Rejection, ...]  # in order of their outcomes
    exchanges: tuple[Exchange, ...]
    error: ProviderError | None = None  # the call that ended it early; ideas accepted before stand

    @property
    def ideas(self) -> tuple[Idea, ...]:
        """The ideas that passed every gate."""
        return tuple(outcome for outcome in self.outcomes if isinstance(outcome, Idea))


Accept = Callable[[Idea], Awaitable[None]]
