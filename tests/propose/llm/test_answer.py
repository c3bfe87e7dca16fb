"""Answers as models write them, good and bad, and what is read from each."""

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_ray.propose.llm.answer import ParsedIdea, parse_answer
from autoresearch_ray.propose.llm.edits import Block

EDIT = "<<<<<<< SEARCH\nDEPTH = 4\n=======\nDEPTH = 6\n>>>>>>> REPLACE\n"
DEEPER = Block(("DEPTH = 4",), ("DEPTH = 6",))
OTHER = "<<<<<<< SEARCH\nWIDTH = 8\n=======\n>>>>>>> REPLACE\n"
NO_WIDTH = Block(("WIDTH = 8",), ())
GOOD = f"<idea 1>\nhypothesis: Deeper is better.\nexpected: -0.003\n{EDIT}</idea>\n"
DIFF = (
    "--- a/train.py\n+++ b/train.py\n@@ -3,3 +3,3 @@\n A = 1\n-DEPTH = 4\n+DEPTH = 6\n\n B = 2\n"
    "@@ -9 +8 @@\n-WIDTH = 8\n"
)
HUNKS = (Block(("A = 1", "DEPTH = 4", "", "B = 2"), ("A = 1", "DEPTH = 6", "", "B = 2")), NO_WIDTH)
RETURN = "    return"
EXAMPLE = '    """An example:\n\n    ```\n    train(task)\n    ```\n    """\n'
BEFORE = 'def norm(x):\n    r"""As in\n\n```\nnorm(1)\n```\n\n    """\n    return x\n\n\n'
FILE = "import torch\n\n\ndef train(task):\n    return torch.nn.Linear(1, 1)\n"


@dataclass(frozen=True)
class Want:
    """One idea that is expected."""

    number: int | None = 1
    hypothesis: str = "Deeper is better."
    effect: float = -0.003
    blocks: tuple[Block, ...] = (DEEPER,)
    file: str | None = None


