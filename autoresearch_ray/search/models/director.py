"""The director: a model that reads all results every so often, and writes where the others are to look.

What it writes is the next version of the directives, or nothing: a person who writes meanwhile wins. It holds no state,
so one that is killed in a call writes nothing, and its successor asks again.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from autoresearch_ray.common.errors import (
    AutoresearchError,
    DirectivesError,
    ProviderError,
    ProviderRefusedError,
    StoreError,
)
from autoresearch_ray.propose.director.directives import parse_directives
from autoresearch_ray.propose.director.prompt import UNREADABLE, build_director_prompt
from autoresearch_ray.propose.llm.calls import Ask, Message
from autoresearch_ray.propose.llm.conversation import Conversation, Exchange
from autoresearch_ray.propose.llm.metered import Call
from autoresearch_ray.propose.llm.prompt.view import SearchView
from autoresearch_ray.records.guidance import Directives
from autoresearch_ray.records.proposers import ProposerStatus
from autoresearch_ray.search.models.bill import calls_here
from autoresearch_ray.search.models.pause import pause_seconds
from autoresearch_ray.search.models.transcript import write_transcript
from autoresearch_ray.store.board import Board

FIRST, EVERY, EVERY_SHARE = 10, 8, 0.1  # screens before the first version, and between two: this part of those so far
IDEAS = 4  # of models, that must have run between two versions
PATIENCE = 3.0  # times as many screens are waited for at most, where models are slow
REPAIRS = 1
LOOK_SECONDS = 1.0

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Director:
    """One model; on the event loop of the models that it directs."""

    label: str
    ask: Ask
    board: Board
    view: Callable[[], SearchView]
    folder: Path  # of the transcripts
    slots: Callable[[], int]
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _failures: int = 0

    async def run(self) -> None:
        """Write versions until the provider refuses for good, or for ever."""
        while True:
            before = await self._read()
            if before is not None and self._is_due(before):
                error = await self._direct(before)
                if isinstance(error, ProviderRefusedError):
                    return
                if error is not None:
                    await asyncio.sleep(pause_seconds(self._failures, error))
                continue
            self.changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self.changed.wait()

    async def _read(self) -> Directives | None:
        with contextlib.suppress(StoreError):  # they are looked at again soon
            return await asyncio.to_thread(self.board.notes.directives)
        return None

    def _is_due(self, before: Directives) -> bool:
        findings = self.view().findings
        if findings is None or before.is_closed:
            return False
        if before.author != self.label:
            return findings.results >= (before.results + 1 if before.version else FIRST)
        new, ideas = findings.results - before.results, findings.ideas - before.ideas
        every = max(EVERY, self.slots(), EVERY_SHARE * findings.results)
        return new >= every and (ideas >= IDEAS or new >= PATIENCE * every)

    async def _direct(self, before: Directives) -> Exception | None:
        """Ask and write; what went wrong, None if a version was written, by whomever."""
        calls: list[Call] = []
        calls_here.set(calls)
        error: Exception | None = None
        exchanges: list[Exchange] = []
        written = 0
        try:
            written = await self._converse(before, exchanges)
        except AutoresearchError as failed:
            error = failed
        except Exception as failed:
            logger.exception("%s", self.label)
            error = failed
        self._failures = self._failures + 1 if error is not None else 0
        conversation = Conversation((), tuple(exchanges), error if isinstance(error, ProviderError) else None)
        path = self.folder / f"director-{before.version + 1:05d}-{time.time():.0f}.json.gz"
        made = [f"directives {written}"] if written else []
        await asyncio.to_thread(write_transcript, path, calls, conversation, made)
        with contextlib.suppress(StoreError):
            await asyncio.to_thread(self.board.notes.put_proposer, self._status(error))
        return error

    async def _converse(self, before: Directives, exchanges: list[Exchange]) -> int:
        """The version that was written; 0 if somebody else was first."""
        view = self.view()
        assert view.findings is not None, "asked for only when there are findings"
        prompt = await asyncio.to_thread(build_director_prompt, view, before)
        while True:
            answer = await self.ask(prompt)
            exchanges.append(Exchange(prompt, answer))
            try:
                made = parse_directives(answer.text, before, self.label, view.findings.results, time.time())
                made = replace(made, ideas=view.findings.ideas)
                break
            except DirectivesError as error:
                if len(exchanges) > REPAIRS:
                    raise
                said = Message("assistant", answer.text.strip() or "(nothing)")
                asked = Message("user", UNREADABLE.format(fault=error))
                prompt = replace(prompt, messages=(*prompt.messages, said, asked))
        return made.version if await asyncio.to_thread(self.board.notes.put_directives, made) else 0

    def _status(self, error: Exception | None) -> ProposerStatus:
        if error is None:
            return ProposerStatus(self.label, "ok")
        is_over = isinstance(error, ProviderRefusedError)
        return ProposerStatus(self.label, "stopped" if is_over else "pausing", f"{self.label}: {error}")
