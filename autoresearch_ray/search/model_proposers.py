"""All language models of a run, on one event loop in a thread of the proposer actor.

    with closing(Writers(board, settings, folder, keys)) as writers:
        writers.absorb(batch.events)       # of every watch; the past that prompts are made of is kept here

Keys come in as plain text, because they have travelled here, and go no further than to the SDKs.
"""

import asyncio
import itertools
import logging
import math
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

from autoresearch_ray.benchmark.data.dataset import Dataset, look_up
from autoresearch_ray.benchmark.data.reference import score_counts
from autoresearch_ray.benchmark.trial.dryrun import DryRunner
from autoresearch_ray.benchmark.trial.job import job_for
from autoresearch_ray.candidate.normal_form import code_lines
from autoresearch_ray.candidate.rules import check_candidate
from autoresearch_ray.codec import from_json
from autoresearch_ray.decide.state import SearchState
from autoresearch_ray.paths import CALLS_FOLDER
from autoresearch_ray.propose.llm.metered import Call, Metered
from autoresearch_ray.propose.llm.prompt.earlier_text import earlier_text
from autoresearch_ray.propose.llm.prompt.past import Moment, Past
from autoresearch_ray.propose.llm.prompt.untrusted import quote_end
from autoresearch_ray.propose.llm.prompt.view import ExperimentView, SearchView
from autoresearch_ray.propose.llm.providers.keys import Key
from autoresearch_ray.propose.llm.providers.retry import Retrying
from autoresearch_ray.propose.llm.session import Alike
from autoresearch_ray.propose.llm.spending import Spending
from autoresearch_ray.propose.llm.window import Window
from autoresearch_ray.propose.own import OwnProposer, load_proposer
from autoresearch_ray.records import Candidate, Decision, Proposal, RejectedIdea, Result, Standing, Step, Trial
from autoresearch_ray.search.merging import Merging
from autoresearch_ray.search.model_access import AskedMind, Mind, Model, connect_model, price_of
from autoresearch_ray.search.model_proposer import Desk, Writer, calls_here
from autoresearch_ray.settings import MODELS, OWN, ProposerSpec, RunSettings
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.contract import Event
from autoresearch_ray.store.earlier import read_earlier
from autoresearch_ray.store.rebases import Rebases

CONVERSATION = re.compile(rf"w?(?:{'|'.join(MODELS)})-(\d+)")  # in the names of transcripts, ideas and proposals

logger = logging.getLogger(__name__)


