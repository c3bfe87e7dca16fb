"""Ideas that are described alike, told from hypotheses that two minds wrote in two runs of their own."""

import itertools
import json
from pathlib import Path

import pytest
from pasts import TRAIN, Story

from autoresearch_ray.propose.llm.prompt.descriptions import Descriptions

HYPOTHESES = json.loads((Path(__file__).parent / "recorded" / "hypotheses.json").read_text())
TWINS = {  # the same idea in other words, by a person's reading
    ("alone t00014", "beside t00029"),  # counts of n-grams
    ("alone t00019", "beside t00033"),  # a causal convolution over the last tokens
    ("alone t00020", "beside t00034"),  # a copying head
    ("alone t00027", "beside t00041"),  # half batches in the first part
}


def test_the_same_idea_in_other_words_is_found_and_no_other() -> None:
    texts = {f"{entry['run']} {entry['trial']}": entry["hypothesis"] for entry in HYPOTHESES}
    descriptions = Descriptions()
    for name, text in texts.items():
        descriptions.add(name, text)
    pairs = itertools.combinations(texts, 2)
    assert {(one, other) for one, other in pairs if descriptions.nearest(texts[other], [one])} == TWINS


@pytest.mark.parametrize("text", ["", "Wider.", "Adam is better", "$ 3 %"])
def test_of_few_words_nothing_is_told(text: str) -> None:
    descriptions = Descriptions()
    descriptions.add("one", text)
    assert descriptions.nearest(text, ["one"]) is None


IDEA = "Half of the rows in the first part of the budget give many more updates while gradients agree."
ALIKE = "Early gradients agree, so half the rows of a batch give many more updates in the first part."


@pytest.mark.parametrize(
    ("verdict", "is_told"),
    [("running", True), ("crash", True), ("discard", True), ("promising", False), ("taken", False)],
)
def test_what_failed_lost_or_is_under_way_is_told_and_what_may_win_is_not(verdict: str, is_told: bool) -> None:
    story = Story()
    text = TRAIN.replace("backward(", "forward_and_backward(")
    trial_id = story.trial(text, IDEA)
    if verdict == "crash":
        story.result(trial_id, status="crash", error="RuntimeError: no")
    elif verdict != "running":
        story.result(trial_id, 1.7)
    if verdict in ("crash", "discard", "promising"):
        story.decision(trial_id, verdict.replace("crash", "discard"), "a reason")
    if verdict == "taken":
        story.step("advance", text, 1.7, IDEA)
    found = story.past.find_alike(ALIKE, ())
    assert (found.hypothesis if found else None) == (IDEA if is_told else None)
    assert story.past.find_alike("A wider model has room for rarer tokens.", ()) is None


def test_what_waits_is_told_and_a_tuners_values_are_not() -> None:
    story = Story()
    waiting = story.proposal(TRAIN + "# 1\n", IDEA)
    assert story.past.find_alike(ALIKE, (waiting,)) == waiting
    story.result(story.trial(TRAIN + "# 2\n", IDEA, kind="knobs"), 1.8)
    assert story.past.find_alike(ALIKE, ()) is None