READ: dict[str, tuple[str, list[Want]]] = {
    "as asked for": (GOOD, [Want()]),
    "two ideas": (GOOD + GOOD.replace("idea 1", "idea 2"), [Want(), Want(number=2)]),
    "two edits of one idea": (GOOD.replace(EDIT, EDIT + OTHER), [Want(blocks=(DEEPER, NO_WIDTH))]),
    "text around and between": (f"Let me see.\n\n{GOOD}\nAnd now:\n\n{GOOD}\nThat is all.", [Want(), Want()]),
    "windows line ends": (GOOD.replace("\n", "\r\n"), [Want()]),
    "old mac line ends": (GOOD.replace("\n", "\r"), [Want()]),
    "blanks behind fences": (GOOD.replace("SEARCH\n", "SEARCH   \n").replace("=======\n", "======= \n"), [Want()]),
    "indented fences": (GOOD.replace("<<<<<<<", "  <<<<<<<").replace(">>>>>>>", "  >>>>>>>"), [Want()]),
    "longer and shorter fences": (
        GOOD.replace("<<<<<<<", "<<<<<<<<").replace("=======", "========").replace(">>>>>>>", ">>>>>"),
        [Want()],
    ),
    "a file name before the block": (GOOD.replace("<<<<<<<", "train.py\n<<<<<<<"), [Want()]),
    "a code fence around the block": (GOOD.replace(EDIT, f"```python\n{EDIT}```\n"), [Want()]),
    "a code fence with file name around the block": (GOOD.replace(EDIT, f"```\ntrain.py\n{EDIT}```\n"), [Want()]),
    "a code fence around everything": (f"```\n{GOOD}```\n", [Want()]),
    "code fences within both parts": (
        GOOD.replace("DEPTH = 4\n", "```python\nDEPTH = 4\n```\n").replace("DEPTH = 6\n", "```\nDEPTH = 6\n```\n"),
        [Want()],
    ),
    "code fences around two ideas": (f"```\n{GOOD}```\n\n```\n{GOOD}```\n", [Want(), Want()]),
    "bold fields": (
        GOOD.replace("hypothesis:", "**Hypothesis:**").replace("expected:", "**Expected effect:**"),
        [Want()],
    ),
    "fields in a list": (GOOD.replace("hypothesis:", "- Hypothesis:").replace("expected:", "* expected:"), [Want()]),
    "fields as tags": (
        GOOD.replace("hypothesis: Deeper is better.", "<hypothesis>Deeper is better.</hypothesis>").replace(
            "expected: -0.003", "<expected>-0.003</expected>"
        ),
        [Want()],
    ),
    "capital letters": (GOOD.replace("hypothesis", "HYPOTHESIS").replace("<idea 1>", "<IDEA 1>"), [Want()]),
    "the number as an attribute": (GOOD.replace("<idea 1>", '<idea number="7">'), [Want(number=7)]),
    "no number": (GOOD.replace("<idea 1>", "<idea>"), [Want(number=None)]),
    "no tags": (GOOD.replace("<idea 1>\n", "").replace("</idea>\n", ""), [Want(number=None)]),
    "two without tags": (
        (GOOD * 2).replace("<idea 1>\n", "").replace("</idea>\n", ""),
        [Want(number=None), Want(number=None)],
    ),
    "headings for tags": (
        GOOD.replace("<idea 1>", "## Idea 1: deeper").replace("</idea>\n", "")
        + GOOD.replace("<idea 1>", "### **Idea 2**").replace("</idea>\n", ""),
        [Want(), Want(number=2)],
    ),
    "headings and tags": (f"### Idea 1\n\n{GOOD}\n### Idea 2\n\n{GOOD}", [Want(), Want()]),
    "the last tag is missing": (GOOD.replace("</idea>\n", ""), [Want()]),
    "tags are not closed": (GOOD.replace("</idea>\n", "") * 2, [Want(), Want()]),
    "a hypothesis of two lines": (GOOD.replace("Deeper is", "Deeper\nis"), [Want()]),
    "a hypothesis on the next line": (GOOD.replace("hypothesis: ", "hypothesis:\n"), [Want()]),
    "a hypothesis without its word": (GOOD.replace("hypothesis: ", ""), [Want()]),
    "the effect first": (
        f"<idea 1>\nexpected: -0.003\nhypothesis: Deeper is better.\n{EDIT}</idea>",
        [Want()],
    ),
    "an effect with words": (GOOD.replace("-0.003", "about -3e-3 bpb, maybe -0.01"), [Want()]),
    "an effect with a real minus": (GOOD.replace("-0.003", "−0.003"), [Want()]),
    "an effect for the worse": (GOOD.replace("-0.003", "+0.001"), [Want(effect=0.001)]),
    "no effect": (GOOD.replace("expected: -0.003\n", ""), [Want(effect=math.nan)]),
    "an effect in words alone": (GOOD.replace("-0.003", "a little"), [Want(effect=math.nan)]),
    "a chain of thought before": (f"<think>\n{GOOD}no, better:\n</think>\n{GOOD}", [Want()]),
    "the end of a chain of thought": (f"I could do {EDIT}\n</think>\n\n{GOOD}", [Want()]),
    "thinking aloud with a draft": (f"First thought:\n\nhypothesis: no\n{OTHER}\nBut better:\n{GOOD}", [Want()]),
    "blank lines in a block": (
        GOOD.replace("DEPTH = 4\n", "DEPTH = 4\n\n\nWIDTH = 8\n"),
        [Want(blocks=(Block(("DEPTH = 4", "", "", "WIDTH = 8"), ("DEPTH = 6",)),))],
    ),
    "a whole file": (
        f"<idea 1>\nhypothesis: Deeper is better.\nexpected: -0.003\n```python\n{FILE}```\n</idea>",
        [Want(blocks=(), file=FILE)],
    ),
    "a whole file with fences in it": (
        f"<idea 1>\nhypothesis: Deeper is better.\nexpected: -0.003\n````python\n{FILE}# ```\n```\n````\n</idea>",
        [Want(blocks=(), file=f"{FILE}# ```\n```\n")],
    ),
    "a listing that is no file beside a block": (GOOD.replace("<<<<<<<", "```python\nx = 1\n```\n<<<<<<<"), [Want()]),
    "comments that look like fields": (
        GOOD.replace("DEPTH = 6\n", "DEPTH = 6\n# hypothesis: none\nexpected: int = 3\n"),
        [Want(blocks=(Block(("DEPTH = 4",), ("DEPTH = 6", "# hypothesis: none", "expected: int = 3")),))],
    ),
    "prose that speaks of ideas": (
        GOOD.replace("<<<<<<<", "Idea 1 builds on what was learned.\n<<<<<<<"),
        [Want()],
    ),
    "a diff in place of blocks": (GOOD.replace(EDIT, "```diff\n-DEPTH = 4\n+DEPTH = 6\n```\n"), [Want()]),
    "a unified diff in a code fence": (GOOD.replace(EDIT, f"```diff\n{DIFF}```\n"), [Want(blocks=HUNKS)]),
    "a unified diff without a fence": (GOOD.replace(EDIT, DIFF), [Want(blocks=HUNKS)]),
    "a unified diff behind prose, without tags": (
        f"hypothesis: Deeper is better.\nexpected: -0.003\n\nSo:\n\n```\n{DIFF}```\n\nThat is all.",
        [Want(number=None, blocks=HUNKS)],
    ),
    "the hypothesis behind the block, under a file name": (
        f"train.py\n```python\n{EDIT}```\nhypothesis: Deeper is better.\nexpected: -0.003\n",
        [Want(number=None)],
    ),
    "prose between the block's fence and the hypothesis": (
        f"**train.py**\n```python\n{EDIT}```\n\nThat is all.\n\nhypothesis: Deeper is better.\nexpected: -0.003\n",
        [Want(number=None)],
    ),
    "two ideas that are explained behind their blocks": (
        f"train.py\n```python\n{EDIT}```\nhypothesis: Deeper is better.\nexpected: -0.003\n" * 2,
        [Want(number=None), Want(number=None)],
    ),
    "a whole file with an example in train's docstring": (
        GOOD.replace(EDIT, f"```python\n{FILE.replace(RETURN, EXAMPLE + RETURN)}```\n"),
        [Want(blocks=(), file=FILE.replace(RETURN, EXAMPLE + RETURN))],
    ),
    "a whole file with an example before train": (
        GOOD.replace(EDIT, f"```python\n{BEFORE}{FILE}```\n"),
        [Want(blocks=(), file=BEFORE + FILE)],
    ),
    "a whole file with an example that names its language": (
        GOOD.replace(EDIT, f"```python\n{(BEFORE + FILE).replace('```', '```python', 1)}```\n"),
        [Want(blocks=(), file=(BEFORE + FILE).replace("```", "```python", 1))],
    ),
    "a whole file with quotes in comments and strings": (
        GOOD.replace(EDIT, f"```python\n{FILE}# don't say \"\"\" here\nx = '\"\"\"' + \"it's\"\n```\n"),
        [Want(blocks=(), file=f"{FILE}# don't say \"\"\" here\nx = '\"\"\"' + \"it's\"\n")],
    ),
}  # fmt: skip

