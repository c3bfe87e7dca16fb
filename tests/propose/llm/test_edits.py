"""Search/replace blocks apply where they stand once, up to white space, and nowhere by a guess."""

import difflib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pasts import TRAIN

from autoresearch_ray.propose.llm.edits import Block, EditFault, apply_edits

SOURCE = """import math

DEPTH = 4  # blocks
WIDTH = 256


class GPT:
    def forward(self, x):
        for block in self.blocks:
            x = x + block(x)
        return x

    def norm(self, x):
        return x / x.std()


def train(task):
    model = GPT()
    for x in task.batches(8):
        model(x)
        model.step()
    return model
"""
LINES = st.lists(st.sampled_from(["a", "b", "  a", "  b", "", "c = 1", "d = 2", "    e()"]), min_size=1, max_size=14)
TRAIN_LINES = TRAIN.splitlines()


def block(search: str, replace: str) -> Block:
    return Block(tuple(search.splitlines()), tuple(replace.splitlines()))


def faults(*blocks: Block, source: str = SOURCE) -> tuple[EditFault, ...]:
    found = apply_edits(source, blocks)
    assert isinstance(found, tuple), found
    return found


def times(lines: list[str], wanted: list[str]) -> int:
    return sum(lines[i : i + len(wanted)] == wanted for i in range(len(lines) - len(wanted) + 1))


def blocks_of_diff(old: list[str], new: list[str]) -> list[Block]:
    """Blocks as a careful editor writes them: from the end to the start, with as much context as makes each unique."""
    blocks, current = [], list(old)
    for tag, i1, i2, j1, j2 in reversed(difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()):
        if tag == "equal":
            continue
        start, end = i1, i2
        while times(current, current[start:end]) != 1 or not "".join(current[start:end]).strip():
            start, end = max(0, start - 1), min(len(current), end + 1)
        replace = current[start:i1] + new[j1:j2] + current[i2:end]
        blocks.append(Block(tuple(current[start:end]), tuple(replace)))
        current[start:end] = replace
    return blocks


@given(LINES, LINES)
def test_blocks_made_from_a_diff_give_the_target(old: list[str], new: list[str]) -> None:
    assume(old != new)
    old, new = [*old, "last"], [*new, "last"]  # never blank as a whole
    assert apply_edits("\n".join([*old, ""]), blocks_of_diff(old, new)) == "\n".join([*new, ""])


@given(st.integers(0, len(TRAIN_LINES) - 1), st.integers(1, 12), st.data())
def test_white_space_makes_no_difference_where_the_place_is_clear(start: int, size: int, data: st.DataObject) -> None:
    """A real block, dedented as a whole, with blanks at line ends and in lines, with other blank lines."""
    lines = TRAIN_LINES[start : start + size]
    bare = [" ".join(line.split()) for line in TRAIN_LINES if line.strip()]
    assume(times(bare, [" ".join(line.split()) for line in lines if line.strip()]) == 1)
    assume(lines[0].strip() and lines[-1].strip())
    indent = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    off = data.draw(st.integers(0, indent))
    replacement = [line.replace("x", "z") for line in lines] + [" " * indent + "extra()"]
    loose = []
    for number, line in enumerate(lines, 1):
        blanks = data.draw(st.sampled_from(["", " ", "  "]))
        loose += [line[off:].replace(" = ", data.draw(st.sampled_from([" = ", " =  "]))) + blanks]
        loose += [""] * data.draw(st.integers(0, 1)) if number < len(lines) else []
    exact = apply_edits(TRAIN, [Block(tuple(lines), tuple(replacement))])
    shifted = tuple(line[off:] for line in replacement)
    assert apply_edits(TRAIN, [Block(tuple(loose), shifted)]) == exact


@given(LINES, st.integers(0, 13), st.integers(1, 4))
def test_a_block_that_stands_twice_is_never_applied(lines: list[str], start: int, size: int) -> None:
    search = lines[start : start + size]
    assume(any(line.strip() for line in search))
    source = "\n".join([*lines, "between", *lines, ""])
    found = apply_edits(source, [Block(tuple(search), ("other",))])
    assert isinstance(found, tuple) and "places" in found[0].detail


def test_a_line_is_replaced_where_it_stands() -> None:
    assert apply_edits(SOURCE, [block("DEPTH = 4  # blocks", "DEPTH = 6  # blocks")]) == SOURCE.replace("= 4", "= 6")


def test_blocks_apply_in_order_each_to_the_text_that_the_one_before_left() -> None:
    first, second = block("WIDTH = 256", "WIDTH = 256\nHEADS = 2"), block("HEADS = 2", "HEADS = 4")
    assert apply_edits(SOURCE, [first, second]) == SOURCE.replace("WIDTH = 256", "WIDTH = 256\nHEADS = 4")


def test_an_empty_replacement_deletes() -> None:
    assert apply_edits(SOURCE, [block("        model.step()", "")]) == SOURCE.replace("        model.step()\n", "")


def test_text_is_appended_behind_the_last_line() -> None:
    edited = apply_edits(SOURCE, [block("    return model", "    return model\n\n\ndef late():\n    pass")])
    assert edited == SOURCE + "\n\ndef late():\n    pass\n"


