"""The past is the same whether it came at once or bit by bit, and says what a model needs of each record."""

import math
from dataclasses import replace

import pytest
from pasts import HELD_OUT, TRAIN, Story, long_story, tell

from autoresearch_ray.propose.llm.prompt.past import Past, view_of
from autoresearch_ray.propose.llm.prompt.view import CandidateView
from autoresearch_ray.records.decisions import Decision, Step
from autoresearch_ray.records.history import History, TrialRow
from autoresearch_ray.records.proposers import RejectedIdea
from autoresearch_ray.records.trials import Candidate, Purpose, Result, Trial

LONGER = TRAIN.replace("WARMDOWN = 0.5 ", "WARMDOWN = 0.6 ")
CODE = TRAIN.replace("        return h @ weights[-1]", "        return h.abs() @ weights[-1]")


def history(story: Story) -> History:
    results = {record.trial_id: record for record in story.told if isinstance(record, Result)}
    decisions = {record.trial_id: record for record in story.told if isinstance(record, Decision)}
    trials = [record for record in story.told if isinstance(record, Trial)]
    rows = tuple(TrialRow(t, results.get(t.trial_id), decisions.get(t.trial_id)) for t in trials)
    steps = tuple(record for record in story.told if isinstance(record, Step))
    rejected = tuple(record for record in story.told if isinstance(record, RejectedIdea))
    return History({}, rows, steps, {}, {sha: Candidate.of(text) for sha, text in story.sources.items()}, rejected)


def only(story: Story) -> CandidateView:
    (candidate,) = story.view().candidates
    return candidate


def test_bit_by_bit_or_at_once_it_is_the_same() -> None:
    story = long_story(120)
    assert repr(view_of(history(story), story.moment())) == repr(story.view())


def test_a_view_in_between_changes_nothing() -> None:
    """A candidate's view is kept until something new is said of it or of its parent."""
    story = long_story(120)
    past, moment = Past(story.sources.__getitem__), story.moment()
    for record in story.told:
        tell(past, record)
        past.view(moment)
    assert repr(past.view(moment)) == repr(story.view())


def test_records_that_come_again_change_nothing() -> None:
    story = long_story(120)
    before = repr(story.view())
    for record in story.told:
        tell(story.past, record)
    assert repr(story.view()) == before


def test_a_candidate_is_told_once_with_all_its_runs() -> None:
    story = Story()
    first = story.trial(LONGER, "longer", kind="knobs")
    story.result(first, 1.70)
    story.decision(first, "promising", "1.3 sd below its parent, to be confirmed")
    again = story.trial(LONGER, "again: longer", purpose="confirm", kind="replicate")
    story.result(again, 1.72)
    story.decision(again, "discard", "not confirmed: its replicate is 0.2 sd above the parent")
    found = only(story)
    assert (found.trial_id, found.hypothesis, found.runs, found.verdict) == (first, "longer", 2, "discard")
    assert (found.val_bpb, found.difference) == pytest.approx((1.71, 1.71 - 1.7275))
    assert (found.change, found.steps) == ("WARMDOWN 0.5 -> 0.6", 391)
    assert found.reason == "not confirmed: its replicate is 0.2 sd above the parent"


def test_a_failure_has_no_score_and_says_why() -> None:
    story = Story()
    trial_id = story.trial(CODE, "abs")
    story.result(trial_id, status="oom", error="a" * 9_000 + " out of memory")
    story.decision(trial_id, "discard", "oom: out of memory")
    found = only(story)
    assert (found.status, found.runs, found.reason) == ("oom", 0, "")
    assert math.isnan(found.val_bpb) and math.isnan(found.difference)
    assert found.error.endswith(" out of memory") and len(found.error) == 2_000


def test_replicates_of_frontier_and_best_are_no_candidates() -> None:
    story = Story()
    for purpose in ("baseline", "prove", "idle"):
        trial_id = story.trial(TRAIN, "again", purpose=purpose, kind="replicate")
        story.result(trial_id, 1.72)
        story.decision(trial_id, "keep", f"held-out gain {HELD_OUT}")
    assert story.view().candidates == () and story.view().in_flight == ()


def test_a_verdict_on_a_proof_is_not_one_on_the_candidate() -> None:
    story = Story()
    first = story.trial(LONGER, "longer")
    story.result(first, 1.70)
    story.decision(first, "discard", "0.1 sd below its parent, an advance needs 0.5 sd")
    proof = story.trial(LONGER, "frontier again, for its proof", purpose="prove", kind="replicate")
    story.result(proof, 1.72)
    story.decision(proof, "drop", f"P(better) 0.1, gain -0.0100, held-out gain {HELD_OUT}")
    found = only(story)
    assert (found.verdict, found.reason, found.runs) == ("discard", "0.1 sd below its parent", 2)


