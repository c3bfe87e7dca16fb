"""A run's folder as a search leaves it, made without one: its start, its frontier's advances, and a win."""

from dataclasses import replace
from pathlib import Path

from small_run import CANDIDATE, measure_baseline, settings_of, write_experiment

from autoresearch_ray.candidate.normal_form import code_lines
from autoresearch_ray.records.decisions import Standing, Step
from autoresearch_ray.records.trials import Candidate
from autoresearch_ray.settings.request import ask
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.sqlite.store import SqliteStore

SGD = "torch.optim.SGD(model.parameters(), lr=LR)"
START = CANDIDATE.replace("LR = 0.1 ", "LR = 0.001 ")  # it hardly learns
BETTER = START.replace(SGD, "torch.optim.Adam(model.parameters(), lr=0.03)")


def run_folder(folder: Path, *advances: str) -> Path:
    """A run of the small experiment whose frontier came to these texts, the last of which is proven, in its store."""
    settings = settings_of(ask(experiment=write_experiment(folder, START), program=folder / "program.md"))
    run = folder / "run"
    run.mkdir()
    with SqliteStore(run / "state.db") as store:
        board = Board(store)
        board.put_settings(settings.model_dump_json().encode())
        measure_baseline(board, settings)
        steps = [step_to(board, 1, "start", settings.baseline)]
        steps += [step_to(board, index, "advance", text) for index, text in enumerate(advances, start=2)]
        if advances:
            keep = step_to(board, len(steps) + 1, "keep", advances[-1])
            steps.append(replace(keep, val_bpb=0.5, gain=1.0, gain_low=0.9, gain_high=1.1, probability=0.999))
        text = advances[-1] if advances else settings.baseline
        last = Standing(steps[-1].source_sha, 1.5, 1.5, code_lines(text), len(steps), 0.0)
        assert board.settle(0, b"", frontier=last, best=last, steps=steps)
    return run


def step_to(board: Board, index: int, kind: str, text: str) -> Step:
    sha = board.candidates.put(Candidate.of(text))
    return Step(index, kind, sha, "t00001", "p", "a hypothesis", "x", 1.5, "a reason", 0.0)  # type: ignore[arg-type]
