"""Every trick is refused by the rule that is there for it, with the line and a remedy."""

import ast
import re
from collections.abc import Callable, Sequence

import pytest
from tricks import CANDIDATE, IN_TRAIN, tricks

from autoresearch_ray.candidate.rules import RULES, check_candidate
from autoresearch_ray.candidate.rules.name_flow import Reading
from autoresearch_ray.candidate.rules.shape import MAX_CHARACTERS
from autoresearch_ray.common.errors import CandidateError

TRICKS = tricks()


def test_the_candidate_around_the_tricks_is_sound() -> None:
    check_candidate(CANDIDATE.format(outside="", inside=""))


@pytest.mark.parametrize("name", TRICKS)
def test_a_trick_is_refused_by_its_rule(name: str) -> None:
    rule, source = TRICKS[name]
    with pytest.raises(CandidateError) as refused:
        check_candidate(source)
    message = str(refused.value)
    assert message.startswith(f"{rule}: ")
    assert "\n" not in message and len(message) < 400
    assert rule in ("length", "train") or re.search(r"line \d+", message)


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_has_a_trick_that_passes_without_it(rule: Callable[[Reading], None]) -> None:
    others = [other for other in RULES if other is not rule]
    assert any(passes(source, others) for _, source in TRICKS.values())


def passes(source: str, rules: Sequence[Callable[[Reading], None]]) -> bool:
    try:
        reading = Reading(source)
        for rule in rules:
            rule(reading)
    except CandidateError:
        return False
    return len(source) < MAX_CHARACTERS and "search" not in source


def test_the_tricks_are_many_and_are_python() -> None:
    assert len(TRICKS) >= 60
    for name in IN_TRAIN:
        ast.parse(TRICKS[name][1])