def test_a_running_trial_is_in_flight_until_its_result() -> None:
    story = Story()
    trial_id = story.trial(LONGER, "longer")
    assert [(f.hypothesis, f.change) for f in story.view().in_flight] == [("longer", "WARMDOWN 0.5 -> 0.6")]
    assert story.view().candidates == ()
    story.result(trial_id, 1.7)
    assert story.view().in_flight == ()
    assert only(story).verdict is None


def test_a_kept_step_is_told_by_the_advances_that_it_proves() -> None:
    story = Story()
    story.step("advance", LONGER, 1.71, "longer decay")
    both = LONGER.replace("MOMENTUM = 0.95 ", "MOMENTUM = 0.9 ")
    story.step("advance", both, 1.70, "less momentum")
    story.step("keep", both, 1.69, "best again, for its proof")
    advance, second, kept = story.view().steps[1:]
    assert (advance.change, second.change) == ("WARMDOWN 0.5 -> 0.6", "MOMENTUM 0.95 -> 0.9")
    assert (kept.hypothesis, kept.change) == (
        "longer decay; less momentum",
        "MOMENTUM 0.95 -> 0.9; WARMDOWN 0.5 -> 0.6",
    )
    assert (kept.gain, kept.probability) == (0.01, 0.999)


def test_an_advance_during_a_proof_is_not_proven_with_it() -> None:
    story = Story()
    story.step("advance", LONGER, 1.71, "longer decay")
    both = LONGER.replace("MOMENTUM = 0.95 ", "MOMENTUM = 0.9 ")
    story.step("advance", both, 1.70, "less momentum")
    story.step("keep", LONGER, 1.69, "best again, for its proof")
    story.step("keep", both, 1.68, "best again, for its proof")
    first, second = story.view().steps[3:]
    assert (first.hypothesis, first.change) == ("longer decay", "WARMDOWN 0.5 -> 0.6")
    assert (second.hypothesis, second.change) == ("less momentum", "MOMENTUM 0.95 -> 0.9")


def test_a_dropped_step_tells_what_was_taken_back() -> None:
    story = Story()
    story.step("advance", LONGER, 1.71, "longer decay")
    story.step("drop", TRAIN, 1.72, "best again, for its proof")
    story.step("advance", CODE, 1.70, "abs")
    dropped, advance = story.view().steps[2:]
    assert (dropped.hypothesis, dropped.change) == ("longer decay", "WARMDOWN 0.5 -> 0.6")
    assert advance.change == "GPT.transform +1 -1"


def test_a_sharper_estimate_of_the_parent_moves_the_differences_of_its_children() -> None:
    story = Story()
    trial_id = story.trial(LONGER, "longer")
    story.result(trial_id, 1.70)
    assert only(story).difference == pytest.approx(1.70 - 1.7275)
    story.step("drop", TRAIN, 1.71, "best again")
    assert only(story).difference == pytest.approx(1.70 - 1.71)


def test_held_out_words_are_taken_out_of_every_reason() -> None:
    story = Story()
    trial_id = story.trial(LONGER, "longer")
    story.result(trial_id, 1.70)
    story.decision(trial_id, "discard", f"held-out loss {HELD_OUT}, 1.0 sd above its parent, held-out gain {HELD_OUT}")
    assert only(story).reason == "1.0 sd above its parent"


def test_lines_left_count_the_program_and_every_line_of_the_frontier() -> None:
    view = Story().view()
    used = len(view.program.splitlines()) + len(view.frontier.text.splitlines())
    assert view.lines_left == 630 - used
    assert replace(view, program=view.program + "one\nmore\n").lines_left == 628 - used


def test_the_difference_to_the_parent_is_that_on_equal_seeds() -> None:
    story = Story()
    for number, text, score in ((0, TRAIN, 1.80), (1, TRAIN, 1.66), (0, LONGER, 1.79), (1, LONGER, 1.64)):
        proposal = story.proposal(text, "longer", "knobs")
        purpose: Purpose = "baseline" if text == TRAIN else "screen" if number == 0 else "confirm"
        story.trials += 1
        trial = Trial(f"t{story.trials:05d}", proposal, purpose, 1, 0.0, seed_number=number)
        story.tell(trial)
        story.result(trial.trial_id, score)
    assert only(story).difference == pytest.approx(-0.015), "not 1.715 less the 1.7275 that is expected of the start"
