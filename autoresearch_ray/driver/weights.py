"""Keeps the trained model of the proven best in the run's folder: `--keep-weights best`.

The model is one that a run of the proof has trained: it exists already, and its score is part of the proof. Training
the best once more at the end would cost a run. It would also give another model with another score, because the same
time never gives the same steps.

So a slot's process server takes the model of every scored run of a proof apart (`benchmark/trial/split_model.py`). Both
files come with the trial's others, from another node through the depot. They are there before the result is. Nothing of
them goes into the store.

When a win is decided, the files of its lowest run are moved to `best/` here, and files that are no longer needed are
deleted. One run of each candidate that may be proven next is left, of MOST_WAITING candidates at most. What a killed
driver leaves is settled by the next one. `--storage` gets `best/` alone. If the best still has no weights (the option
came later, the machine that had them is lost), the search runs it once more (`Search._owes_weights`).
"""

import threading
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Self

from autoresearch_ray.benchmark.data.dataset import look_up
from autoresearch_ray.common.errors import StoreError, WeightsError
from autoresearch_ray.common.paths import BEST_FOLDER, CANDIDATE_FILE, KEPT_MODEL_FILES, TOKENIZER_FILE, TRIALS_FOLDER
from autoresearch_ray.records.decisions import Decision, Standing, Step
from autoresearch_ray.records.kept_model import KeptModel, finish_install, install, is_whole, read_kept
from autoresearch_ray.records.trials import Result, Trial
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.board import Board

MOST_WAITING = 2  # candidates whose model is kept until a proof: the target of a gain and that of a removal

Say = Callable[[str], None]
Listener = Callable[[Trial, Result, tuple[Decision, ...], tuple[Step, ...]], None]


