"""One run from a request to its summary, as a function: `autoresearch_ray.run(...)` and the command line use it.

Everything that can be wrong with a request is found before Ray starts (`resolve.py`). The driver locks the run's
folder, starts the store and the proposer actor, and drives Ray Tune until the limits are reached or it is interrupted.
Trials that were running then run again under the same id when the run is resumed.
"""

import contextlib
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from autoresearch_ray.archive.backup import backups
from autoresearch_ray.archive.push import Pusher, find_remote
from autoresearch_ray.archive.restore import claim, storage_of
from autoresearch_ray.archive.upload import Uploads
from autoresearch_ray.benchmark.script.job import longest_job_seconds
from autoresearch_ray.cluster.metrics import metering
from autoresearch_ray.cluster.session import NAMESPACE, Cluster, dashboard_line, join_here, ray_for
from autoresearch_ray.cluster.settle import Capacity, settle
from autoresearch_ray.common.errors import SettingsError, StoreError
from autoresearch_ray.common.paths import LINEAGE, LOCK_FILE, SETTINGS_FILE, write_whole
from autoresearch_ray.common.text import one_line
from autoresearch_ray.driver.console import Progress, resume_command
from autoresearch_ray.driver.earlier_run import know
from autoresearch_ray.driver.interrupts import Interrupts
from autoresearch_ray.driver.new_run import program_path
from autoresearch_ray.driver.resolve import keep_folder, prepare_data, resolve
from autoresearch_ray.driver.tools.commands import WinCommand, announce_end
from autoresearch_ray.driver.tools.news import How, tell_end
from autoresearch_ray.driver.tools.tracking import Tracking
from autoresearch_ray.driver.weights import WeightKeeper
from autoresearch_ray.records.history import EarlierRun
from autoresearch_ray.search.lineage import Lineage
from autoresearch_ray.search.models.access import model_keys
from autoresearch_ray.search.search import Search
from autoresearch_ray.search.watches.directives import DirectivesWatch
from autoresearch_ray.search.watches.program import ProgramWatch
from autoresearch_ray.search.watches.suggestions import SuggestionWatch
from autoresearch_ray.settings.request import Request, ask
from autoresearch_ray.settings.run_settings import SQLITE, RequestedRun, RunSettings
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.connect import read_run

SILENT_SECONDS = 60.0  # a slot's longest silence beyond its trial's time limit

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended."""

    run_dir: Path
    interrupted: bool
    failure: str
    summary: tuple[str, ...]


def run(request: Request | None = None, **options: Any) -> RunOutcome:
    """Search until the run's limits, for notebooks and scripts: as `drive`, on the caller's Ray if it is on one.

        autoresearch_ray.run(experiment=Path("experiments/cpu.yaml"), trials=28, tag="monday")

    `options` are the fields of `request.Request`. One run at a time in a process. In a thread other than the main one
    no signal stops it.
    """
    return drive(join_here(request or ask(**options)))


def drive(request: Request) -> RunOutcome:
    """The run that was asked for, from its folder to its summary; the command line's.

    Raises AutoresearchError with one clear line where the command line ends with status 2.
    """
    progress = Progress(request.plain)
    with Interrupts() as interrupts:
        run, folder = resolve(request, progress.say)
        with (
            keep_folder(folder),
            _only_driver(folder),
            model_keys(run) as keys,
        ):  # keys first: preparing data may take long
            Lineage(folder / LINEAGE, folder.name)  # git's refusals are found before Ray starts
            fingerprint = prepare_data(run, progress.say)
            with ray_for(run) as cluster, _serving_files(run, folder, cluster):
                interrupts.listen()
                settings = settle(run, fingerprint, cluster, progress.say)
                progress.name_scores(settings.experiment.scoring)
                progress.say(dashboard_line(cluster))
                earlier = know(run, settings, progress.say)
                try:
                    launch = _Launch(settings, folder, request, progress)
                    outcome = _drive(launch, keys, interrupts, earlier, follows=run.follows)
                except Exception as error:
                    _tell_end(request, settings, RunOutcome(folder, False, one_line(str(error)), ()), progress)
                    raise
                _tell_end(request, settings, outcome, progress)
                return outcome


@contextlib.contextmanager
def _serving_files(run: RequestedRun, folder: Path, cluster: Cluster) -> Iterator[None]:
    """Nodes of a joined cluster get the run's data from here, and send their trials' files."""
    if not cluster.joined:
        yield
        return
    from autoresearch_ray.cluster.node_files import depot_of

    with depot_of(run, folder):
        yield


@contextlib.contextmanager
def _only_driver(folder: Path) -> Iterator[None]:
    lock = filelock.FileLock(folder / LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise SettingsError(f"{folder} is being run by another process; stop that one, or use another --tag") from None
    try:
        yield
    finally:
        lock.release()


@dataclass(frozen=True, slots=True)
class _Launch:
    """What all parts of one launch need."""

    settings: RunSettings
    folder: Path
    request: Request
    progress: Progress


def _drive(
    launch: _Launch, keys: dict[str, str], interrupts: Interrupts, earlier: EarlierRun | None, *, follows: bool
) -> RunOutcome:
    """The run itself; `follows`: it takes more slots when nodes join."""
    from autoresearch_ray.cluster.proposer_actor import proposing
    from autoresearch_ray.cluster.tune_searcher import RunSearcher, SlotWatch

    settings, folder, progress = launch.settings, launch.folder, launch.progress
    with contextlib.ExitStack() as stack:
        board, address = _open_board(stack, launch, earlier)
        uploads = _uploads(settings, folder, board, progress)
        listener = progress.note_decisions if uploads is None else uploads.after(progress.note_decisions)
        keeper = WeightKeeper(board, settings, folder, progress.say) if settings.keep_weights == "best" else None
        listener = listener if keeper is None else keeper.after(listener)
        lacks_weights = None if keeper is None else keeper.lacks
        search = Search(board, settings, folder / LINEAGE, listener=listener, lacks_weights=lacks_weights)
        capacity = Capacity(settings)
        searcher = RunSearcher(search, settings, folder, address, capacity if follows else None)
        silent_seconds = longest_job_seconds(settings.experiment) + SILENT_SECONDS
        watch = SlotWatch(search, searcher, settings.experiment.budget_seconds, silent_seconds)
        _tell_the_team(stack, launch, board, search, uploads)
        if uploads is not None:
            stack.enter_context(uploads.following(searcher.give_way))
        if keeper is not None:
            stack.enter_context(keeper)
        _hear_people(stack, launch, board)
        stack.enter_context(proposing(settings, address, folder, keys))
        stack.enter_context(progress.showing(folder, settings, search, watch))
        stack.enter_context(progress.hearing(board))
        stack.enter_context(metering(board, settings, search, watch))
        interrupts.search_begins(searcher.stop, resume_command(folder, settings))
        _fit(settings, searcher, watch, capacity)
    interrupted = interrupts.seen
    summary = progress.summary(folder, settings, interrupted)
    if uploads is not None:
        uploads.finish()
    return RunOutcome(folder, interrupted, searcher.failure, summary)


def _open_board(stack: contextlib.ExitStack, launch: _Launch, earlier: EarlierRun | None) -> tuple[Board, str]:
    """The run's store, held by this driver, with its settings in it; and where other processes find it."""
    from autoresearch_ray.store.connect import serving
    from autoresearch_ray.store.driver_lease import Tenure

    settings, folder = launch.settings, launch.folder
    store, address = stack.enter_context(serving(folder, settings, NAMESPACE, earlier))
    board = Board(store, stack.enter_context(Tenure(store, say=launch.progress.say)))
    board.put_settings(settings.model_dump_json().encode())
    board.note_launch(time.time())
    board.notes.forget_proposers()
    if settings.state == SQLITE:
        stack.enter_context(backups(store, folder))
    write_whole(folder / SETTINGS_FILE, (settings.model_dump_json(indent=2) + "\n").encode())
    return board, address


