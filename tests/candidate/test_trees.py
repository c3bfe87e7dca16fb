"""Texts of several files, and of other languages than Python: read, set, compared and merged file by file."""

import random

import pytest
from candidates import TRAIN
from hypothesis import given
from hypothesis import strategies as st
from trees import CONFIG, FILES, KERNEL, MODEL, PATHS, SHELL, TREE, with_file

from autoresearch_ray.candidate.difference import compare_constants, diff_lines, difference
from autoresearch_ray.candidate.knobs import constants, names_of, read_knobs, set_constants
from autoresearch_ray.candidate.merge import theirs_onto, three_way
from autoresearch_ray.candidate.normal_form import code_lines, line_diff, normal_sha
from autoresearch_ray.common.errors import CandidateError
from autoresearch_ray.records.source_files import join, split
from autoresearch_ray.records.trials import Candidate

KNOBS = read_knobs(TREE)
LINES = st.lists(st.sampled_from(["x = 1", "", "// words", "# words", "####", '"""', "\tvoid f();", "é"]), max_size=6)
FILE_SETS = st.dictionaries(st.sampled_from(["a.c", "b.py", "lib/a.c", "lib/c.txt", "train.py"]), LINES, min_size=1)
VALUES = st.dictionaries(st.sampled_from(KNOBS), st.floats(0, 1), max_size=5).map(
    lambda units: {knob.name: knob.range.from_unit(u) for knob, u in units.items()}
)
COMMENTS = st.text(st.sampled_from("ab c'\"#/.;"), max_size=20)
EDITS = {
    "conf/config.yaml": ("  note: it's plain", "  note: it's another"),
    "kernel.c": ("return 2 * x;", "return x << 1;"),
    "model.py": ("[width] * DEPTH", "[width, width] * DEPTH"),
    "run.sh": ("cat <<EOF", "cat - <<EOF"),
    "train.py": ("total + part * x", "total + x"),
}


@given(FILE_SETS)
def test_split_and_join_are_inverse(lines: dict[str, list[str]]) -> None:
    files = tuple((path, "".join(f"{line}\n" for line in lines[path])) for path in sorted(lines))
    assert split(join(files)) == files


def test_candidates_of_trees_have_the_text_that_they_were_made_of() -> None:
    assert Candidate.of(TREE).files == FILES and Candidate.of(TREE).text == TREE


def test_knobs_of_every_file_are_read_in_the_order_of_files() -> None:
    assert [knob.name for knob in KNOBS] == [
        *("optimizer", "lr", "nesterov", "BLOCK", "HEADS", "SCALE", "WIDTH", "LR"),
        *("MATRIX_LR", "BATCH_ROWS", "DEPTH", "WARMDOWN", "ACTIVATION", "TIED"),
    ]
    values = {knob.name: knob.value for knob in KNOBS}
    assert values["optimizer"] == "adam" and values["nesterov"] is True
    assert (values["BLOCK"], values["SCALE"], values["LR"]) == (64, 0.1, 0.1)


@given(VALUES)
def test_what_is_set_in_any_file_is_read_back_and_nothing_else_changes(values: dict[str, object]) -> None:
    text = set_constants(TREE, values)
    assert {k.name: k.value for k in read_knobs(text)} == {k.name: k.value for k in KNOBS} | values
    assert dict(constants(text)) == dict(constants(TREE)) | values
    assert normal_sha(set_constants(text, {k.name: k.value for k in KNOBS})) == normal_sha(TREE)
    assert code_lines(text) == code_lines(TREE)
    for before, after in zip(TREE.splitlines(), text.splitlines(), strict=True):
        assert before == after or "search" in before


def test_a_comment_keeps_its_column_in_every_language() -> None:
    text = set_constants(TREE, {"BLOCK": 128, "HEADS": 8, "SCALE": 0.25, "lr": 1e-05, "optimizer": "sgd"})
    for line in (
        "#define BLOCK 128               // rows a block; search log_int(8, 256)",
        "static const int HEADS = 8;     /* search int(1, 8) */",
        "const float SCALE = 0.25f;      // of it; search log(0.001, 1)",
        "  lr: 1.0e-05     # search log(0.001, 1)",  # 1e-05 is text in YAML 1.1
        'optimizer: sgd    # search choice("adam", "sgd")',
    ):
        assert line in text.splitlines()