class WeightKeeper:
    """Keeps the best's model in a thread of its own until the end of `with`; any thread may call `lacks`."""

    def __init__(self, board: Board, settings: RunSettings, folder: Path, say: Say) -> None:
        self._board, self._settings, self._folder, self._say = board, settings, folder, say
        self._lock = threading.Lock()
        self._waiting: dict[str, tuple[Trial, Result]] = {}  # keyed by trial id: the models that may be needed
        self._kept_sha = ""  # candidate whose model is stored as the best
        self._failure = ""
        self._changed, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._follow, name="weights", daemon=True)

    def after(self, listener: Listener) -> Listener:
        """A listener of decisions that calls another one, and looks at what they mean for the models."""

        def notify(trial: Trial, result: Result, decisions: tuple[Decision, ...], steps: tuple[Step, ...]) -> None:
            listener(trial, result, decisions, steps)
            if self._is_there(trial.trial_id):
                self._waiting[trial.trial_id] = (trial, result)
            if self._waiting or steps:
                self._changed.set()

        return notify

    def lacks(self) -> bool:
        """Whether the proven best has no weights here, and none that could be had without another run of it."""
        self._look()
        best = self._board.best()
        return best is not None and best.version > 1 and best.source_sha != self._kept_sha

    def __enter__(self) -> Self:
        finish_install(self._folder)
        try:
            kept = read_kept(self._folder)
            if kept is not None and is_whole(self._folder, kept):
                self._kept_sha = kept.source_sha
            elif kept is not None:
                self._say(f"{self._folder / BEST_FOLDER}: is not what was kept; the best's weights are made again")
        except WeightsError as error:
            self._say(f"{error}; the best's weights are made again")
        for partial in self._all_trials(".", ".part"):  # left by trials that were cut off: no slot runs now
            partial.unlink()
        there = {path.parent.name for path in self._all_trials("", "")}
        for trial in self._board.trials() if there else ():
            result = self._board.result(trial.trial_id) if trial.trial_id in there else None
            if result is not None:
                self._waiting[trial.trial_id] = (trial, result)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._ended.set()
        self._changed.set()
        self._thread.join()
        self._look()

    def _follow(self) -> None:
        while not self._ended.is_set():
            self._changed.wait()
            self._changed.clear()
            self._look()

    def _look(self) -> None:
        """Keep what is to be kept now, and delete what is not needed."""
        with self._lock:
            try:
                best = self._board.best()
                if best is not None and best.version > 1 and best.source_sha != self._kept_sha:
                    self._take(best)
                self._prune()
                self._failure = ""
            except (OSError, StoreError) as error:
                if str(error) != self._failure:
                    self._say(f"the best's weights are not kept yet ({error}); trying again after the next result")
                self._failure = str(error)

    def _take(self, best: Standing) -> None:
        """Move the model of the best's lowest run to its place, if there is one."""
        own = [one for one in tuple(self._waiting.values()) if one[0].proposal.source_sha == best.source_sha]
        own = [(trial, result) for trial, result in own if self._is_there(trial.trial_id)]
        if not own:
            return
        trial, result = min(own, key=lambda one: one[1].val_bpb)
        dataset = look_up(self._settings.train_experiment)
        if dataset is None or dataset.fingerprint != self._settings.dataset_fingerprint:
            raise OSError("the run's tokenizer is not in the cache any more")
        step = [step for step in self._board.steps() if step.kind == "keep"][-1]
        experiment = self._settings.train_experiment
        kept = KeptModel(
            tag=self._settings.tag,
            source_sha=best.source_sha,
            step=step.index,
            commit=self._board.commits().get(step.index, ""),
            trial_id=trial.trial_id,
            seed=trial.seed,
            val_bpb=result.val_bpb,
            vocab_size=dataset.vocab_size,
            seq_len=dataset.seq_len,
            device=self._settings.device,
            amp=experiment.amp,
            threads=max(1, int(experiment.cpus_per_trial)),
            isolation=self._settings.isolation,
            torch=version("torch"),
            files={},
        )
        folder = self._folder / TRIALS_FOLDER / trial.trial_id
        written = {
            CANDIDATE_FILE: self._board.candidates.get(best.source_sha).text.encode(),
            TOKENIZER_FILE: (dataset.folder / TOKENIZER_FILE).read_bytes(),
        }
        kept = install(self._folder, kept, {name: folder / name for name in KEPT_MODEL_FILES}, written)
        self._kept_sha = best.source_sha
        self._say(
            f"the best's trained model is kept: {trial.trial_id}, val_bpb {result.val_bpb:.4f}, "
            f"{kept.megabytes:.1f} MB in {self._folder.name}/{BEST_FOLDER}"
        )

    def _prune(self) -> None:
        """Leave one run of each of the latest candidates that are not the best yet."""
        by_source: dict[str, list[tuple[Trial, Result]]] = {}
        for trial, result in sorted(self._waiting.values(), key=lambda one: one[1].val_bpb):
            by_source.setdefault(trial.proposal.source_sha, []).append((trial, result))
        by_source.pop(self._kept_sha, None)
        latest = {sha: max(int(trial.trial_id.lstrip("t")) for trial, _ in runs) for sha, runs in by_source.items()}
        newest = [by_source[sha] for sha in sorted(latest, key=latest.__getitem__)[-MOST_WAITING:]]
        needed = {runs[0][0].trial_id for runs in newest}
        for trial_id in self._waiting.keys() - needed:
            for name in KEPT_MODEL_FILES:
                (self._folder / TRIALS_FOLDER / trial_id / name).unlink(missing_ok=True)
            del self._waiting[trial_id]

    def _is_there(self, trial_id: str) -> bool:
        return all((self._folder / TRIALS_FOLDER / trial_id / name).exists() for name in KEPT_MODEL_FILES)

    def _all_trials(self, before: str, behind: str) -> Iterator[Path]:
        for name in KEPT_MODEL_FILES:
            yield from (self._folder / TRIALS_FOLDER).glob(f"*/{before}{name}{behind}")
