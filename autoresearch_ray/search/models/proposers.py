"""All language models of a run, on one event loop in a thread of the proposer actor.

    with closing(Writers(board, settings, folder, keys)) as writers:
        writers.absorb(changes)            # of the board; the past that prompts are made of is kept here

Keys come in as plain text, because they have travelled here, and go no further than to the SDKs.
"""

import asyncio
import itertools
import logging
import re
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from autoresearch_ray.candidate.rules import check_for
from autoresearch_ray.common.errors import StoreError
from autoresearch_ray.common.paths import CALLS_FOLDER
from autoresearch_ray.propose.llm.calls import Ask
from autoresearch_ray.propose.llm.conversation import Alike
from autoresearch_ray.propose.llm.metered import Call, Metered
from autoresearch_ray.propose.llm.prompt.earlier_text import earlier_text
from autoresearch_ray.propose.llm.prompt.untrusted import quote_end
from autoresearch_ray.propose.llm.prompt.view import SearchView
from autoresearch_ray.propose.llm.providers.keys import Key
from autoresearch_ray.propose.llm.providers.retry import Retrying
from autoresearch_ray.propose.llm.spending import Spending
from autoresearch_ray.propose.llm.window import Window
from autoresearch_ray.propose.own import OwnProposer, load_proposer
from autoresearch_ray.records.guidance import NO_DIRECTIVES, OPEN, Directives
from autoresearch_ray.search.merging import Merging
from autoresearch_ray.search.models.access import AskedMind, Mind, Model, connect_model, price_of
from autoresearch_ray.search.models.bill import calls_here
from autoresearch_ray.search.models.desk import Desk
from autoresearch_ray.search.models.director import Director
from autoresearch_ray.search.models.dry_runs import make_dry_runner
from autoresearch_ray.search.models.experiment_view import experiment_view
from autoresearch_ray.search.models.proposer import Writer
from autoresearch_ray.search.past_reader import PastReader
from autoresearch_ray.settings.proposer_spec import MODELS, OWN, ProposerSpec
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.changes import Changes
from autoresearch_ray.store.earlier import read_earlier
from autoresearch_ray.store.rebases import Rebases

OPEN_SHARE = 0.5  # of the askings, beside the largest share of a direction: these may bring anything
CONVERSATION = re.compile(rf"w?(?:{'|'.join(MODELS)})-(\d+)")  # in the names of transcripts, ideas and proposals

logger = logging.getLogger(__name__)