BAD: dict[str, tuple[str, str]] = {
    "no end of a block": (GOOD.replace(">>>>>>> REPLACE\n", ""), "block 1 has no `>>>>>>> REPLACE` line"),
    "no end of a block before the next": (
        GOOD.replace(">>>>>>> REPLACE\n", f"\n{EDIT}"),
        "block 1 has no `>>>>>>> REPLACE` line",
    ),
    "no divider": (GOOD.replace("=======\n", ""), "block 1 has no `=======` line"),
    "two dividers": (GOOD.replace("DEPTH = 6\n", "DEPTH = 6\n=======\n"), "block 1 has two `=======` lines"),
    "no edits": (GOOD.replace(EDIT, "Make DEPTH 6.\n"), "no SEARCH/REPLACE block and no whole train.py"),
    "no hypothesis": (f"<idea 1>\nexpected: -0.003\n{EDIT}</idea>", "no `hypothesis:` line"),
    "blocks and a file": (GOOD.replace("</idea>", f"```python\n{FILE}```\n</idea>"), "give one of the two"),
    "two files": (GOOD.replace(EDIT, f"```python\n{FILE}```\nor\n```python\n{FILE}```\n"), "there are 2 whole files"),
    "a file without its end": (f"hypothesis: Deeper.\n```python\n{FILE}", "no closing fence"),
    "an empty idea": ("<idea 1>\n</idea>", "no `hypothesis:` line; there is no SEARCH/REPLACE block"),
    "only the first part of a block": ("<idea 1>\nhypothesis: x\n<<<<<<< SEARCH\nDEPTH = 4\n", "block 1 has no `>>>"),
}

