"""A corpus of pairs of edits, real ones and traps: what fits merges into what a person would make of it, no more."""

import re
import sys
from pathlib import Path

import pytest

from autoresearch_ray.candidate.merge import three_way
from autoresearch_ray.candidate.normal_form import normal_sha
from autoresearch_ray.candidate.rules import check_candidate

sys.path.append(str(Path(__file__).parent / "merges"))
from corpus import Pair, git_merge, pairs, written  # its folder is not a test's own

CORPUS = {pair.name: pair for pair in pairs()}
WRITTEN = {pair.name for pair in written()}  # each is merged both ways
WORD = re.compile(r"\w+|[^\w\s]")


def is_right(pair: Pair, text: str) -> bool:
    """Whether a merge is one of those that may come of the pair, but for the order of what both added at one place."""
    return any(normal_sha(text) == normal_sha(one) or lines(text) == lines(one) for one in pair.together)


def lines(text: str) -> list[tuple[int, list[str]]]:
    """Of each line the indentation and the words, all in alphabetical order."""
    return sorted((len(line) - len(line.lstrip()), sorted(WORD.findall(line))) for line in text.splitlines())


@pytest.mark.parametrize("name", CORPUS)
def test_two_edits_merge_into_what_both_make_or_conflict_where_one_would_be_lost(name: str) -> None:
    pair = CORPUS[name]
    for ours, theirs in ((pair.ours, pair.theirs), (pair.theirs, pair.ours))[: 2 if name in WRITTEN else 1]:
        merged = three_way(pair.base, ours, theirs)
        assert not merged.clean or is_right(pair, merged.source), "a wrong merge"
        if pair.outcome == "conflict":
            assert not merged.clean and merged.conflicts
        if pair.outcome == "merges":
            assert merged.clean, merged.conflicts
        if merged.clean:
            check_candidate(merged.source, 100)


def test_more_merge_than_by_lines_and_none_of_them_wrong() -> None:
    """Git merges by lines. What it makes of a pair that must conflict is what a text merge gets wrong in silence."""
    by_lines = {name: text for name, pair in CORPUS.items() if (text := git_merge(pair)) is not None}
    wrong = [name for name, text in by_lines.items() if not is_right(CORPUS[name], text)]
    fit = [name for name, pair in CORPUS.items() if pair.outcome == "merges"]
    assert len(CORPUS) >= 150 and len(CORPUS) - len(fit) >= 40 and len(wrong) >= 15
    assert len(set(by_lines) - set(wrong)) < 0.85 * len(fit)