class Writers:
    """The models' side of the proposer actor, at work as soon as it is made. Any thread may `absorb` and `close`."""

    def __init__(self, board: Board, settings: RunSettings, folder: Path, keys: Mapping[str, str]) -> None:
        """SettingsError where a model cannot be set up; then nothing was started."""
        self._board, self._folder = board, folder
        self._reader = PastReader(board, settings)
        self._keys = {label: Key(text) for label, text in keys.items()}
        self._specs = [spec for spec in settings.proposers if spec.name in MODELS]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="writers", daemon=True)
        self._closing = threading.Lock()
        self._died: BaseException | None = None
        self._merging = Merging(board, settings)
        self._earlier = earlier_text(read_earlier(board.store)) if settings.from_run else ""
        self._numbers = itertools.count(1 + self._last_number())
        self._models: list[Model] = []
        spending = Spending(self._board.store, settings.max_cost_usd, settings.max_calls)
        self._directives = NO_DIRECTIVES
        self._writers = [self._writer(spec, spending) for spec in self._specs]
        self._director = self._make_director(settings.director, spending) if settings.director else None
        self._task = self._loop.create_task(self._write())
        self._dry_runner = make_dry_runner(self._reader.settings, (self._folder,))
        self._thread.start()

    def close(self) -> None:
        """End every conversation and the dry runs, with their processes and files; from any thread, and twice."""
        with self._closing:
            with suppress(RuntimeError):  # the loop has ended already
                self._loop.call_soon_threadsafe(self._task.cancel)
            self._thread.join()
            self._dry_runner.close()

    def absorb(self, changes: Changes) -> None:
        """Learn from what was written to the board. Raises what the models' thread died of."""
        if self._died is not None:
            raise self._died
        with suppress(RuntimeError):  # closed meanwhile
            self._loop.call_soon_threadsafe(self._absorb, changes)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            return
        except BaseException as error:
            self._died = error  # `absorb` hands it on to whoever can say it and start afresh
            while isinstance(self._died, BaseExceptionGroup):
                self._died = self._died.exceptions[0]
            raise
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _write(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for writer in self._writers:
                    group.create_task(writer.run())
                if self._director is not None:
                    group.create_task(self._director.run())
            await asyncio.Event().wait()  # all have ended; the thread is ended from outside
        finally:
            for model in self._models:
                await model.close()

    def _mind(self, spec: ProposerSpec, window: Window, spending: Spending) -> Mind:
        if spec.name == OWN:
            return OwnProposer(load_proposer(spec.model))
        return AskedMind(self._ask(spec, spec.label, spending), window)

    def _ask(self, spec: ProposerSpec, who: str, spending: Spending) -> Ask:
        """The model as an Ask whose calls are paid and retried."""
        model = connect_model(spec, self._keys[spec.label], self._reader.settings)
        self._models.append(model)
        return Retrying(Metered(model, who, price_of(spec, self._reader.settings), spending, on_call=_note))

    def _make_director(self, spec: ProposerSpec, spending: Spending) -> Director:
        label = self._reader.settings.director_label
        return Director(
            label=label,
            ask=self._ask(spec, label, spending),
            board=self._board,
            view=lambda: self._view(0),
            folder=self._folder / CALLS_FOLDER,
            slots=lambda: self._reader.settings.slots,
        )

    def _writer(self, spec: ProposerSpec, spending: Spending) -> Writer:
        window = Window(self._reader.settings.context_tokens or 0)
        desk = Desk(
            board=self._board,
            slots=lambda: self._reader.settings.slots,
            has_scores=self._reader.past.has_scores,
            view=self._view,
            number=lambda: next(self._numbers),
            named=self._reader.past.name_of,
            ran_as=self._reader.past.ran_as,
            alike=self._alike,
            waiting=lambda label: sum(proposal.proposer == label for proposal in self._reader.queue.values()),
            bring_onto=self._bring_onto,
            rebases=Rebases(self._board.store),
            directives=self._read_directives,
            choose_direction=self._choose_direction,
            check=self._check,
            dry_run=self._dry_run,
            folder=self._folder / CALLS_FOLDER,
        )
        return Writer(spec, self._mind(spec, window, spending), desk, window)

    def _alike(self, hypothesis: str) -> Alike | None:
        found = self._reader.past.find_alike(hypothesis, self._reader.queue.values())
        if found is None:
            return None
        words = f"{self._reader.past.name_of(found.proposal_id)}:\n{quote_end(found.hypothesis, 4, 600)}"
        return Alike(found.proposal_id, words)

    async def _dry_run(self, text: str) -> str | None:
        return await self._dry_runner.run(text)

    def _last_number(self) -> int:
        """Of a conversation so far, whoever held it, on this machine or another."""
        names = [path.name for path in (self._folder / CALLS_FOLDER).glob("*-*.json.gz")]
        names += [idea.name for idea in self._board.notes.rejections()]
        names += [trial.proposal.proposal_id for trial in self._board.trials()]
        names += self._reader.queue
        found = (CONVERSATION.match(name) for name in names)
        return max((int(match[1]) for match in found if match), default=0)

    def _absorb(self, changes: Changes) -> None:
        self._reader.absorb(changes)
        for writer in self._writers:
            writer.changed.set()
        if self._director is not None:
            self._director.changed.set()

    def _view(self, ideas: int) -> SearchView:
        view = self._reader.view(ideas, experiment_view(self._reader.settings))
        return replace(view, earlier=self._earlier)

    def _read_directives(self) -> Directives:
        """The newest; where the store cannot be read, those of the last time."""
        with suppress(StoreError):
            self._directives = self._board.notes.directives(self._directives)
        return self._directives

    def _choose_direction(self, directives: Directives, asking: Sequence[str]) -> str:
        weights = {direction.name: direction.share for direction in directives.directions}
        weights[OPEN] = OPEN_SHARE * max(weights.values())
        waiting = Counter(proposal.direction for proposal in self._reader.queue.values())
        return self._reader.portfolio.furthest_behind(weights, weights, waiting + Counter(asking))

    def _bring_onto(self, text: str, parent: str) -> tuple[str, str, int] | None:
        frontier = self._reader.frontier()
        brought = self._merging.bring_onto(text, parent, frontier)
        return None if brought is None else (brought, frontier.source_sha, frontier.version)

    def _check(self, text: str) -> None:
        check_for(self._reader.settings)(text, len(self._reader.program().splitlines()))


def _note(call: Call) -> None:
    calls_here.get().append(call)