@pytest.mark.parametrize("source", [SOURCE.replace("\n", "\r\n"), SOURCE.rstrip("\n")], ids=["crlf", "no last newline"])
def test_line_ends_of_the_source_make_no_difference(source: str) -> None:
    assert apply_edits(source, [block("WIDTH = 256", "WIDTH = 1")]) == SOURCE.replace("256", "1")


def test_a_replacement_gets_the_indentation_that_its_search_part_lacks() -> None:
    edit = block("for x in task.batches(8):\n    model(x)", "for x in task.batches(16):\n    model(x)\n    log()")
    expected = SOURCE.replace("batches(8)", "batches(16)").replace(
        "        model(x)\n", "        model(x)\n        log()\n"
    )
    assert apply_edits(SOURCE, [edit]) == expected


def test_a_replacement_loses_the_indentation_that_its_search_part_has_too_much() -> None:
    edit = block("        WIDTH = 256", "        WIDTH = 128\n        HEADS = 1")
    assert apply_edits(SOURCE, [edit]) == SOURCE.replace("WIDTH = 256", "WIDTH = 128\nHEADS = 1")


def test_exact_comes_before_white_space() -> None:
    """Two places up to white space, but one of them is exactly what was asked for."""
    source = "if a:\n    x = 1\nx = 1\n"
    assert apply_edits(source, [block("x = 1", "x = 2")]) == "if a:\n    x = 1\nx = 2\n"


def test_an_empty_search_part_is_refused_with_what_to_do() -> None:
    assert "repeat it in REPLACE" in faults(block("", "x = 1"))[0].detail
    assert "SEARCH part is empty" in faults(Block(("", "  "), ("x = 1",)))[0].detail


def test_several_places_are_named_by_their_lines() -> None:
    (fault,) = faults(block("        return x", "        return -x"), source=SOURCE + "        return x\n")
    assert fault.block == 1
    assert "stands at 2 places, from lines 11, 23; expected one" in fault.detail


def test_several_places_up_to_white_space_are_no_place() -> None:
    (fault,) = faults(block("def norm(self, y):\n    pass", "pass"), block("return  x", "return y"), source=SOURCE * 2)[
        1:
    ]
    assert "stands at 2 places, from lines 11, 33" in fault.detail


def test_lines_that_are_nowhere_are_answered_with_the_nearest_and_the_first_difference() -> None:
    (fault,) = faults(block("    for x in task.batches(8):\n        model(x, y)\n        model.step()", "pass"))
    assert "its SEARCH part (3 lines) is nowhere in train.py" in fault.detail
    assert "SEARCH has `model(x, y)` where the file has `model(x)`" in fault.detail
    assert (
        "\n   19      for x in task.batches(8):\n   20          model(x)\n   21          model.step()" in fault.detail
    )


def test_the_nearest_lines_are_found_by_one_that_is_alike_when_none_is_equal() -> None:
    (fault,) = faults(block("model = GPT(task.vocab_size)", "model = None"))
    assert "SEARCH has `model = GPT(task.vocab_size)` where the file has `model = GPT()`" in fault.detail


def test_lines_like_nothing_are_said_to_be_so() -> None:
    (fault,) = faults(block("scheduler.rewind(1234)", ""))
    assert "nothing is near to it (its first line is `scheduler.rewind(1234)`)" in fault.detail


def test_indentation_that_is_off_in_two_ways_is_no_match() -> None:
    (fault,) = faults(block("for x in task.batches(8):\n        model(x)", "pass"))
    assert "lines 19 to 20 but for an indentation that is not off by the same" in fault.detail


def test_a_replacement_that_cannot_be_dedented_is_no_match() -> None:
    (fault,) = faults(block("    WIDTH = 256", "    WIDTH = 128\n  HEADS = 1"))
    assert "copy the lines with their indentation" in fault.detail


def test_tabs_are_not_taken_for_blanks() -> None:
    assert "indentation" in faults(block("\tmodel = GPT()", "\tmodel = None"))[0].detail


def test_every_fault_of_an_idea_is_told() -> None:
    found = faults(block("nowhere()", ""), block("WIDTH = 256", "WIDTH = 2"), block("neither()", ""))
    assert [fault.block for fault in found] == [1, 3]
    assert str(found[1]).startswith("block 3: its SEARCH part (line) is nowhere")


def test_an_edit_that_is_there_already_is_recognised() -> None:
    assert "stands in the file already" in faults(block("WIDTH = 128", "WIDTH = 256"))[0].detail


def test_lines_that_an_earlier_block_took_are_recognised() -> None:
    found = faults(block("WIDTH = 256", "WIDTH = 512"), block("DEPTH = 4  # blocks\nWIDTH = 256", "DEPTH = 1"))
    assert [fault.block for fault in found] == [2]
    assert "A block before it changed these lines" in found[0].detail


def test_a_block_never_matches_a_part_of_a_line() -> None:
    assert "nowhere" in faults(block("DEPTH", "WIDTH"))[0].detail