NONE = {
    "nothing": "",
    "blanks": " \n\n ",
    "prose": "I am sorry, but nothing comes to my mind.\n\nShould I go on?",
    "a chain of thought without end": f"<think>\n{GOOD}",
    "a listing": "```python\nx = 1\n```",
    "json": '{"ideas": []}',
}


def told(idea: ParsedIdea) -> Want:
    return Want(idea.number, idea.hypothesis, idea.expected_effect, idea.blocks, idea.whole_file)


@pytest.mark.parametrize("name", READ)
def test_a_good_answer_is_read_as_it_is_meant(name: str) -> None:
    text, wanted = READ[name]
    ideas = parse_answer(text)
    assert [repr(told(idea)) for idea in ideas] == [repr(want) for want in wanted]  # repr: nan is nan
    assert [idea.problem for idea in ideas] == [""] * len(wanted)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_answer_is_told_what_is_wrong(name: str) -> None:
    text, problem = BAD[name]
    assert problem in parse_answer(text)[0].problem


@pytest.mark.parametrize("name", NONE)
def test_an_answer_without_ideas_gives_none(name: str) -> None:
    assert parse_answer(NONE[name]) == ()


def test_a_file_that_breaks_off_in_a_docstring_is_told_to_have_no_end() -> None:
    (idea,) = parse_answer(f"hypothesis: x\n```python\n{FILE}{EXAMPLE[:-8]}")
    assert "no closing fence" in idea.problem


def test_many_fences_in_an_open_docstring_are_read_in_time() -> None:
    text = f"<idea 1>\nhypothesis: x\n```python\n{FILE}x = '''\n" + "```\nsome more text\n" * 20_000
    assert "no closing fence" in parse_answer(text)[0].problem


def test_a_bad_idea_does_not_hold_back_its_neighbours() -> None:
    broken = GOOD.replace("=======\n", "").replace("idea 1", "idea 2")
    ideas = parse_answer(GOOD + broken + GOOD.replace("idea 1", "idea 3"))
    assert [(idea.number, bool(idea.problem)) for idea in ideas] == [(1, False), (2, True), (3, False)]


@pytest.mark.parametrize("length", range(len(GOOD) + 20, len(GOOD) * 2 - len("</idea>\n"), 9))
def test_of_a_cut_answer_the_complete_ideas_stand_and_the_last_is_told_to_be_cut(length: int) -> None:
    ideas = parse_answer((GOOD + GOOD)[:length], cut=True)
    assert ideas[0].problem == ""
    assert "ended at its token limit" in ideas[1].problem


def test_a_cut_behind_the_last_idea_does_no_harm() -> None:
    assert [idea.problem for idea in parse_answer(GOOD + "And so I", cut=True)] == [""]


def test_of_a_flood_of_ideas_the_first_eight_are_looked_at() -> None:
    assert len(parse_answer(GOOD * 50)) == 8


def test_a_long_hypothesis_is_bounded() -> None:
    (idea,) = parse_answer(GOOD.replace("Deeper", "Deeper and " * 200))
    assert len(idea.hypothesis) == 600


@given(st.lists(st.sampled_from([*GOOD.splitlines(), "```python", "```", "def train(task):", "x", "", "~~~~"])))
def test_no_order_of_lines_is_too_much(lines: list[str]) -> None:
    for idea in parse_answer("\n".join(lines)):
        assert idea.problem or (idea.hypothesis and bool(idea.blocks) != (idea.whole_file is not None))
