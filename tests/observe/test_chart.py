"""What the page draws: points, steps, slots, and the lineage as a tree."""

import json
import math
from dataclasses import asdict

from histories import empty, long, realistic

from autoresearch_ray.observe import facts
from autoresearch_ray.observe.report.chart import SHOWN_POINTS, SHOWN_RUNS, chart
from autoresearch_ray.observe.report.lineage_rows import lineage_rows
from autoresearch_ray.observe.report.page import encode_data


def test_points_are_the_scores_of_the_table() -> None:
    history = realistic()
    drawn = chart(history)
    for trial, row in zip(drawn.trials, history.rows, strict=True):
        score = facts.score(row)
        assert trial.trial == row.trial.trial_id
        assert trial.score == (round(score, 4) if math.isfinite(score) else None)
    assert {trial.mark for trial in drawn.trials} == {"ok", "keep", "advance", "failed", "stopped", "running"}
    assert [bpb for _, _, bpb in drawn.best] == [level.val_bpb for level in facts.best_levels(history)]
    assert drawn.lanes == ["slot 0", "slot 1"]


def test_bars_of_a_slot_do_not_overlap() -> None:
    drawn = chart(realistic())
    for lane in range(len(drawn.lanes)):
        bars = [(trial.start, trial.end) for trial in drawn.trials if trial.lane == lane]
        edges = [edge for bar in bars for edge in bar if edge is not None]
        assert len(edges) == 2 * len(bars) > 20 and edges == sorted(edges)


def test_a_long_run_is_thinned_but_keeps_its_lineage_and_its_latest() -> None:
    history = long(20_000)
    drawn = chart(history)
    named = {trial.trial for trial in drawn.trials}
    assert len(named) < SHOWN_POINTS + SHOWN_RUNS + 100 and drawn.every == 7
    assert {step.trial_id for step in history.steps if step.kind == "keep"} <= named
    assert sum(trial.lane >= 0 for trial in drawn.trials) == SHOWN_RUNS
    assert len(encode_data(asdict(drawn))) < 1_000_000


def test_an_empty_run_draws_nothing_and_is_json() -> None:
    assert json.loads(encode_data(asdict(chart(empty()))))["trials"] == []


def test_the_lineage_has_wins_on_its_trunk_and_says_which_advances_were_lost() -> None:
    rows = lineage_rows(realistic())
    assert [(row.kind, row.word, row.fate) for row in rows] == [
        ("trunk", "start", ""),
        ("branch", "advance", ""),
        ("trunk", "win 1", ""),
        ("branch", "advance", "lost"),
        ("branch", "failed proof", "lost"),
        ("branch", "merge", ""),
        ("trunk", "win 2", ""),
    ]
    assert "gain +0.0233 · P(better) 0.996 · t00019" in rows[2].numbers
