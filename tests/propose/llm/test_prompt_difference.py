"""What differs between two candidates is said by constants and by the functions that were touched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pasts import TRAIN

from autoresearch_ray.candidate.difference import ConstantChange, difference, find_changed_spans

LINES = st.lists(st.sampled_from(["a", "b", "", "X = 1", "def f():", "    y = 2"]), max_size=12)

WORDS = {
    "a value": (("WARMDOWN = 0.5 ", "WARMDOWN = 0.7 "), "WARMDOWN 0.5 -> 0.7"),
    "a string": (('ACTIVATION = "relu2"', 'ACTIVATION = "gelu"'), 'ACTIVATION "relu2" -> "gelu"'),
    "a tuple": (("ADAM_BETAS = (0.8, 0.95)", "ADAM_BETAS = (0.9, 0.95)"), "ADAM_BETAS (0.8, 0.95) -> (0.9, 0.95)"),
    "a range": (("search float(0.1, 1.0)", "search float(0.2, 0.9)"), "WARMDOWN's comment"),
    "a new knob": (
        ("WARMUP = 0.0 ", "CLIP = 1.0  # norm; search log(0.1, 10.0)\nWARMUP = 0.0 "),
        "CLIP = 1.0 added",
    ),
    "a knob less": (
        ('SMEAR = "on"  # mixes each token\'s embedding with the one before it\n', ""),
        'SMEAR = "on" removed',
    ),
    "a row of a table": (("    (1.875, -1.25, 0.375),\n", ""), "POLAR +0 -1"),
    "a method": (("        return h @ weights[-1]", "        return h.abs() @ weights[-1]"), "GPT.transform +1 -1"),
    "a function": (("        return 1.0\n", "        return 0.9\n"), "lr_factor +1 -1"),
    "a function within a function": (("        return loss.detach()", "        return loss"), "train +1 -1"),
    "a new function": (
        ("def lr_factor(", "def extra(x: float) -> float:\n    return x\n\n\ndef lr_factor("),
        "extra +2 -0",
    ),
    "an import": (("import math\n", "import math\nimport copy\n"), "imports +1 -0"),
    "a decorated class's head": (("class Muon(torch.optim.Optimizer)", "class Muon(torch.optim.Adam)"), "Muon +1 -1"),
    "both": (
        ("        return 1.0\n    return FINAL_LR", "        return PLATEAU\n    return FINAL_LR"),
        "lr_factor +1 -1",
    ),
    "nothing": (("", ""), "nothing"),
}


@pytest.mark.parametrize("what", WORDS)
def test_a_change_is_said_in_a_line(what: str) -> None:
    (before, after), words = WORDS[what]
    changed = TRAIN.replace(before, after, 1) if before else TRAIN
    assert changed != TRAIN or not before
    assert difference(TRAIN, changed).words() == words


def test_constants_come_with_their_values_and_code_with_its_lines() -> None:
    after = TRAIN.replace("WARMDOWN = 0.5 ", "WARMDOWN = 0.7 ").replace("        return 1.0\n", "        return 0.9\n")
    found = difference(TRAIN, after)
    assert found.constants == (ConstantChange("WARMDOWN", "0.5", "0.7"),)
    assert found.places == (("lr_factor", 1, 1),)
    assert found.lines[-2:] == ("-         return 1.0", "+         return 0.9")


def test_a_rewrite_is_bounded() -> None:
    found = difference(TRAIN, "def train(task):\n    return 1\n" + "x = '" + "y" * 10_000 + "'\n")
    assert len(found.lines) == 16 and all(len(line) <= 162 for line in found.lines)
    assert len(found.words()) < 3_000


@given(LINES, LINES)
def test_the_spans_turn_one_text_into_the_other(old: list[str], new: list[str]) -> None:
    rebuilt, at = [], 0
    for i1, i2, j1, j2 in find_changed_spans(old, new):
        rebuilt += old[at:i1] + new[j1:j2]
        at = i2
    assert rebuilt + old[at:] == new


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_two_texts_have_a_difference(one: str, other: str) -> None:
    assert difference(one, other).words()


def test_a_decorator_belongs_to_what_follows_and_a_comment_to_nothing() -> None:
    before = "class Net:\n    def one(self):\n        return 1\n"
    after = (
        "# A part\nRATE = 2\n"
        + before
        + "\n    # the other\n    @torch.no_grad()\n    def two(self):\n        return 2\n"
    )
    found = difference(before, after)
    assert found.places == (("Net.two", 3, 0),) and [change.name for change in found.constants] == ["RATE"]
