"""Ranges, reading knobs and rewriting constants."""

import pytest
from candidates import TRAIN
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_ray.candidate.knobs import constants, read_knobs, set_constants
from autoresearch_ray.candidate.ranges import Choice, Interval, Range, parse_range, same
from autoresearch_ray.common.errors import CandidateError

KNOBS = {knob.name: knob for knob in read_knobs(TRAIN)}
UNIT = st.floats(0, 1)


@st.composite
def ranges(draw: st.DrawFn) -> Range:
    if draw(st.booleans()):
        options = draw(st.lists(st.one_of(st.integers(), st.text(max_size=5)), min_size=2, max_size=6, unique_by=repr))
        return Choice(tuple(options))
    log, integer = draw(st.booleans()), draw(st.booleans())
    if integer:
        low: float = draw(st.integers(1 if log else -1000, 1000))
        return Interval(low, low + draw(st.integers(1, 10000)), log, True)
    low = draw(st.floats(1e-9, 1e3)) if log else draw(st.floats(-1e3, 1e3))
    width = draw(st.floats(1.1, 1e6))
    return Interval(low, low * width if log else low + width, log, False)


def test_knobs_are_read_with_value_range_and_line() -> None:
    assert list(KNOBS) == ["MATRIX_LR", "BATCH_ROWS", "DEPTH", "WARMDOWN", "ACTIVATION", "TIED"]
    assert KNOBS["MATRIX_LR"].range == Interval(0.005, 0.2, log=True, integer=False)
    assert KNOBS["DEPTH"].range == Interval(2, 8, log=False, integer=True)
    assert KNOBS["ACTIVATION"].range == Choice(("relu2", "gelu", "swiglu"))
    assert TRAIN.splitlines()[KNOBS["DEPTH"].line - 1].startswith("DEPTH = 4")


@given(ranges(), UNIT)
def test_every_point_of_the_unit_interval_is_a_value_in_range_and_stays_where_it_is(extent: Range, u: float) -> None:
    value = extent.from_unit(u)
    assert extent.contains(value)
    back = extent.to_unit(value)
    assert 0 <= back <= 1
    if isinstance(extent, Interval) and not extent.integer:
        assert abs(back - u) <= (0.005 / 0.09 if extent.log else 0.001)  # the rounding, over the narrowest range
    else:
        assert same(extent.from_unit(back), value)


def test_integers_and_choices_own_equal_shares() -> None:
    for text in ("int(2, 8)", 'choice("a", "b", "c")'):
        extent = parse_range(text)
        values = [extent.from_unit((i + 0.5) / 2100) for i in range(2100)]
        assert len({values.count(value) for value in values}) == 1, text


@given(ranges())
def test_a_range_is_read_back_from_what_it_prints(extent: Range) -> None:
    if isinstance(extent, Choice) or (extent.integer and extent.high < 1e5):
        assert parse_range(str(extent)) == extent


@pytest.mark.parametrize(
    "comment",
    [
        "search",
        "x; search",
        "search log(0, 1)",
        "search log(1, 0.1)",
        "search int(1, 2.5)",
        "search int(True, 3)",
        "search int(1)",
        "search choice(1)",
        "search choice(1, 1)",
        "search choice(1, None)",
        "search uniform(1, 9)",
        "search int(1, n)",
        "search int(1, 9) or so",
        "search float(0, 1e999)",
        "search int(5, 9)",  # the value, 4, is outside
        "search log(0.1, 3.9)",
        'search choice("4", 5)',
        "search choice(4.0, 5.0)",  # 4 is another type
        "search log_int(0, 9)",
        "search int(0, 9, 0)",
        "search int(0, 9, 10)",
        "search int(0, 9, 1.5)",
        "search float(0, 9, 1)",
    ],
)
def test_a_malformed_range_or_a_value_outside_is_refused_with_its_line(comment: str) -> None:
    with pytest.raises(CandidateError, match="line 2: knob X "):
        read_knobs(f"\nX = 4  # {comment}\n")


