"""All about one trial, for its panel."""

import json
from dataclasses import replace
from pathlib import Path

from histories import SECOND, SOURCE, Writer, long, realistic
from test_html_report import written

from autoresearch_ray.observe.report.page import encode_data
from autoresearch_ray.observe.report.trial_panel import EMBEDDED_BYTES, embed_panels, trial_panel
from autoresearch_ray.records.trials import Candidate


def test_a_win_has_its_diff_its_decision_and_its_step() -> None:
    panel = trial_panel(realistic(), "t00019")
    assert panel and panel.diff
    assert ("p", "+MATRIX_LR = 0.0611  # Muon learning rate for 2-D weights; search log(0.005, 0.2)") in panel.diff
    assert dict(panel.decisions[0])["decision"] == "keep"
    step = dict(panel.decisions[1])
    assert step["step"] == "3, keep" and step["gain"].startswith("+0.0233 (95 %") and step["P(better)"] == "0.9960"


def test_the_parents_curve_is_that_on_the_same_seed() -> None:
    run = Writer()
    for _ in range(3):
        run.trial(SOURCE, "baseline", "baseline", "the start", score=1.7)
    run.trial(SECOND, "knobs", "screen", "faster", score=1.6)
    run.rows[-1] = replace(run.rows[-1], trial=replace(run.rows[-1].trial, seed=run.rows[1].trial.seed))
    panel = trial_panel(run.history(), "t00004")
    assert panel and (panel.parent, panel.is_same_seed) == ("t00002", True)
    assert len(panel.curve) == len(panel.parent_curve) == 20 and panel.curve != panel.parent_curve
    run.rows[1] = replace(run.rows[1], result=None)
    panel = trial_panel(run.history(), "t00004")
    assert panel and (panel.parent, panel.is_same_seed) == ("t00003", False)


def test_what_is_missing_is_said_or_left_out() -> None:
    assert trial_panel(realistic(), "t99999") is None
    bare = replace(realistic(), candidates={}, steps=())
    panel = trial_panel(bare, "t00004")
    assert panel and panel.diff is None and len(panel.decisions) == 1
    running = trial_panel(realistic(), realistic().rows[-1].trial.trial_id)
    assert running and running.curve == [] and running.decisions == [] and ("status", "running") in running.facts


def test_wins_and_the_latest_are_embedded_as_far_as_they_fit() -> None:
    history = long(1_000)
    panels = embed_panels(history)
    kept = {step.trial_id for step in history.steps if step.kind == "keep"}
    assert kept <= set(panels) and {row.trial.trial_id for row in history.rows[-300:]} <= set(panels)
    big = {sha: Candidate.of(f"{one.text}\n" + f"X = '{sha}'\n" * 700) for sha, one in history.candidates.items()}
    size = len(json.dumps(embed_panels(replace(history, candidates=big))))
    assert size <= EMBEDDED_BYTES + 10_000


def test_a_file_of_a_thousand_trials_is_small(tmp_path: Path) -> None:
    assert len(written(long(1_000), tmp_path)) < 6_000_000


def test_data_cannot_end_its_script() -> None:
    text = "</script><!--<script>\u2028 & é"
    assert "<" not in encode_data({text: [text]}) and json.loads(encode_data({text: [text]})) == {text: [text]}
