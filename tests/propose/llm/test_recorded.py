"""Answers of a real mind to this project's prompts, kept from two runs: they are read, fit, and the rules pass them.

Each stands beside the train.py that its prompt showed. What came of them is in docs/measurements.md.
"""

from pathlib import Path

import pytest

from autoresearch_ray.candidate.rules import check_candidate
from autoresearch_ray.propose.llm.answer import parse_answer
from autoresearch_ray.propose.llm.edits import apply_edits

FOLDER = Path(__file__).parent / "recorded"
PROGRAM_LINES = len((Path(__file__).parents[3] / "program.md").read_text().splitlines())
ANSWERS = sorted(path.name.removesuffix(".answer.txt") for path in FOLDER.glob("*.answer.txt"))


@pytest.mark.parametrize("name", ANSWERS)
def test_every_idea_of_a_recorded_answer_is_read_and_applies(name: str) -> None:
    frontier = (FOLDER / f"{name}.frontier.txt").read_text()
    ideas = parse_answer((FOLDER / f"{name}.answer.txt").read_text())
    assert 1 <= len(ideas) <= 3
    for idea in ideas:
        assert idea.problem == "" and idea.hypothesis and idea.expected_effect < 0
        text = idea.whole_file if idea.whole_file is not None else apply_edits(frontier, idea.blocks)
        assert isinstance(text, str), text
        assert text != frontier
        check_candidate(text, PROGRAM_LINES)
