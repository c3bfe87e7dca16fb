"""A metric is found in an output however it is cut into pieces, and in nothing that only looks like it."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_ray.benchmark.script.reading import LONGEST_LINE, Printed, ReadingError, pattern_of, read_json


def read(*pieces: bytes, name: str = "loss", take: str = "only") -> float:
    printed = Printed({name: pattern_of(name)})
    for piece in pieces:
        printed.take(piece)
    printed.end()
    return printed.number(name, take)


@pytest.mark.parametrize(
    "line", ["loss: 0.5", "  loss :0.5", "loss=+.5", "loss: 5.E-1", "loss: 0.5 nats", "loss: 0.5, 1"]
)
def test_a_line_that_begins_with_the_name_is_a_metric(line: str) -> None:
    assert read(line.encode()) == 0.5


NO_METRICS = ["val_loss: 1", "loss 1", "the loss: 1", "loss: 1.2.3", "loss: 0x10", "loss: 1e", "loss: high", "Loss: 1"]


@pytest.mark.parametrize("line", [*NO_METRICS, "loss: 1_000"])
def test_another_line_is_none(line: str) -> None:
    with pytest.raises(ReadingError, match="printed no line `loss: NUMBER`"):
        read(line.encode())


def test_a_name_is_no_regular_expression() -> None:
    assert read(b"top-1 (%): 3", name="top-1 (%)") == 3
    with pytest.raises(ReadingError):
        read(b"axb: 3", name="a.b")


@given(st.lists(st.integers(0, 60), max_size=9))
def test_an_output_may_come_in_any_pieces(cuts: list[int]) -> None:
    whole = b"\rstep 1 | loss high\rstep 2\xff\xc3\nloss: -12.5e-1\r\nother: 3\n"
    edges = [0, *sorted(cuts), len(whole)]
    assert read(*(whole[i:j] for i, j in pairwise(edges))) == -1.25


def test_of_several_the_last_is_taken_where_that_is_asked() -> None:
    lines = b"".join(b"loss: %d\n" % i for i in range(99))
    assert read(lines, take="last") == 98
    with pytest.raises(ReadingError, match=r"printed loss 99 times \(0, 98\)"):
        read(lines)


def test_a_line_without_end_takes_no_more_memory() -> None:
    printed = Printed({"loss": pattern_of("loss")})
    for _ in range(64):
        printed.take(b"x" * LONGEST_LINE)
    assert len(printed._rest) == LONGEST_LINE
    printed.take(b"\nloss: 1")
    printed.end()
    assert printed.number("loss") == 1


@given(st.binary(max_size=200))
def test_what_is_not_json_is_told(content: bytes) -> None:
    try:
        document = json.loads(content)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        with pytest.raises(ReadingError):
            read_json(content, ["loss"], "r.json")


@pytest.mark.parametrize("value", [True, None, [1], {"a": 1}, "1", float("nan"), 10**400])
def test_what_is_no_number_in_json_is_none(value: object) -> None:
    with pytest.raises(ReadingError, match=r"^loss is .*, expected a (finite )?number$"):
        read_json(json.dumps({"loss": value}).encode(), ["loss"], "r.json")


def test_json_that_is_too_deep_is_told() -> None:
    with pytest.raises(ReadingError, match="is not JSON"):
        read_json(b"[" * 100_000, ["loss"], "r.json")