def test_a_name_is_bare_where_one_file_has_it_and_a_constant_elsewhere_takes_no_knobs_name() -> None:
    names = names_of(TREE)
    assert names["train.py", "DEPTH"] == "DEPTH", "the knob's"
    assert names["model.py", "DEPTH"] == "model.py:DEPTH", "a constant without a range"
    more = with_file("kernel.c", ("int hidden = 32;", "int hidden = 32;\n    int BATCH_ROWS = 3;"))
    assert [knob.name for knob in read_knobs(more)] == [knob.name for knob in KNOBS]
    both = with_file("model.py", ("DEPTH = 2\n", "DEPTH = 2  # search int(1, 4)\n"))
    assert {knob.name for knob in read_knobs(both)} >= {"model.py:DEPTH", "train.py:DEPTH"}
    assert set_constants(TREE, {"train.py:DEPTH": 5}) == set_constants(TREE, {"DEPTH": 5})
    with pytest.raises(CandidateError, match=r"expected one of model\.py:DEPTH, train\.py:DEPTH"):
        set_constants(both, {"DEPTH": 3})


def test_an_error_names_the_file() -> None:
    with pytest.raises(CandidateError, match=r"kernel\.c: line 3: knob BLOCK = 4 is outside its range"):
        read_knobs(with_file("kernel.c", ("BLOCK 64 ", "BLOCK 4 ")))
    with pytest.raises(CandidateError, match=r"model\.py: syntax: line 1"):
        normal_sha(with_file("model.py", ('"""A model."""', "x = (")))
    with pytest.raises(CandidateError, match=r"kernel\.c: line 10: a search range beside"):
        read_knobs(with_file("kernel.c", ("x;  // one", "x;  // search int(1, 8)")))


@given(COMMENTS, st.integers(0, 3))
def test_a_c_program_is_the_same_under_other_comments_and_blank_lines(words: str, blanks: int) -> None:
    block = words.replace("/", "")
    changed = with_file(
        "kernel.c",
        ("x;  // one", f"x;{' ' * blanks}// {words}"),
        ("/* over\n       two lines */", f"/* {block} */" + "\n" * blanks),
        ("return 0;\n", "return 0;\n" + "\n" * blanks),
    )
    assert normal_sha(changed) == normal_sha(TREE)
    assert code_lines(changed) == code_lines(TREE)


@given(COMMENTS)
def test_a_python_file_of_a_tree_is_the_same_under_other_comments(words: str) -> None:
    changed = with_file("model.py", ("DEPTH = 2\n", f"DEPTH = 2  # {words}\n# {words}\n"))
    assert normal_sha(changed) == normal_sha(TREE)
    assert code_lines(changed) == code_lines(TREE)


