"""A person's file or patch of a script's run goes to the file that it is of."""

import json
from pathlib import Path

import pytest
from scripts import FIT, KERNEL
from test_script_consult import settings

from autoresearch_ray.candidate.normal_form import code_lines
from autoresearch_ray.records.decisions import Standing, Step
from autoresearch_ray.records.source_files import join
from autoresearch_ray.records.trials import Candidate, Proposal, Result, Trial
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.sqlite.store import SqliteStore
from autoresearch_ray.suggest import main

FASTER = KERNEL.replace("i++", "i += 2")
PATCH = """\
--- a/lib/dot.c
+++ b/lib/dot.c
@@ -6,2 +6,2 @@
     double sum = 0;
-    for (int i = 0; i < size; i++)
+    for (int i = 0; i < size; i += 2)
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run whose start is measured."""
    folder = tmp_path / "run"
    folder.mkdir()
    made = settings(tmp_path)
    with SqliteStore(folder / "state.db") as store:
        board = Board(store)
        board.put_settings(made.model_dump_json().encode())
        sha = board.candidates.put(Candidate.of(made.baseline))
        start = Proposal("baseline", "baseline", "search", sha, sha, 1, "the baseline")
        board.start(Trial("t00001", start, "baseline", seed=1, claimed_at=0.0))
        board.finish(Result("t00001", "ok", val_bpb=-0.95))
        step = Step(1, "start", sha, "t00001", "p", "the start", "x", -0.95, "a reason", 0.0)
        standing = Standing(sha, -0.95, -0.95, code_lines(made.baseline), 1, 0.0)
        assert board.settle(0, b"", frontier=standing, best=standing, steps=[step])
    return folder


def suggest(run: Path, name: str, text: str) -> int:
    path = run.parent / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return main([str(run), str(path)])


@pytest.mark.parametrize(
    ("name", "text"),
    [("dot.c", FASTER), ("idea.patch", PATCH), ("all.txt", join((("dot.c", FASTER), ("fit.py", FIT))))],
)
def test_it_is_left_with_all_files(run: Path, name: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert suggest(run, f"mine/{name}", text) == 0
    assert capsys.readouterr().out == "passed the rules; the run takes it when it is resumed\n"
    (left,) = (run / "suggestions").iterdir()
    assert json.loads(left.read_text())["text"] == join((("dot.c", FASTER), ("fit.py", FIT)))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("other.c", FASTER, "is none of the files that may change (dot.c, fit.py)"),
        (
            "idea.patch",
            PATCH.replace("dot.c", "data.c"),
            "is for the file lib/data.c; expected one of dot.c, fit.py",
        ),
        ("dot.c", KERNEL + "// a comment\n", "does the same as t00001 of this run"),
        ("fit.py", FIT + "def (\n", "fit.py: "),
    ],
)
def test_what_is_none_is_one_line(
    run: Path, name: str, text: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert suggest(run, f"mine/{name}", text) == 2
    said = capsys.readouterr().err
    assert words in said and said.startswith("error: ") and said.count("\n") == 1
