"""What a history amounts to, against sums done by hand."""

import math
import statistics
from dataclasses import replace

import pytest
from histories import SECOND, SOURCE, THIRD, Writer, empty, realistic, sha

from autoresearch_ray.observe import facts, headline
from autoresearch_ray.observe.report.lineage_rows import lineage_rows


def test_the_gain_is_the_sum_of_what_the_wins_gained_in_pairs() -> None:
    history = realistic()
    summary = headline.summarise(history)
    assert summary.gain == pytest.approx(1.7603 - 1.7095) and summary.best == 1.7095
    reach = math.sqrt(0.008**2 + 0.008**2)  # of two independent proofs
    assert (summary.gain_low, summary.gain_high) == pytest.approx((summary.gain - reach, summary.gain + reach))


def test_noise_is_pooled_over_the_unselected_runs_of_each_candidate() -> None:
    history = realistic()
    scores = {
        source: [
            row.result.val_bpb
            for row in history.rows
            if row.result and row.trial.proposal.source_sha == sha(source)
            if row.trial.purpose in ("baseline", "prove")
        ]
        for source in (SOURCE, SECOND, THIRD, SECOND + "\nD = 1\n")
    }
    squares = sum((len(group) - 1) * statistics.variance(group) for group in scores.values() if len(group) > 1)
    freedom = sum(len(group) - 1 for group in scores.values())
    summary = headline.summarise(history)
    assert summary.noise_sd == pytest.approx(math.sqrt(squares / freedom)) and summary.noise_freedom == freedom


def test_a_machine_that_is_slow_after_a_win_does_not_change_its_gain() -> None:
    history = realistic()
    keep = next(step for step in history.steps if step.kind == "keep")
    rows = tuple(
        replace(row, result=replace(row.result, val_bpb=row.result.val_bpb + 0.2))
        if row.result and row.trial.purpose == "prove" and row.result.finished_at > keep.at
        else row
        for row in history.rows
    )
    slowed, usual = headline.summarise(replace(history, rows=rows)), headline.summarise(history)
    assert (slowed.gain, slowed.gain_low, slowed.best) == (usual.gain, usual.gain_low, usual.best)


def test_a_win_without_an_interval_leaves_the_gain_without_one() -> None:
    history = realistic()
    steps = tuple(replace(step, gain_low=math.nan, gain_high=math.nan) for step in history.steps)
    summary = headline.summarise(replace(history, steps=steps))
    assert summary.gain == pytest.approx(1.7603 - 1.7095) and math.isnan(summary.gain_low)


def test_utilisation_is_training_over_slots_and_wall() -> None:
    run = Writer(slots=2)
    for _ in range(4):
        run.trial(SOURCE, "baseline", "baseline", "start", score=1.7)
    summary = headline.summarise(run.history())
    assert summary.wall_seconds == pytest.approx(26.0 + 22.5 + 1.3)
    assert summary.utilisation == pytest.approx(4 * 20.0 / (2 * 49.8))


def test_a_pause_between_two_launches_is_no_time_of_the_run() -> None:
    run = Writer(slots=2)
    for _ in range(8):
        run.trial(SOURCE, "baseline", "baseline", "start", score=1.7)
    history = run.history()
    results = [row.result for row in history.rows if row.result]
    paused = tuple(
        replace(
            row,
            result=replace(
                row.result, started_at=row.result.started_at + pause, finished_at=row.result.finished_at + pause
            ),
        )
        for row in history.rows
        if row.result
        for pause in [3600.0 * (row.result.started_at >= results[4].started_at)]
    )
    began = (results[0].started_at - 20, results[4].started_at + 3600 - 20)
    gap = results[4].started_at - max(result.finished_at for result in results[:4])
    summary, whole = headline.summarise(replace(history, rows=paused, launches=began)), headline.summarise(history)
    assert summary.wall_seconds == pytest.approx(whole.wall_seconds - gap)
    assert summary.utilisation == pytest.approx(8 * 20.0 / (2 * summary.wall_seconds))
    assert headline.summarise(replace(history, rows=paused)).wall_seconds > 3600, (
        "a run of version 0.1 tells no launches"
    )


def test_a_dropped_frontier_returns_to_the_best() -> None:
    history = realistic()
    levels = {level.step.index: level.val_bpb for level in facts.frontier_levels(history)}
    drop = next(step for step in history.steps if step.kind == "drop")
    assert levels[drop.index] == 1.7370


def test_a_frontier_that_disappoints_returns_to_what_the_step_names_which_need_not_be_the_best() -> None:
    run = Writer()
    run.step("start", SOURCE, run.trial(SOURCE, "baseline", "baseline", "start", score=1.76), 1.76)
    for source, value in ((SECOND, 1.72), (THIRD, 1.71)):
        run.step("advance", source, run.trial(source, "code", "confirm", "an idea", score=value), value)
    run.step("drop", SECOND, run.trial(THIRD, "replicate", "confirm", "an idea", score=1.76), 1.725)
    run.steps[-1] = replace(run.steps[-1], disappointed=True)
    history = run.history()
    assert facts.frontier_sha(history) == sha(SECOND) and facts.best_sha(history) == sha(SOURCE)
    assert [level.val_bpb for level in facts.frontier_levels(history)] == [1.76, 1.72, 1.71, 1.725]
    assert [(row.word, row.fate) for row in lineage_rows(history)][1:] == [
        ("advance", ""),
        ("advance", "lost"),
        ("went back", "lost"),
    ]
    run.step("keep", "beside", run.trial("beside", "code", "prove", "x", score=1.70), 1.70, gain=0.06)
    assert facts.frontier_sha(run.history()) == sha(SECOND), "a win that was found beside it"


def test_a_win_is_named_by_the_advances_that_led_to_it() -> None:
    run = Writer()
    baseline = run.trial(SOURCE, "baseline", "baseline", "start", score=1.76)
    run.step("start", SOURCE, baseline, 1.76)
    for source, words in ((SECOND, "first idea"), (THIRD, "second idea"), (THIRD + "\nX = 1\n", "not yet proven")):
        run.step("advance", source, run.trial(source, "code", "confirm", words, score=1.7), 1.7)
    run.step("keep", THIRD, run.trial(SOURCE, "replicate", "prove", "best again", score=1.76), 1.7, gain=0.06)
    run.step("keep", THIRD + "\nX = 1\n", run.trial(THIRD, "replicate", "prove", "again", score=1.7), 1.69, gain=0.01)
    history = run.history()
    first, second = facts.wins(history)
    assert (first.hypothesis, second.hypothesis) == ("first idea; second idea", "not yet proven")
    assert (first.parent_sha, second.parent_sha) == (sha(SOURCE), sha(THIRD))
    assert facts.describe_trials(history)[4] == "first idea; second idea"


def test_an_empty_run_has_no_numbers() -> None:
    summary = headline.summarise(empty())
    assert (summary.trials, summary.wins, summary.utilisation) == (0, 0, 0.0)
    numbers = (summary.baseline, summary.best, summary.gain, summary.gain_low, summary.noise_sd)
    assert all(math.isnan(number) for number in numbers)