@pytest.mark.parametrize(
    ("path", "one", "other"),
    [
        ("a.c", 'char *s = "a // b";\n', 'char *s = "a // c";\n'),
        ("a.c", "char c = '\"'; f(); // x\n", "char c = '\"'; g(); // x\n"),
        ("a.c", "// a \\\nf();\n", "// a\nf();\n"),
        ("a.c", "/* open\nf();\n", "/* open\ng();\n"),
        ("a.cpp", 'auto s = R"x(a" // b)x";\n', 'auto s = R"x(a" // c)x";\n'),
        ("a.js", 's.replace(/"/g, "//x")\n', 's.replace(/"/g, "//y")\n'),
        ("a.js", "s = `a ${f(`// b`)}`\n", "s = `a ${f(`// c`)}`\n"),
        ("a.js", "return /* a */ 1\n", "return /* a\n */ 1\n"),
        ("a.go", "s := `a // b`\n", "s := `a // c`\n"),
        ("a.go", "//go:noinline\nfunc f() {}\n", "func f() {}\n"),
        ("a.rs", "let s: &'a str = \"it's // b\";\n", "let s: &'a str = \"it's // c\";\n"),
        ("a.rs", "/* /* a */ b */ f();\n", "/* /* a */ c */ f();\n"),
        ("a.sh", "echo 'a\n# b\n'\n", "echo 'a\n# c\n'\n"),
        ("a.sh", "cat <<END\n# b\nEND\n", "cat <<END\n# c\nEND\n"),
        ("a.sh", 'echo "$(f "a # b")"\n', 'echo "$(f "a # c")"\n'),
        ("a.sh", "#!/bin/bash\nf\n", "#!/bin/sh\nf\n"),
        ("a.sh", "f \\\n\ng\n", "f \\\ng\n"),
        ("a.yaml", "a: |\n  # b\n", "a: |\n  # c\n"),
        ("a.yaml", 'a: "x # b"\n', 'a: "x # c"\n'),
        ("a.yaml", "a: x\n\n  y\n", "a: x\n  y\n"),
        ("a.toml", 'a = """\n# b\n"""\n', 'a = """\n# c\n"""\n'),
        ("a.ini", "a = 1 ; b\n", "a = 1 ; c\n"),
        ("a.txt", "# b\n", "# c\n"),
        ("a.rb", "s = '# b'\n", "s = '# c'\n"),
    ],
)
def test_what_is_no_comment_counts(path: str, one: str, other: str) -> None:
    shas = {normal_sha(join(((path, text), ("z.py", "A = 1\n")))) for text in (one, other)}
    assert len(shas) == 2


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("a.rs", "const LR: f64 = 0.1;  // search log(0.01, 1)\n", 0.1),
        ("a.rs", "let mut LR = 64usize;  // search int(1, 128)\n", 64),
        ("a.go", "const LR int = 64  // search int(8, 128)\n", 64),
        ("a.ts", "export const LR: number = 0.1;  // search log(0.01, 1)\n", 0.1),
        ("a.js", "f({LR: 3,  // search int(1, 8)\n});\n", 3),
        ("a.cpp", "constexpr std::size_t LR{64};  // search int(8, 128)\n", 64),
        ("a.c", "#define LR (-0.5)  /* search float(-1, 1) */\n", -0.5),
        ("a.sh", "python fit.py --LR 3  # search int(1, 8)\n", 3),
        ("a.toml", "LR = 'relu'  # search choice('relu', 'gelu')\n", "relu"),
        ("a.lua", "local LR = 0.1  -- of it; search log(0.01, 1)\n", 0.1),
        ("a.el", "(setq LR 0.1)  ; search log(0.01, 1)\n", 0.1),
        ("a.ini", "LR = 0.1  ; search log(0.01, 1)\n", 0.1),
        ("settings", "LR 64  # search int(8, 128)\n", 64),
    ],
)
def test_a_knob_is_read_and_set_in_this_language(path: str, text: str, value: object) -> None:
    tree = join(((path, text),))
    (knob,) = read_knobs(tree)
    assert (knob.name, knob.value) == ("LR", value)
    other = knob.range.from_unit(0.9)
    changed = set_constants(tree, {"LR": other})
    assert [k.value for k in read_knobs(changed)] == [other]
    assert set_constants(changed, {"LR": value}).replace(" ", "") == tree.replace(" ", "")


def test_words_about_a_search_are_no_range() -> None:
    text = join((("a.c", "x = f(y);  // search for the key\n"), ("notes.txt", "We search int by int.\n")))
    assert read_knobs(text) == ()


@given(st.lists(st.sampled_from(PATHS), min_size=2, max_size=5, unique=True), st.data())
def test_changes_of_different_files_merge_cleanly_in_any_order(paths: list[str], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(paths) - 1))
    ours = theirs = TREE
    for path in paths[:cut]:
        ours = with_file(path, EDITS[path], tree=ours)
    for path in paths[cut:]:
        theirs = with_file(path, EDITS[path], tree=theirs)
    merged = three_way(TREE, ours, theirs)
    assert merged == three_way(TREE, theirs, ours)
    assert merged.clean and merged.whole
    assert all(EDITS[path][1] in dict(split(merged.source))[path] for path in paths)
    assert theirs_onto(TREE, ours, theirs) == merged.source


@given(VALUES, VALUES)
def test_values_of_different_knobs_merge_cleanly(one: dict[str, object], other: dict[str, object]) -> None:
    other = {name: value for name, value in other.items() if name not in one}
    merged = three_way(TREE, set_constants(TREE, one), set_constants(TREE, other))
    assert merged.clean
    assert merged.source == set_constants(TREE, one | other)


def test_a_conflict_names_its_file_and_takes_no_code_of_other_files() -> None:
    ours = with_file("kernel.c", ("return 2 * x;", "return x << 1;"))
    theirs = with_file("kernel.c", ("return 2 * x;", "return x + x;"))
    theirs = set_constants(with_file("model.py", EDITS["model.py"], tree=theirs), {"BLOCK": 128, "WIDTH": 32})
    merged = three_way(TREE, ours, theirs)
    assert not merged.clean and not merged.whole
    assert merged.conflicts == ("kernel.c: line `return x << 1;  // one` changed on both sides; ours kept",)
    assert merged.source == set_constants(ours, {"BLOCK": 128, "WIDTH": 32})
    assert theirs_onto(TREE, ours, theirs) is None