class Writers:
    """The models' side of the proposer actor, at work as soon as it is made. Any thread may `absorb` and `close`."""

    def __init__(self, board: Board, settings: RunSettings, folder: Path, keys: Mapping[str, str]) -> None:
        """SettingsError where a model cannot be set up; then nothing was started."""
        self._board, self._settings, self._folder = board, settings, folder
        self._keys = {label: Key(text) for label, text in keys.items()}
        self._specs = [spec for spec in settings.proposers if spec.name in MODELS]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="writers", daemon=True)
        self._closing = threading.Lock()
        self._died: BaseException | None = None
        self._merging = Merging(board, settings)
        self._queue: dict[str, Proposal] = {}
        self._past = Past(lambda sha: board.candidate(sha).text)
        self._read_past()
        self._earlier = earlier_text(read_earlier(board.store)) if settings.from_run else ""
        self._numbers = itertools.count(1 + self._last_number())
        self._models: list[Model] = []
        spending = Spending(self._board.store, settings.max_cost_usd, settings.max_calls)
        self._writers = [self._writer(spec, spending) for spec in self._specs]
        self._task = self._loop.create_task(self._write())
        self._dry_runner = DryRunner(self._settings.experiment, self._settings.isolation, (self._folder,))
        self._thread.start()

    def close(self) -> None:
        """End every conversation and the dry runs, with their processes and files; from any thread, and twice."""
        with self._closing:
            with suppress(RuntimeError):  # the loop has ended already
                self._loop.call_soon_threadsafe(self._task.cancel)
            self._thread.join()
            self._dry_runner.close()

    def absorb(self, events: tuple[Event, ...]) -> None:
        """Learn from what was written to the board. Raises what the models' thread died of."""
        if self._died is not None:
            raise self._died
        with suppress(RuntimeError):  # closed meanwhile
            self._loop.call_soon_threadsafe(self._absorb, events)

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
            await asyncio.Event().wait()  # all have ended; the thread is ended from outside
        finally:
            for model in self._models:
                await model.close()

    def _mind(self, spec: ProposerSpec, window: Window, spending: Spending) -> Mind:
        if spec.name == OWN:
            return OwnProposer(load_proposer(spec.model))
        model = connect_model(spec, self._keys[spec.label], self._settings)
        self._models.append(model)
        price = price_of(spec, self._settings)
        return AskedMind(Retrying(Metered(model, spec.label, price, spending, on_call=_note)), window)

    def _writer(self, spec: ProposerSpec, spending: Spending) -> Writer:
        window = Window(self._settings.context_tokens or 0)
        desk = Desk(
            board=self._board,
            slots=lambda: self._settings.slots,
            has_scores=self._past.has_scores,
            view=self._view,
            number=lambda: next(self._numbers),
            named=self._past.name_of,
            ran_as=self._past.ran_as,
            alike=self._alike,
            waiting=lambda label: sum(proposal.proposer == label for proposal in self._queue.values()),
            bring_onto=self._bring_onto,
            rebases=Rebases(self._board.store),
            check=self._check,
            dry_run=self._dry_run,
            folder=self._folder / CALLS_FOLDER,
        )
        return Writer(spec, self._mind(spec, window, spending), desk, window)

    def _alike(self, hypothesis: str) -> Alike | None:
        found = self._past.find_alike(hypothesis, self._queue.values())
        if found is None:
            return None
        words = f"{self._past.name_of(found.proposal_id)}:\n{quote_end(found.hypothesis, 4, 600)}"
        return Alike(found.proposal_id, words)

    async def _dry_run(self, text: str) -> str | None:
        return await self._dry_runner.run(text)

    def _last_number(self) -> int:
        """Of a conversation so far, whoever held it, on this machine or another."""
        names = [path.name for path in (self._folder / CALLS_FOLDER).glob("*-*.json.gz")]
        names += [idea.name for idea in self._board.rejections()]
        names += [trial.proposal.proposal_id for trial in self._board.trials()]
        names += self._queue
        found = (CONVERSATION.match(name) for name in names)
        return max((int(match[1]) for match in found if match), default=0)

    def _read_past(self) -> None:
        """Everything so far, in the order that `Past` wants."""
        board = self._board
        for step in board.steps():
            self._past.note_step(step)
        for trial in board.trials():
            self._past.note_trial(trial)
        for result in board.results():
            self._past.note_result(result)
        for decision in board.decisions():
            self._past.note_decision(decision)
        for idea in board.rejections():
            self._past.note_rejection(idea)
        self._queue = {proposal.proposal_id: proposal for proposal in board.queue()}

    def _absorb(self, events: tuple[Event, ...]) -> None:
        for event in events:
            folder, _, name = event.kv.key.partition("/")
            if folder == "queue" and event.kind == "delete":
                self._queue.pop(name, None)
            if event.kind == "put":
                self._learn(folder, event.kv.value)
        for writer in self._writers:
            writer.changed.set()

    def _learn(self, folder: str, value: bytes) -> None:
        if folder == "settings":
            self._settings = RunSettings.model_validate_json(value)
        elif folder == "queue":
            proposal = from_json(Proposal, value)
            self._queue[proposal.proposal_id] = proposal
        elif folder == "trial":
            self._past.note_trial(from_json(Trial, value))
        elif folder == "result":
            self._past.note_result(from_json(Result, value))
        elif folder == "decision":
            self._past.note_decision(from_json(Decision, value))
        elif folder == "rejected":
            self._past.note_rejection(from_json(RejectedIdea, value))
        elif folder == "step":
            self._past.note_step(from_json(Step, value))

    def _view(self, ideas: int) -> SearchView:
        settings, frontier = self._settings, self._frontier()
        text, _ = self._board.search_state()
        ledger = (from_json(SearchState, text) if text is not None else SearchState()).ledger
        moment = Moment(
            program=self._program(),
            experiment=experiment_view(settings),
            complexity_price=settings.rules.complexity_price,
            advance_sd=settings.rules.worthwhile_sd,
            frontier=frontier,
            best=self._board.best() or frontier,
            noise_sd=ledger.sd,
            noise_degrees=ledger.degrees,
            queued=tuple(self._queue.values()),
            ideas=ideas,
        )
        return replace(self._past.view(moment), earlier=self._earlier)

    def _frontier(self) -> Standing:
        return self._board.frontier() or start_standing(self._settings.baseline)

    def _bring_onto(self, text: str, parent: str) -> tuple[str, str, int] | None:
        frontier = self._frontier()
        brought = self._merging.bring_onto(text, parent, frontier)
        return None if brought is None else (brought, frontier.source_sha, frontier.version)

    def _check(self, text: str) -> None:
        check_candidate(text, len(self._program().splitlines()))

    def _program(self) -> str:
        return self._board.program() or self._settings.program


def experiment_view(settings: RunSettings) -> ExperimentView:
    """What a prompt says of a run's experiment."""
    experiment = settings.experiment
    data = look_up(experiment)
    return ExperimentView(
        name=experiment.name,
        data=experiment.data,
        seq_len=experiment.seq_len,
        vocab_size=experiment.vocab_size,
        budget_seconds=experiment.budget_seconds,
        device=str(settings.hardware["device"]),
        amp=experiment.amp,
        slots=settings.slots,
        threads=max(1, int(experiment.cpus_per_trial)),
        gpus=settings.gpu_share,
        torch=settings.versions.get("torch", ""),
        train_tokens=data.train.tokens if data else 0,
        bytes_per_token=data.train_bytes_per_token if data else 0.0,
        document_tokens=data.train.tokens // max(1, data.train.documents) if data else 0,
        eval_tokens=data.val.tokens if data else 0,
        startup_seconds=job_for(experiment, "", "", 0, device="cpu", memory_mb=0).startup_limit,
        counted_bpb=_score_counts(data) if data else (),
    )


@cache
def _score_counts(data: Dataset) -> tuple[float, ...]:
    try:
        return score_counts(data)
    except (OSError, ValueError, MemoryError):  # the cache was cleared meanwhile: a prompt can do without
        return ()


def start_standing(baseline: str) -> Standing:
    """The starting candidate as the frontier, before it is measured."""
    nan = math.nan
    return Standing(Candidate.of(baseline).sha, nan, nan, code_lines(baseline), version=1, since=0.0)


def _note(call: Call) -> None:
    calls_here.get().append(call)
