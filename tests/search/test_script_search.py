"""The search over a script of several files: knobs of all of them, merges, parts and suggestions, without a process."""

import time
from pathlib import Path

import pytest
from small_run import settings_of, write_experiment

from autoresearch_ray.candidate.knobs import read_knobs, set_constants
from autoresearch_ray.candidate.rules import check_for
from autoresearch_ray.records.decisions import Standing, Step, StepKind
from autoresearch_ray.records.source_files import join
from autoresearch_ray.records.trials import Candidate, Result, Trial
from autoresearch_ray.search.merging import Merging
from autoresearch_ray.search.parts import CONFLICT, parts_of
from autoresearch_ray.search.queue_filler import ProposerLoop
from autoresearch_ray.search.search import Search
from autoresearch_ray.search.watches.suggestions import Suggestion, SuggestionWatch, leave_suggestion
from autoresearch_ray.settings.request import ask
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.settings.script_experiment import ScriptExperiment
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.sqlite.store import SqliteStore

MODEL = """WIDTH = 8  # search int(1, 64)


def build():
    # half of it
    return WIDTH // 2


def describe():
    return "wide"
"""
MAIN = """import model

LR = 0.5  # search log(0.01, 1)


def fit():
    return LR * model.build()


print("loss:", fit())
"""
KERNEL = """#define BLOCK 64  // search log_int(8, 256)
int main(void) {
    return BLOCK;
}
"""
TREE = join((("kernel.c", KERNEL), ("lib/model.py", MODEL), ("main.py", MAIN)))


@pytest.fixture
def settings(tmp_path: Path) -> RunSettings:
    ours = settings_of(ask(experiment=write_experiment(tmp_path), trials=60, slots=2, program=tmp_path / "program.md"))
    said = {"name": "tree", "budget_seconds": 1, "command": "python main.py", "metric": "loss"}
    files = ("kernel.c", "lib/model.py", "main.py")
    script = ScriptExperiment.model_validate({"contract": "script", "editable": files, **said})
    return ours.replace(experiment=script, baseline=TREE)


def test_a_tuner_moves_knobs_of_every_file_and_a_person_patches_one(settings: RunSettings, tmp_path: Path) -> None:
    said: list[str] = []
    with SqliteStore(tmp_path / "state.db") as store:
        board = Board(store)
        board.put_settings_once(settings.model_dump_json().encode())
        search, loop = Search(board, settings, tmp_path / "lineage", now=time.time), ProposerLoop(board, settings)
        watch = SuggestionWatch(board, settings, tmp_path, said.append)
        moved = set[str]()
        for _ in range(50):
            loop.fill()
            trial = search.next()
            assert isinstance(trial, Trial)
            text = board.candidates.get(trial.proposal.source_sha).text
            check_for(settings)(text, 0)
            values = {knob.name: knob.value for knob in read_knobs(text)}
            moved |= {knob.name for knob in read_knobs(TREE) if values[knob.name] != knob.value}
            loss = 1 + abs(float(values["LR"]) - 0.1) + abs(float(values["BLOCK"]) - 32) / 100
            search.finish(
                Result(trial.trial_id, "ok", val_bpb=loss, holdout_bpb=loss, total_seconds=1.0, strength="full")
            )
        assert moved == {"BLOCK", "WIDTH", "LR"}
        start = Candidate.of(TREE)
        leave_suggestion(
            tmp_path, Suggestion(TREE.replace("WIDTH // 2", "WIDTH // 3"), start.sha, "a third", time.time())
        )
        leave_suggestion(tmp_path, Suggestion(f"{TREE}#### file: new.py ####\n", start.sha, "a file", time.time() + 1))
        watch.take()
        assert len(said) == 2 and said[0] == "a person's idea is queued: a third"
        assert "a person's idea is not queued (a file)" in said[1] and "not the same in all three" in said[1]
        queued = next(proposal for proposal in board.queue() if proposal.proposer == "person")
        frontier = board.frontier()
        assert frontier is not None
        before = board.candidates.get(frontier.source_sha).text
        assert board.candidates.get(queued.source_sha).text == before.replace("WIDTH // 2", "WIDTH // 3")


def test_merges_of_a_script_keep_its_rules(settings: RunSettings, tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "state.db") as store:
        board = Board(store)
        parent = board.candidates.put(Candidate.of(TREE))
        frontier_text = set_constants(TREE, {"BLOCK": 128}).replace("WIDTH // 2", "WIDTH // 3")
        frontier = Standing(board.candidates.put(Candidate.of(frontier_text)), 2.0, 2.0, 15, 2, 0.0)
        merging = Merging(board, settings)
        idea = TREE.replace("import model", "import os\n\nimport model")
        assert merging.bring_onto(idea, parent, frontier) == frontier_text.replace(
            "import model", "import os\n\nimport model"
        )
        assert merging.bring_onto(TREE.replace("WIDTH // 2", "WIDTH // 4"), parent, frontier) is None
        assert merging.code_lines(parent) == 14


def test_a_best_of_several_files_is_taken_apart_file_by_file(settings: RunSettings) -> None:
    one = TREE.replace("return BLOCK;", "return BLOCK + 1;").replace('"wide"', '"narrow"')
    best = set_constants(one.replace("LR * model", "2 * LR * model"), {"BLOCK": 128})
    texts = {Candidate.of(text).sha: text for text in (TREE, one, best)}
    shas = list(texts)
    kinds: list[tuple[StepKind, str]] = [
        ("start", shas[0]),
        ("advance", shas[1]),
        ("advance", shas[2]),
        ("keep", shas[2]),
    ]
    steps = [
        Step(n, kind, sha, f"t{n}", "p", f"idea {n}", "person", 1.0, "", 0.0) for n, (kind, sha) in enumerate(kinds)
    ]
    parts = parts_of(steps, shas[0], shas[2], texts.__getitem__, check_for(settings))
    assert all(part.fault != CONFLICT for part in parts)
    found = {part.without for part in parts}
    assert set_constants(best, {"BLOCK": 64}) in found
    assert best.replace("2 * LR", "LR") in found
    assert best.replace("BLOCK + 1", "BLOCK") in found and best.replace('"narrow"', '"wide"') in found, "each hunk"
    assert best.replace("BLOCK + 1", "BLOCK").replace('"narrow"', '"wide"') in found, "and the whole"
