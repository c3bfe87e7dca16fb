"""Which advances a win proves: said by the win, and in older runs by the order of its steps."""

from dataclasses import replace

from autoresearch_ray.records.decisions import Step, StepKind
from autoresearch_ray.records.unproven import Unproven

CHANGES: list[tuple[StepKind, str]] = [("start", "a"), ("advance", "b"), ("advance", "c"), ("advance", "d")]


def step(index: int, kind: StepKind, source: str) -> Step:
    return Step(index, kind, source, f"t{index}", f"p{index}", f"idea {index}", "tpe", 1.5, "reason", 1e9 + index)


def after(*changes: tuple[StepKind, str]) -> Unproven:
    unproven = Unproven()
    for index, (kind, source) in enumerate(changes, 1):
        unproven = unproven.after(step(index, kind, source))
    return unproven


def indices(steps: tuple[Step, ...]) -> list[int]:
    return [one.index for one in steps]


def test_a_win_proves_the_advances_up_to_its_candidate() -> None:
    unproven = after(*CHANGES)
    win = unproven.note_proven(step(5, "keep", "c"))
    assert win.proves == (2, 3) and indices(unproven.judged_by(win)) == [2, 3]
    assert indices(unproven.after(win).advances) == [4]


def test_a_win_beside_the_frontier_proves_no_advance() -> None:
    unproven = after(*CHANGES)
    win = unproven.note_proven(step(5, "keep", "x"))
    assert win.proves == () and unproven.judged_by(win) == ()
    assert unproven.after(win) == unproven


def test_an_advance_that_was_taken_twice_is_proven_with_what_led_to_it_last() -> None:
    unproven = after(*CHANGES[:3], ("advance", "b"))
    assert unproven.note_proven(step(5, "keep", "b")).proves == (2, 3, 4)


def test_a_failed_proof_takes_back_what_came_after_the_candidate_that_it_returns_to() -> None:
    unproven = after(*CHANGES)
    assert indices(unproven.judged_by(step(5, "drop", "a"))) == [2, 3, 4]
    assert indices(unproven.judged_by(step(5, "drop", "b"))) == [3, 4]
    assert indices(unproven.after(step(5, "drop", "b")).advances) == [2]


def test_what_a_stored_win_says_goes_before_the_order_of_steps() -> None:
    win = replace(step(5, "keep", "d"), proves=(3,))
    assert indices(after(*CHANGES).judged_by(win)) == [3]


def test_a_win_of_an_older_run_proves_what_its_commit_listed() -> None:
    unproven = after(*CHANGES)
    assert indices(unproven.judged_by(step(5, "keep", "b"))) == [2]
    assert indices(unproven.judged_by(step(5, "keep", "x"))) == [2, 3, 4]


def test_no_other_step_judges_one() -> None:
    unproven = after(*CHANGES)
    assert unproven.judged_by(step(5, "advance", "e")) == () == unproven.judged_by(step(5, "start", "a"))
    assert unproven.note_proven(step(5, "advance", "e")).proves is None
