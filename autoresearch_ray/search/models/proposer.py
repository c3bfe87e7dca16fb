"""One language model as a proposer: calls run ahead of the slots, and what passes every gate is queued.

A writer keeps slots and a few ideas waiting, with CALLS_AT_ONCE calls under way at most. A provider that fails makes it
pause and say so, and so does anything else that goes wrong in a conversation; the tuners go on meanwhile. One that
refuses for good (key, model, credit, limit) ends it. All on one event loop; what the store takes is done in threads.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from autoresearch_ray.candidate.normal_form import normal_sha
from autoresearch_ray.common.errors import (
    AutoresearchError,
    ProviderError,
    ProviderRefusedError,
    StoreError,
)
from autoresearch_ray.propose.director.subjects import subjects_of
from autoresearch_ray.propose.llm.conversation import Accept, Conversation, Gates, Idea, Rejection
from autoresearch_ray.propose.llm.metered import Call
from autoresearch_ray.propose.llm.prompt.rebase_text import RebaseView
from autoresearch_ray.propose.llm.prompt.view import Form, SearchView
from autoresearch_ray.propose.llm.window import Window
from autoresearch_ray.records.guidance import OPEN, Directives
from autoresearch_ray.records.proposers import MICROS, ProposerStatus, Refusal, RejectedIdea
from autoresearch_ray.records.trials import Candidate, Proposal
from autoresearch_ray.search.merging import reject_as_moved
from autoresearch_ray.search.models.access import Mind
from autoresearch_ray.search.models.arrivals import Arrivals, Asked
from autoresearch_ray.search.models.bill import Bill, calls_here
from autoresearch_ray.search.models.desk import Desk
from autoresearch_ray.search.models.pause import FAILED_SECONDS, pause_seconds
from autoresearch_ray.search.models.transcript import write_transcript
from autoresearch_ray.settings.proposer_spec import AGENT, OWN, ProposerSpec
from autoresearch_ray.store.rebases import idea_of

CALLS_AT_ONCE = 4  # of one model
AT_ONCE = {AGENT: 2, OWN: 1}  # an agent is a program that runs beside the trials; a class is not asked by two threads
IDEAS_A_CALL = 3  # of a model; an agent leaves one train.py
AHEAD = 2  # ideas waiting, beyond one a slot
FRUITLESS_SECONDS = (4.0, 240.0)  # and after a conversation without an idea: nothing new is likely at once
LOOK_SECONDS = 1.0
DETAIL = 1_000  # characters of the reason of a rejection that are kept
CONFLICT = "the frontier has moved on, and the two conflict"
MOVED = "the frontier changed, or another proposer had the same idea, while this one was made"

logger = logging.getLogger(__name__)


def form_of(spec: ProposerSpec) -> Form:
    """How this proposer gives its ideas."""
    return "folder" if spec.name == AGENT else "edits"


@dataclass(slots=True)
class Writer:
    """One model's share of the queue."""

    spec: ProposerSpec
    mind: Mind
    desk: Desk
    window: Window
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _under_way: set[asyncio.Task[None]] = field(default_factory=set)
    _rebasing: set[str] = field(default_factory=set)  # ideas that a conversation is about
    _asking: list[str] = field(default_factory=list)  # directions of the conversations under way
    _owed_micros: int = 0  # that was spent on what brought no idea: the next idea's to earn back
    _barren: int = 0  # conversations in a row that brought no idea
    _arrivals: Arrivals = field(init=False)
    _status: ProposerStatus = field(init=False)
    _ended: bool = False

    def __post_init__(self) -> None:
        desk = self.desk
        self._arrivals = Arrivals(self.spec.label, desk.board, desk.rebases, desk.bring_onto, desk.check)
        self._status = ProposerStatus(self.spec.label, "ok")

    @property
    def _ideas_a_call(self) -> int:
        return 1 if form_of(self.spec) == "folder" else IDEAS_A_CALL

    async def run(self) -> None:
        """Keep ideas coming until the provider refuses for good, or for ever."""
        await self._tell()
        async with asyncio.TaskGroup() as group:  # cancelled, it takes its conversations along
            while not self._ended:
                most = AT_ONCE.get(self.spec.name, CALLS_AT_ONCE)
                free = len(self._under_way) < (1 if self._barren else most)
                stale = next(iter(await self._stale_ideas()), None) if free else None
                if stale is not None or (free and self._count_wanted() > 0):
                    self._rebasing |= {idea_of(stale)} if stale is not None else set()
                    task = group.create_task(self._converse(stale))
                    self._under_way.add(task)
                    task.add_done_callback(self._under_way.discard)
                    task.add_done_callback(lambda _: self.changed.set())
                else:
                    await self._something_changed()
        with suppress(StoreError):  # left for the next launch
            for stale in await self._stale_ideas():
                await self._give_up(stale, ())

    async def _stale_ideas(self) -> list[Proposal]:
        """The ideas of this model that wait to be rebased, without those that a conversation is about."""
        waiting: list[Proposal] = []
        with suppress(StoreError):  # they are looked for again soon
            waiting = await asyncio.to_thread(self.desk.rebases.open)
        return [idea for idea in waiting if idea.proposer == self.spec.label and idea_of(idea) not in self._rebasing]

    def _count_wanted(self) -> int:
        """Ideas that nobody waits for yet and that no call under way will bring; 0 or less while none are wanted."""
        if not self.desk.has_scores():
            return 0
        coming = self._ideas_a_call * len(self._under_way)
        return self.desk.slots() + AHEAD - self.desk.waiting(self.spec.label) - coming

    async def _something_changed(self) -> None:
        self.changed.clear()
        with suppress(TimeoutError):  # `wait_for` of Python 3.11 may swallow a cancellation, `timeout` does not
            async with asyncio.timeout(LOOK_SECONDS):
                await self.changed.wait()

    async def _converse(self, stale: Proposal | None) -> None:
        """One conversation, for new ideas or a stale one, whatever becomes of it, and the pause if there is no idea."""
        calls: list[Call] = []
        calls_here.set(calls)
        queued: list[str] = []
        rejected = 0
        failure: Exception | None = None
        try:
            if stale is None:
                conversation = await self._conversation(calls, queued)
            else:
                conversation = await self._rebase(stale, calls, queued)
            failure = conversation.error
            rejected = sum(isinstance(outcome, Rejection) and outcome.number > 0 for outcome in conversation.outcomes)
        except AutoresearchError as error:  # such as a prompt that does not fit, whose program a person may shorten
            failure = error
        except Exception as error:  # a full disk, a bug: the next one may go well
            logger.exception("%s", self.spec.label)
            failure = error
        finally:
            self._rebasing -= {idea_of(stale)} if stale is not None else set()
        await self._after(calls, len(queued), rejected, failure)

    async def _conversation(self, calls: list[Call], queued: list[str]) -> Conversation:
        """Ask, queue what passes (its proposals' names are added to `queued`), and keep what was said."""
        number = self.desk.number()
        name = f"{self.spec.name}-{number:05d}"
        directives, direction = await self._choose_direction()
        view = self.desk.view(self._ideas_a_call)
        subjects = tuple(subjects_of(view.experiment))
        is_shared = len(self._under_way) > 1 and not directives.directions  # several calls see the same prompt
        view = replace(
            view,
            focus=subjects[number % len(subjects)] if is_shared else "",
            directives=None if directives.off else directives,
            siblings=self._asking.count(direction) if directives.directions else 0,
            direction="" if direction == OPEN else direction,
            form=form_of(self.spec),
        )
        parent, bill = Candidate.of(view.frontier.text).sha, Bill(calls)

        async def accept(idea: Idea) -> None:
            asked = Asked(direction, self._bill(bill))
            made = await asyncio.to_thread(self._arrivals.enqueue, idea, parent, f"w{name}-{idea.number}", asked)
            if made == "queued":
                queued.append(f"w{name}-{idea.number}")
            elif made == "duplicate":
                await self._remember(name, idea.number, "moved", idea.hypothesis, MOVED)

        gates = Gates(self.desk.check, self._find_duplicate, self.desk.dry_run, self.desk.alike)
        self._asking.append(direction)
        try:
            conversation = await self._hold_conversation(name, view, gates, calls, queued, accept)
        finally:
            self._asking.remove(direction)
            self._owed_micros += bill.take()
        for outcome in conversation.outcomes:
            if isinstance(outcome, Rejection) and outcome.number:
                await self._remember(name, outcome.number, outcome.reason, outcome.hypothesis, outcome.detail)
        return conversation

    async def _choose_direction(self) -> tuple[Directives, str]:
        """The newest directives, and which of their directions this asking is about."""
        directives = await asyncio.to_thread(self.desk.directives)
        if directives.off or not directives.directions:
            return directives, ""
        return directives, self.desk.choose_direction(directives, self._asking)

    def _bill(self, bill: "Bill") -> float:
        """Dollars that an idea has to earn back: of its conversation so far, and of those before that brought none."""
        owed, self._owed_micros = self._owed_micros + bill.take(), 0
        return owed / MICROS

    async def _rebase(self, stale: Proposal, calls: list[Call], queued: list[str]) -> Conversation:
        """Ask for a stale idea on the frontier as it is now; it is queued there, asked for again, or given up."""
        name, rebases = f"{self.spec.name}-{self.desk.number():05d}", self.desk.rebases
        texts = [self.desk.board.candidates.get(sha).text for sha in (stale.parent_sha, stale.source_sha)]
        merged = self.desk.bring_onto(texts[1], stale.parent_sha)
        ran_as = self.desk.ran_as(stale.proposal_id)
        asked = RebaseView(stale.hypothesis, texts[0], texts[1], ran_as, merged[0] if merged else "")
        view = replace(self.desk.view(1), rebase=asked, form=form_of(self.spec))
        if not await asyncio.to_thread(rebases.begin, stale):
            await self._give_up(stale, ())
            return Conversation((), ())
        parent, bill = Candidate.of(view.frontier.text).sha, Bill(calls)

        async def accept(idea: Idea) -> None:
            rebased = await asyncio.to_thread(self._arrivals.settle, stale, idea, parent, self._bill(bill))
            if rebased is not None:
                queued.append(rebased)

        gates = Gates(self.desk.check, self._find_duplicate, self.desk.dry_run)
        conversation = await self._hold_conversation(name, view, gates, calls, queued, accept)
        self._owed_micros += bill.take()
        if conversation.error is not None and not conversation.exchanges:
            await asyncio.to_thread(rebases.unask, stale)
        elif not queued and not conversation.ideas:  # one that came too late is asked for again
            await self._give_up(stale, conversation.outcomes)
        return conversation

    async def _give_up(self, stale: Proposal, outcomes: Sequence[Idea | Rejection]) -> None:
        """Its proposer has no answer: the next prompts tell of the idea as an open one."""
        said = [outcome.detail for outcome in outcomes if isinstance(outcome, Rejection)]
        words = f"{CONFLICT}; asked to rebase it, its proposer said: {said[-1]}" if said else CONFLICT
        await asyncio.to_thread(self.desk.rebases.give_up, stale, reject_as_moved(stale, words[:DETAIL]))

    async def _hold_conversation(
        self, name: str, view: SearchView, gates: Gates, calls: list[Call], queued: list[str], accept: Accept
    ) -> Conversation:
        """One conversation, and its transcript."""
        conversation = await self.mind.converse(view, gates, accept)
        await asyncio.to_thread(write_transcript, self.desk.folder / f"{name}.json.gz", calls, conversation, queued)
        return conversation

    async def _remember(self, name: str, number: int, refusal: Refusal, hypothesis: str, detail: str) -> None:
        """So that the next prompts tell of it."""
        idea = RejectedIdea(f"{name}-{number}", self.spec.label, refusal, hypothesis, detail[:DETAIL], time.time())
        await asyncio.to_thread(self.desk.board.notes.put_rejected, idea)

    async def _after(self, calls: list[Call], ideas: int, rejected: int, error: Exception | None) -> None:
        self._ended = self._ended or isinstance(error, ProviderRefusedError)
        before = self._status
        self._barren = 0 if ideas else self._barren + 1
        self._status = ProposerStatus(
            name=self.spec.label,
            state="stopped" if self._ended else "pausing" if error is not None else "ok",
            detail=before.detail if before.state == "stopped" else self._words(error) or self.window.remark,
            conversations=before.conversations + bool(calls),
            ideas=before.ideas + ideas,
            rejected=before.rejected + rejected,
            tokens=before.tokens + sum(call.charge.input_tokens + call.charge.output_tokens for call in calls),
            dollars=before.dollars + sum(call.charge.micros for call in calls) / 1e6,
        )
        await self._tell()
        if self._barren and not self._ended:
            bounds = FAILED_SECONDS if error is not None else FRUITLESS_SECONDS
            await asyncio.sleep(pause_seconds(self._barren, error, bounds))

    def _words(self, error: Exception | None) -> str:
        """What went wrong, in its own words and with the model's name."""
        if error is None or isinstance(error, ProviderError):
            return str(error or "")
        kind = "" if isinstance(error, AutoresearchError) else f"{type(error).__name__}: "
        return f"{self.spec.label}: {kind}{error}"

    async def _tell(self) -> None:
        with suppress(StoreError):  # the next word has this one in it
            await asyncio.to_thread(self.desk.board.notes.put_proposer, self._status)

    def _find_duplicate(self, text: str) -> str | None:
        proposal_id = self.desk.board.find_proposal(normal_sha(text))
        return None if proposal_id is None else self.desk.named(proposal_id)
