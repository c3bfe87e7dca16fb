"""What a script's candidates must keep to, and the ranges that an experiment gives to their constants."""

import pytest
from candidates import TRAIN
from trees import FILES, KERNEL, MODEL, PATHS, TREE, with_file

from autoresearch_ray.candidate.given_ranges import write_ranges
from autoresearch_ray.candidate.knobs import read_knobs, set_constants
from autoresearch_ray.candidate.rules import check_script
from autoresearch_ray.candidate.rules.script import MAX_BYTES
from autoresearch_ray.common.errors import CandidateError
from autoresearch_ray.records.source_files import join

LONE = "import os\n\nLR = 0.1\nprint(LR, os.getcwd())\n"
BROKEN = {
    "files: other.c added; expected exactly": TREE + "#### file: other.c ####\n",
    "files: train.py missing": join(FILES[:-1]),
    "files: run.sh twice": TREE + "#### file: run.sh ####\n",
    "run.sh, kernel.c, model.py, train.py in this order": join((FILES[0], FILES[3], FILES[1], FILES[2], FILES[4])),
    "run.sh: form: a zero byte": with_file("run.sh", ("kept", "\0")),
    "run.sh: form: character": with_file("run.sh", ("kept", "\ud800")),
    "train.py: form: the last line does not end": TREE.removesuffix("\n"),
    "model.py: syntax: line 1: '(' was never closed": with_file("model.py", ('"""A model."""', "x = (")),
    "model.py: syntax: line 12: 'return' outside function": with_file("model.py", ("DEPTH\n", "DEPTH\nreturn\n")),
    "knobs: kernel.c: line 3: knob BLOCK = 4": with_file("kernel.c", ("BLOCK 64 ", "BLOCK 4 ")),
    "knobs: model.py: line 6: another file has a knob DEPTH too": with_file(
        "model.py", ("DEPTH = 2\n", "DEPTH = 2  # search int(1, 4)\n")
    ),
    "model.py: elisions: line 11: the comment": with_file(
        "model.py", ("    return", "    # ... unchanged ...\n    return")
    ),
    "model.py: elisions: line 11: the statement `...`": with_file("model.py", ("return [width] * DEPTH", "...")),
    "kernel.c: elisions: line 10: the comment": with_file("kernel.c", ("return 2 * x;  // one", "// rest of the code")),
    "length: ": with_file("run.sh", ("kept", "x" * MAX_BYTES)),
}  # fmt: skip


def test_a_script_may_import_and_run_what_it_likes() -> None:
    check_script(TREE, PATHS, TREE)
    check_script(LONE, ["train.py"], LONE)
    check_script(with_file("model.py", ("from pathlib import Path", "import subprocess, os")), PATHS, TREE)
    check_script(join((("fit.c", KERNEL),)), ["fit.c"])


@pytest.mark.parametrize("fault", BROKEN)
def test_what_breaks_a_rule_is_refused_in_one_line_that_names_the_file(fault: str) -> None:
    with pytest.raises(CandidateError) as refused:
        check_script(BROKEN[fault], PATHS, TREE)
    assert fault in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_text_without_a_heading_is_train_py() -> None:
    with pytest.raises(CandidateError, match=r"files: train\.py added; fit\.py missing; expected exactly fit\.py"):
        check_script(LONE, ["fit.py"], LONE)
    with pytest.raises(CandidateError, match="looks like the heading of a file"):
        check_script(f"{LONE}#### file: a.py ####\n", ["train.py"], LONE)


def test_paths_may_be_given_in_any_order() -> None:
    tree = join((("a/b.py", "A = 1\n"), ("a.py", "B = 1\n")))
    check_script(tree, ["a.py", "a/b.py"], tree)


def test_what_the_start_abridges_may_stay() -> None:
    start = "class Refused(Exception): ...\n\n\n# ... rest of the code unchanged ...\nLR = 0.1\n"
    check_script(start, ["train.py"])
    check_script(start.replace("0.1", "0.2"), ["train.py"], start)
    with pytest.raises(CandidateError, match="elisions: line 5"):
        check_script(start.replace("LR", "# ... rest of the code unchanged ...\nLR"), ["train.py"], start)


def test_given_ranges_stand_in_comments_of_each_language() -> None:
    given = {
        "OFFSET": "float(-1, 0)",
        "hidden": "log_int(8, 64)",
        "model.py:DEPTH": "int(1, 4)",
        "EPS": "log(1e-9, 1e-6)",
    }
    text = write_ranges(TREE, given)
    lines = text.splitlines()
    assert "#define OFFSET (-0.5)  // search float(-1, 0)" in lines
    assert "    int hidden = 32;  // search log_int(8, 64)" in lines
    assert "DEPTH = 2  # search int(1, 4)" in lines
    assert "EPS = 1e-8            # of Adam; search log(1e-9, 1e-6)" in lines
    assert len(read_knobs(text)) == len(read_knobs(TREE)) + 4
    check_script(text, PATHS)
    block = join((("a.c", "const int N = 3; /* rows */\n"),))
    assert write_ranges(block, {"N": "int(1, 8)"}).endswith("/* rows; search int(1, 8) */\n")


def test_given_ranges_of_a_lone_text_need_no_path() -> None:
    text = write_ranges(LONE, {"LR": "log(0.01, 1)"})
    assert text == LONE.replace("LR = 0.1\n", "LR = 0.1  # search log(0.01, 1)\n")
    assert read_knobs(set_constants(text, {"LR": 0.5}))[0].value == 0.5
    assert write_ranges(LONE, {}) == LONE


@pytest.mark.parametrize(
    ("name", "wanted", "fault"),
    [
        ("NOPE", "int(1, 2)", "NOPE is not a constant"),
        ("BLOCK", "int(1, 200)", "kernel.c: BLOCK has the range log_int(8, 256) in its comment already"),
        ("OFFSET", "float(0, 1)", "kernel.c: knob OFFSET = -0.5 is outside its range"),
        ("OFFSET", "flaot(0, 1)", "kernel.c: knob OFFSET has the range `search flaot(0, 1)`"),
        ("hidden", "int(1, 8)\nx = 1", "kernel.c: knob hidden has the range"),
    ],
)
def test_a_range_that_cannot_be_is_refused(name: str, wanted: str, fault: str) -> None:
    with pytest.raises(CandidateError) as refused:
        write_ranges(TREE, {name: wanted})
    assert fault in str(refused.value)


def test_a_constant_without_a_line_or_a_comment_of_its_own_gets_no_range() -> None:
    with pytest.raises(CandidateError, match="LR cannot get the range"):
        write_ranges("LR = 0.1; DEPTH = 2\n", {"LR": "log(0.01, 1)"})
    with pytest.raises(CandidateError, match="LR is not a module-level constant"):
        write_ranges("LR = 2**3\n", {"LR": "int(1, 8)"})
    with pytest.raises(CandidateError, match=r"a\.json: a file of this kind has no comments"):
        write_ranges(
            join((("a.json", '{"lr": 0.1}\n'.replace("{", "{\n").replace("}", "\n}")),)), {"lr": "log(0.01, 1)"}
        )


def test_our_own_rules_are_not_a_scripts() -> None:
    check_script(TRAIN + "print('hello')\n" + "# words\n" * 900, ["train.py"], TRAIN)
    assert MODEL in TREE
