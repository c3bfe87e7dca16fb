"""The laws of three-way merges, and of several changes merged in turn."""

from candidates import TRAIN
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_ray.candidate.knobs import constants, read_knobs, set_constants
from autoresearch_ray.candidate.merge import theirs_onto, three_way

KNOBS = read_knobs(TRAIN)
VALUES = st.dictionaries(st.sampled_from(KNOBS), st.floats(0, 1), max_size=4).map(
    lambda units: {knob.name: knob.range.from_unit(u) for knob, u in units.items()}
)
EDITS = st.sampled_from(
    [
        ("", ""),
        ("total + part * x", "total + x"),
        ("    scale: float = 1.0\n\n", ""),
        ("    return model\n", "    model.eval()\n    return model\n"),
        ("EPS = 1e-8            # of Adam\n", "EPS = 1e-8            # of Adam\nDECAY = 0.1\n"),
    ]
)


def edited(values: dict[str, object], edit: tuple[str, str]) -> str:
    return set_constants(TRAIN, values).replace(*edit) if edit[0] else set_constants(TRAIN, values)


@given(VALUES, EDITS)
def test_a_side_that_changed_nothing_takes_the_other(values: dict[str, object], edit: tuple[str, str]) -> None:
    changed = edited(values, edit)
    for merged in (
        three_way(TRAIN, changed, TRAIN),
        three_way(TRAIN, TRAIN, changed),
        three_way(TRAIN, changed, changed),
    ):
        assert merged.source == changed
        assert merged.clean


@given(VALUES, EDITS, VALUES, EDITS)
def test_disjoint_changes_merge_cleanly_and_in_any_order(
    one: dict[str, object], edit: tuple[str, str], other: dict[str, object], second: tuple[str, str]
) -> None:
    other = {name: value for name, value in other.items() if name not in one}
    ours, theirs = edited(one, edit), edited(other, second)
    merged, mirrored = three_way(TRAIN, ours, theirs), three_way(TRAIN, theirs, ours)
    assert merged == mirrored
    assert merged.clean
    assert constants(merged.source).items() >= (one | other).items()
    assert not edit[1] or edit[1] in merged.source


def test_values_of_neighbouring_lines_do_not_conflict() -> None:
    merged = three_way(TRAIN, set_constants(TRAIN, {"BATCH_ROWS": 16}), set_constants(TRAIN, {"DEPTH": 6}))
    assert merged.clean
    assert merged.source == set_constants(TRAIN, {"BATCH_ROWS": 16, "DEPTH": 6})


def test_a_constant_changed_to_two_values_is_a_conflict_and_ours_is_kept() -> None:
    ours, theirs = set_constants(TRAIN, {"EPS": 1e-7, "DEPTH": 3}), set_constants(TRAIN, {"EPS": 1e-6, "BATCH_ROWS": 9})
    merged = three_way(TRAIN, ours, theirs)
    assert not merged.clean
    assert merged.conflicts == ("EPS: 1e-07 in ours, 1e-06 in theirs; ours kept",)
    assert merged.source == set_constants(ours, {"BATCH_ROWS": 9})


def test_text_that_conflicts_leaves_ours_with_the_knobs_of_theirs() -> None:
    ours = TRAIN.replace("total + part", "total - part")
    theirs = set_constants(TRAIN, {"DEPTH": 6}).replace("total + part", "total @ part")
    merged = three_way(TRAIN, ours, theirs)
    assert not merged.clean
    assert merged.source == set_constants(ours, {"DEPTH": 6})
    assert "forward: line `total = total - part * x" in merged.conflicts[0]


def test_a_value_that_leaves_its_new_range_is_a_conflict() -> None:
    ours = TRAIN.replace("int(2, 8)", "int(2, 5)")
    merged = three_way(TRAIN, ours, set_constants(TRAIN, {"DEPTH": 7}))
    assert not merged.clean
    assert merged.source == ours
    assert "outside its range" in merged.conflicts[0]


def test_a_constant_that_one_side_removed_stays_removed() -> None:
    ours = TRAIN.replace("EPS = 1e-8            # of Adam\n", "")
    merged = three_way(TRAIN, ours, set_constants(TRAIN, {"DEPTH": 7}))
    assert merged.clean
    assert "EPS" not in merged.source


def test_changes_of_other_places_merge_one_after_another_and_what_conflicts_does_not() -> None:
    source, clean = TRAIN, []
    for text in (
        set_constants(TRAIN, {"DEPTH": 6}),
        TRAIN.replace("total + part", "total - part"),
        TRAIN.replace("total + part", "total @ part"),  # the line that the second has changed
        set_constants(TRAIN, {"DEPTH": 7}),  # the value that the first has changed
        set_constants(TRAIN, {"WARMDOWN": 0.5}),
        set_constants(TRAIN, {"DEPTH": 6}),  # it is there already
    ):
        merged = three_way(TRAIN, source, text)
        clean.append(merged.clean)
        source = merged.source if merged.clean else source
    assert clean == [True, True, False, False, True, True]
    assert source == set_constants(TRAIN, {"DEPTH": 6, "WARMDOWN": 0.5}).replace("total + part", "total - part")


def test_a_change_is_brought_along_from_the_text_that_it_was_made_from() -> None:
    deeper = set_constants(TRAIN, {"DEPTH": 6})
    merged = three_way(deeper, TRAIN, set_constants(deeper, {"BATCH_ROWS": 16}))
    assert merged.source == set_constants(TRAIN, {"BATCH_ROWS": 16}), "the step before it is no part of it"


def test_of_a_confirmed_change_the_values_are_set_anew_and_code_is_never_left_out_in_silence() -> None:
    ours = set_constants(TRAIN, {"DEPTH": 6}).replace("total + part", "total - part")
    values = set_constants(TRAIN, {"DEPTH": 3, "BATCH_ROWS": 16})
    assert theirs_onto(TRAIN, ours, values) == set_constants(ours, {"DEPTH": 3, "BATCH_ROWS": 16})
    code = values.replace("    return model\n", "    model.eval()\n    return model\n")
    assert theirs_onto(TRAIN, ours, code) == set_constants(ours, {"DEPTH": 3, "BATCH_ROWS": 16}).replace(
        "    return model\n", "    model.eval()\n    return model\n"
    )
    assert theirs_onto(TRAIN, ours, values.replace("total + part", "total @ part")) is None