def _tell_the_team(
    stack: contextlib.ExitStack, launch: _Launch, board: Board, search: Search, uploads: Uploads | None
) -> None:
    """Wins to a git remote and a command, all trials to trackers, as far as the launch asks for them."""
    settings, folder, request, say = launch.settings, launch.folder, launch.request, launch.progress.say
    if request.push_to is not None:
        branch = f"refs/heads/autoresearch/{settings.tag}"
        ready = (lambda _: True) if uploads is None else uploads.holds
        stack.enter_context(Pusher(folder / LINEAGE, branch, find_remote(request.push_to), say, ready))
    if request.on_win is not None:
        stack.enter_context(WinCommand(request.on_win, board, settings, folder, say))
    for tracker in dict.fromkeys(request.log):
        stack.enter_context(Tracking(tracker, board, settings, folder, lambda: search.slots, say))


def _hear_people(stack: contextlib.ExitStack, launch: _Launch, board: Board) -> None:
    """What people write while the run goes: program.md, suggestions, directions."""
    program = program_path(launch.request.program, launch.settings.experiment)
    if program is not None:
        stack.enter_context(ProgramWatch(board, program))
    stack.enter_context(SuggestionWatch(board, launch.settings, launch.folder, launch.progress.say))
    stack.enter_context(DirectivesWatch(board, launch.folder, launch.progress.say))


def _tell_end(request: Request, settings: RunSettings, outcome: RunOutcome, progress: Progress) -> None:
    """Run the command of --on-end, if there is one."""
    if request.on_end is None:
        return
    how: How = "failed" if outcome.failure else "interrupted" if outcome.interrupted else "finished"
    try:
        history = read_run(outcome.run_dir)
    except StoreError as error:
        progress.say(f"--on-end: not told, for the run's store cannot be read ({error})")
        return
    news = tell_end(history, settings, outcome.run_dir, how, outcome.failure, outcome.summary)
    announce_end(request.on_end, news, progress.say)


def _uploads(settings: RunSettings, folder: Path, board: Board, progress: Progress) -> Uploads | None:
    """The run's uploads, its place in the storage taken; None without a storage."""
    if not settings.storage:
        return None
    storage = storage_of(settings.storage, settings.tag)
    claimed = claim(storage, settings, folder, board.store.revision())
    progress.say(f"stored in {storage.url} after every decision")
    return Uploads(storage, claimed, folder, progress.say, {result.trial_id for result in board.results()})


def _fit(settings: RunSettings, searcher: Any, watch: Any, capacity: Capacity) -> None:
    from ray import tune

    from autoresearch_ray.cluster.scheduling import PatientScheduler
    from autoresearch_ray.cluster.trial_actor import TrialActor
    from autoresearch_ray.cluster.tune_searcher import MOST_SLOTS, RunStopper

    scratch = tempfile.mkdtemp(prefix="autoresearch-tune-")  # a cache: the store is the truth
    tuner = tune.Tuner(
        TrialActor,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=PatientScheduler(capacity),
            num_samples=-1,
            max_concurrent_trials=MOST_SLOTS,  # the searcher has a limit of its own
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=settings.tag,
            storage_path=scratch,
            stop=RunStopper(searcher),
            callbacks=[watch],
            verbose=0,
            progress_reporter=tune.CLIReporter(),  # the reporter for notebooks clears the cell's output
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    try:
        tuner.fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
