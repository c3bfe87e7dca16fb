"""A run with a win whose model was trained by a real slot and kept, without Ray: what tests of kept models read."""

from dataclasses import replace
from pathlib import Path

import pytest
from stored_run import BETTER, run_folder

from autoresearch_ray.benchmark.data.dataset import prepare
from autoresearch_ray.benchmark.trial.job import job_for
from autoresearch_ray.benchmark.trial.slot import Slot
from autoresearch_ray.common.paths import BEST_FOLDER, KEPT_FILE, TRIALS_FOLDER
from autoresearch_ray.driver.weights import WeightKeeper
from autoresearch_ray.records.codec import to_json
from autoresearch_ray.records.kept_model import FILES, KeptModel, describe_file, read_kept
from autoresearch_ray.records.trials import Candidate, Proposal, Result, Trial
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.sqlite.store import SqliteStore

SEED = 7


def kept_run(folder: Path) -> Path:
    """A run whose best, BETTER, was run by trial t00002 for its proof, and is kept; the cache is in `folder`/home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTORESEARCH_HOME", str(folder / "home"))
        run = run_folder(folder, BETTER)
        with SqliteStore(run / "state.db") as store:
            board = Board(store)
            settings = keeping(board)
            trial = prove(board, 2)
            result = train(settings, run / TRIALS_FOLDER / trial.trial_id)
            assert result.status == "ok", result.error
            board.finish(replace(result, trial_id=trial.trial_id))
            said: list[str] = []
            with WeightKeeper(board, settings, run, said.append):
                pass
    assert len(said) == 1 and said[0].startswith("the best's trained model is kept: t00002, val_bpb "), said
    return run


def keeping(board: Board) -> RunSettings:
    """The run's settings, from now on with --keep-weights best and its data looked at."""
    settings = RunSettings.model_validate_json(board.settings() or b"")
    found = prepare(settings.train_experiment).fingerprint
    settings = settings.replace(keep_weights="best", dataset_fingerprint=found)
    board.put_settings(settings.model_dump_json().encode())
    return settings


def prove(board: Board, number: int, text: str = BETTER) -> Trial:
    """A run of this candidate for a proof, under way."""
    sha = board.candidates.put(Candidate.of(text))
    proposal = Proposal(f"r{number:05d}", "replicate", "search", sha, sha, 1, "frontier again, for its proof")
    trial = Trial(f"t{number:05d}", proposal, "prove", seed=SEED, claimed_at=0.0)
    assert board.start(trial)
    return trial


def train(settings: RunSettings, folder: Path, text: str = BETTER) -> Result:
    """One real trial as a proof runs it, its model kept in `folder`."""
    experiment = settings.train_experiment
    dataset = str(prepare(experiment).folder)
    job = job_for(experiment, text, dataset, SEED, device="cpu", memory_mb=2000, strength="full", keep=True)
    with Slot(1) as slot:
        list(slot.run(job, folder))
    return slot.result


def change_kept(run: Path, name: str, content: bytes) -> KeptModel:
    """Another file in the place of a kept one, whose record says that it belongs there."""
    place = run / BEST_FOLDER
    (place / name).write_bytes(content)
    kept = read_kept(run)
    assert kept is not None
    kept = replace(kept, files={file: describe_file(place / file) for file in FILES})
    (place / KEPT_FILE).write_text(to_json(kept))
    return kept
