"""Directives as a text that people and models write, and back."""

import pytest

from autoresearch_ray.common.errors import DirectivesError
from autoresearch_ray.propose.director.directives import MOST_DIRECTIONS, directives_text, parse_directives
from autoresearch_ray.records.guidance import NO_DIRECTIVES, Direction, Directives

ANSWER = """\
Let me think about the results first.

note: Counting won twice;
attention never did.
direction: Counts of longer contexts
reason: t00012 and t00020 gained 0.08 each,
  and nothing says that four tokens are enough.
share: 60%
direction: The speed of a step
share: 0.4
stop: more heads (3 of 3 lost)
stop: bundles
"""


def parse(text: str, before: Directives = NO_DIRECTIVES) -> Directives:
    return parse_directives(text, before, "director openai:x", 40, 7.0)


def test_what_is_written_is_read_and_lines_without_a_key_go_on() -> None:
    read = parse(ANSWER)
    counts, speed = read.directions
    assert (counts.name, counts.title, counts.share) == ("d1", "Counts of longer contexts", 0.6)
    assert counts.reason.endswith("gained 0.08 each, and nothing says that four tokens are enough.")
    assert (speed.name, speed.reason, speed.share) == ("d2", "", 0.4)
    assert read.stops == ("more heads (3 of 3 lost)", "bundles")
    assert read.note == "Counting won twice; attention never did."
    assert (read.version, read.author, read.results, read.numbered) == (1, "director openai:x", 40, 2)


def test_marks_of_markdown_do_no_harm() -> None:
    text = (
        "## Note: it goes on\n\n1. **Direction:** `Counts`\n   - *Reason*: they won\n   - share: 2\n- **Stop:** heads\n"
    )
    read = parse(text)
    assert read.directions == (Direction("d1", "Counts", "they won", 2.0),)
    assert (read.note, read.stops) == ("it goes on", ("heads",))


def test_the_text_of_directives_reads_as_the_same() -> None:
    read = parse(ANSWER)
    assert parse(directives_text(read)) == read


def test_a_direction_keeps_its_name_while_its_title_stays_and_names_are_not_given_twice() -> None:
    first = parse("direction: One\ndirection: Two\n")
    second = parse("direction: three\ndirection: TWO!\ndirection: two\n", first)
    assert [(d.name, d.title) for d in second.directions] == [("d3", "three"), ("d2", "TWO!")]
    third = parse("direction: one\n", second)
    assert third.directions[0].name == "d4", "an account that was closed is not opened again"


def test_it_is_a_page_at_most_and_shares_are_weights() -> None:
    text = "".join(f"direction: {'long ' * 100}{n}\nreason: {'why ' * 500}\nshare: {n}e9\n" for n in range(20))
    read = parse(text + "".join(f"stop: {'no ' * 500}{n}\n" for n in range(20)) + "note: " + "x " * 5000)
    assert len(read.directions) <= MOST_DIRECTIONS and len(directives_text(read)) < 6_000
    assert all(0.01 <= d.share <= 100 for d in read.directions)
    assert parse("direction: a\nshare: about a third\n").directions[0].share == 1.0


@pytest.mark.parametrize("text", ["", "Nothing to say.", "note: only this", "# direction: left out\n#stop: this too"])
def test_a_text_without_direction_and_stop_is_none(text: str) -> None:
    with pytest.raises(DirectivesError, match=r"no `direction:` and no `stop:` in it"):
        parse(text)


def test_a_single_hash_begins_a_comment() -> None:
    assert [d.title for d in parse("# direction: not this\ndirection: this\n# nor this\n").directions] == ["this"]