@pytest.mark.parametrize(
    "source",
    [
        "X = 2**14  # search int(1, 99999)\n",
        "def f():\n    x = 3  # steps; search int(1, 9)\n",
        "X = 3  # search int(1, 9)\nX = 4\n",
        "X = 3  # search int(1, 9)\nX = 4  # search int(1, 9)\n",
        "X = 3  # search int(1, 9)\ndef f():\n    global X\n",
        "X, Y = 3, 4  # search int(1, 9)\n",
        "X = 3  # search int(1, 9)\nfor X in (1, 2): pass\n",
        "X = (  # search int(1, 9)\n 3)\n",
    ],
)
def test_a_range_beside_anything_but_one_literal_constant_is_refused(source: str) -> None:
    with pytest.raises(CandidateError, match=r"line [12]: "):
        read_knobs(source)


def test_comments_that_only_speak_of_searching_are_no_ranges() -> None:
    assert (
        read_knobs("# knobs; search log(1, 2)\nX = 3  # research goes on, we search for more\nS = '# search x'\n") == ()
    )


@given(st.dictionaries(st.sampled_from(sorted(KNOBS)), UNIT))
def test_constants_that_are_set_are_read_back_and_nothing_else_changes(units: dict[str, float]) -> None:
    wanted = {name: KNOBS[name].range.from_unit(u) for name, u in units.items()}
    text = set_constants(TRAIN, wanted)
    assert {k.name: k.value for k in read_knobs(text)} == {k.name: k.value for k in KNOBS.values()} | wanted
    assert [line.split("#")[1:] for line in text.splitlines()] == [line.split("#")[1:] for line in TRAIN.splitlines()]
    old = constants(TRAIN)
    assert same(list(constants(text).values()), list({**old, **wanted}.values()))
    assert constants(set_constants(text, old)) == old


@given(
    st.one_of(
        st.text(), st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False, allow_infinity=False),
        st.tuples(st.floats(0, 1), st.text(max_size=3)),
    )
)  # fmt: skip
def test_any_literal_survives_being_written(value: object) -> None:
    source = 'é = "ü"; X = (1,\n  2)  # kept\nY = 3\n'
    text = set_constants(source, {"X": value})
    assert same(constants(text)["X"], value)
    assert text.endswith("  # kept\nY = 3\n")


def test_comments_keep_their_column_where_there_is_room() -> None:
    text = set_constants(TRAIN, {"MATRIX_LR": 0.0612, "ACTIVATION": "swiglu-with-more", "EPS": 1e-9})
    assert "MATRIX_LR = 0.0612    # Muon" in text
    assert 'ACTIVATION = "swiglu-with-more"  # non' in text
    assert "EPS = 1e-09           # of Adam" in text


def test_a_constant_that_has_its_value_already_keeps_its_spelling() -> None:
    assert set_constants(TRAIN, {"EPS": 0.00000001, "DEPTH": 4}) == TRAIN
    assert set_constants("X = 4\n", {"X": 4.0}) == "X = 4.0\n"


@pytest.mark.parametrize("name", ["MISSING", "train", "torch", "total"])
def test_setting_what_is_no_literal_constant_is_refused(name: str) -> None:
    with pytest.raises(CandidateError, match=name):
        set_constants(TRAIN, {name: 1})


def test_a_number_without_a_literal_is_refused() -> None:
    with pytest.raises(CandidateError, match="finite"):
        set_constants(TRAIN, {"EPS": float("nan")})


@pytest.mark.parametrize("source", ["x = (", "x = 1\ry = 2", "\0", "if x:\nz", "(" * 500 + ")" * 500, "X = 1\n\f"])
def test_text_that_is_no_python_is_refused(source: str) -> None:
    with pytest.raises(CandidateError):
        read_knobs(source)


@given(UNIT)
def test_a_range_with_a_step_gives_no_two_values_that_a_program_rounds_to_one(u: float) -> None:
    for words in ("log_int(64, 768, 16)", "int(16, 100, 16)"):
        stepped = parse_range(words)
        value = stepped.from_unit(u)
        assert value in stepped.values() and value % 16 == 0 and str(stepped) == words
        assert stepped.from_unit(stepped.to_unit(value)) == value and stepped.contains(70)
    assert parse_range("int(16, 100, 16)").values()[-1] == 96