def test_a_name_that_one_side_renames_and_the_other_uses_anew_is_a_conflict() -> None:
    tree = with_file("train.py", ("import torch\n", "import torch\n\nimport model as net\n"))
    ours = with_file("model.py", ("def build(", "def make("), tree=tree)
    theirs = with_file("train.py", ("model = Block()", "model = net.build()"), ("EPS = 1e-8", "EPS = 1e-7"), tree=tree)
    merged = three_way(tree, ours, theirs)
    assert merged.conflicts == ("train.py: build of model.py is gone on the other side; ours kept",)
    assert not merged.clean and not merged.whole
    assert merged.source == set_constants(ours, {"EPS": 1e-7}), "its values are taken"
    used = with_file("train.py", ("model = Block()", "model = net.DEPTH"), tree=tree)
    assert three_way(tree, ours, used).clean


def test_a_knob_that_both_sides_set_is_a_conflict_of_its_file() -> None:
    ours, theirs = (set_constants(TREE, {"BLOCK": value, "lr": 0.5}) for value in (16, 32))
    merged = three_way(TREE, ours, theirs)
    assert merged.conflicts == ("kernel.c: BLOCK: 16 in ours, 32 in theirs; ours kept",)
    assert merged.whole and merged.source == ours
    assert theirs_onto(TREE, ours, theirs) == theirs


def test_neighbouring_lines_of_another_language_conflict() -> None:
    ours = with_file("kernel.c", ("    /* over", "    twice(3);\n    /* over"))
    theirs = with_file("kernel.c", ("    int hidden = 32;\n", "    int hidden = 32, more = twice(1);\n"))
    (conflict,) = three_way(TREE, ours, theirs).conflicts
    assert conflict.startswith("kernel.c: line `int hidden = 32;` changed on both sides")


def test_a_difference_tells_files_and_functions() -> None:
    after = set_constants(TREE, {"BLOCK": 128, "lr": 0.5})
    for path in ("kernel.c", "model.py", "train.py"):
        after = with_file(path, EDITS[path], tree=after)
    found = difference(TREE, after)
    assert found.words() == (
        "lr 0.1 -> 0.5; BLOCK 64 -> 128; kernel.c:twice +1 -1; model.py:build +1 -1; train.py:Block.forward +1 -1"
    )
    assert found.lines[0] == "  conf/config.yaml:"
    assert [(change.name, change.before, change.after) for change in compare_constants(TREE, after)] == [
        ("lr", "0.1", "0.5"),
        ("BLOCK", "64", "128"),
    ]
    assert line_diff(TREE, after) == (5, 5)
    names = [line for line in diff_lines(TREE, after) if line.startswith("+++ ")]
    assert names == [f"+++ {path}" for path in ("conf/config.yaml", "kernel.c", "model.py", "train.py")]
    assert not difference(TREE, set_constants(TREE, {"lr": 0.5, "WIDTH": 8})).places, "values alone"
    assert difference(TREE, TREE).words() == "nothing" and diff_lines(TREE, TREE) == []


def test_a_python_file_is_read_in_a_tree_as_it_is_alone() -> None:
    tree = join((("train.py", TRAIN), ("z.txt", "words\n")))
    assert read_knobs(tree) == read_knobs(TRAIN)
    assert constants(tree) == constants(TRAIN)
    assert normal_sha(join((("train.py", TRAIN),))) == normal_sha(TRAIN), "its heading says nothing"
    assert code_lines(tree) == code_lines(TRAIN) + 1


@given(st.integers(0, 2**32), st.sampled_from([KERNEL, CONFIG, SHELL, MODEL]))
def test_a_damaged_text_of_any_language_is_read_or_refused_with_its_path(seed: int, source: str) -> None:
    rng = random.Random(seed)
    for path in ("a.c", "a.rs", "a.js", "a.go", "a.sh", "a.yaml", "a.toml", "a.ini", "a.json", "a.txt"):
        characters = list(source)
        for _ in range(12):
            characters[rng.randrange(len(characters))] = rng.choice("\"'`#/*\\\n{}$|=: \t-")
        text = join(((path, "".join(characters).rstrip("\n") + "\n"),))
        try:
            assert {knob.name for knob in read_knobs(text)} <= constants(text).keys()
        except CandidateError as error:
            assert str(error).startswith(f"{path}: ")
        assert len(normal_sha(text)) == 64
        assert 0 <= code_lines(text) <= len(text.splitlines())
        assert difference(join(((path, source),)), text).words()
