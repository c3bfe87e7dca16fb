"""A run of a script whose accuracy is to rise, in every view: its name, its sign, its digits, and who says so."""

import io
import math
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from browser import Browser
from histories import SCRIPT, realistic, scripted
from rich.console import Console
from test_html_report import written
from test_live_page import shown_rows
from test_live_screen import SNAPSHOT

from autoresearch_ray.observe import facts
from autoresearch_ray.observe.guidance import KNOB_HEADS
from autoresearch_ray.observe.lines import decision_line, summary_lines
from autoresearch_ray.observe.pictures.progress import progress_png
from autoresearch_ray.observe.report.chart import chart
from autoresearch_ray.observe.report.lineage_rows import lineage_rows
from autoresearch_ray.observe.report.trial_panel import trial_panel
from autoresearch_ray.observe.runs import compare_runs
from autoresearch_ray.observe.screen import render
from autoresearch_ray.observe.tables.lineage import lineage_table
from autoresearch_ray.observe.tables.runs import run_table
from autoresearch_ray.observe.tables.trials import read_table, results_tsv, trial_table
from autoresearch_ray.records.history import History
from autoresearch_ray.settings.score_words import ScoreWords, write_number
from autoresearch_ray.settings.scoring import OURS, Scoring
from autoresearch_ray.settings.script_experiment import ScriptExperiment

ACCURACY = Scoring("accuracy", "", "higher", "script")
LOSS = SCRIPT | {"metric": "loss", "direction": "lower", "unit": "nats"}


@pytest.mark.parametrize(
    ("value", "decimals", "words"),
    [
        (0.97, 5, "0.97000"),
        (1234.5, 1, "1234.5"),
        (123456.7, -2, "123457"),
        (3.2e-5, 8, "3.200e-5"),
        (2.5e11, -8, "2.500e11"),
        (0.0, 9, "0.000000"),
        (0.97, None, "0.97"),
        (1234.5, None, "1234.5"),
        (3.2e-5, None, "3.2e-5"),
        (10234567.0, None, "10234567"),
        (1 / 3, None, "0.333333"),
        (-1.5e-12, None, "-1.5e-12"),
    ],
)
def test_numbers_of_any_magnitude_are_written_short(value: float, decimals: int | None, words: str) -> None:
    assert write_number(value, decimals) == words


def test_digits_follow_the_noise_but_bits_per_byte_have_four_decimals() -> None:
    assert ScoreWords(ACCURACY, 0.0049).score(-0.97) == "0.97000"
    assert ScoreWords(replace(ACCURACY, direction="lower"), 12.3).score(1234.56) == "1234.6"
    assert {ScoreWords(OURS, sd).score(1.23456) for sd in (math.nan, 1e-9, 50.0)} == {"1.2346"}
    assert ScoreWords(ACCURACY, 0.0).gain(0.0125) == "+0.0125", "no noise at all: by its magnitude"


def test_the_summary_names_the_metric_its_direction_and_who_says_it() -> None:
    lines = summary_lines(scripted())
    assert lines[0] == "baseline     0.93985 accuracy, mean of 3 runs, higher is better"
    assert lines[1] == "best         0.96525 accuracy, by pairs of runs on equal seeds, self-reported"
    assert lines[2].startswith("improvement  0.02540 (2.7%), 95 % interval 0.0")
    low, high = map(float, lines[2].rsplit(" interval ", 1)[1].split(" to "))
    assert low < 0.0254 < high
    assert not any("bpb" in line for line in lines) and "0.96525  gain 0.01355" in lines[5]


@pytest.mark.parametrize(
    ("said", "doubt"),
    [
        ({}, "self-reported"),
        ({"seed": "fixed"}, "self-reported, one seed"),
        ({"command": "./fit"}, "self-reported, one seed"),
        ({"metric": "wall_seconds", "seed": "measurement"}, ""),
        ({"judge": "python judge.py", "artefacts": ["model.bin"]}, ""),
        ({"judge": "python judge.py", "artefacts": ["model.bin"], "seed": "fixed"}, "one seed"),
    ],
)
def test_every_place_that_tells_a_win_says_how_sure_it_is(said: dict[str, object], doubt: str, tmp_path: Path) -> None:
    history = scripted(**said)
    assert facts.scoring(history) == ScriptExperiment.model_validate(SCRIPT | said).scoring
    assert facts.scoring(history).doubt == doubt
    page, summary = written(history, tmp_path), "\n".join(summary_lines(history))
    places = [summary, *compare_runs([history])[-1:], *page.split('<section class="win">')]
    assert [place.count(doubt) if doubt else place.count("self-rep") for place in places] == [int(bool(doubt))] * 5
    if "one seed" in doubt:
        nothing = "\n".join(summary_lines(replace(history, steps=history.steps[:1])))
        assert "proven" not in summary + page.lower().split("settings</h2>")[0] + nothing
        assert "equal seeds" not in summary + page


def test_one_line_a_decision_and_the_screen_show_the_score_as_it_was_printed() -> None:
    words = facts.score_words(scripted())
    assert "ok      accuracy   0.89450 discard    MATRIX_LR" in decision_line(scripted().rows[3], words=words)
    console = Console(width=150, height=20, record=True, file=io.StringIO())
    now = replace(SNAPSHOT, baseline=-0.94, best=-0.96, frontier=-0.97, noise_sd=0.004, wins=1, decisions=())
    console.print(render(replace(now, words=ScoreWords(ACCURACY, 0.004))))
    shown = console.export_text()
    assert "accuracy   baseline 0.94000   best 0.96000 (+0.02000) self-reported   frontier 0.97000" in shown
    assert "bpb" not in shown


def test_the_best_is_drawn_as_rising_steps(tmp_path: Path) -> None:
    progress_png(scripted(), tmp_path / "a.png")
    pixels = matplotlib.image.imread(tmp_path / "a.png")[..., :3]
    near = abs(pixels - [0x1A / 255, 0x7F / 255, 0x37 / 255]) < 0.02
    green = np.asarray(near.all(axis=2))[100:495]
    heights = [green[:, column].argmax() for column in (200, 900, 1125)]  # rows from the top
    assert heights[0] > heights[1] > heights[2] > 0
    red = np.asarray((abs(pixels - [0xCF / 255, 0x22 / 255, 0x2E / 255]) < 0.3).all(axis=2))[:520]
    assert np.nonzero(red.any(axis=1))[0].min() > 450, "failures stand on the lower edge"


def test_chart_lineage_and_panel_have_the_printed_scores() -> None:
    history = scripted()
    drawn = chart(history)
    assert drawn.rises and drawn.decimals == 5
    assert [score for _, _, score in drawn.best] == pytest.approx([0.93985, 0.9515, 0.96525])
    assert max(trial.score for trial in drawn.trials if trial.score is not None) == pytest.approx(0.972, abs=0.001)
    assert lineage_rows(history)[2].numbers.startswith("accuracy 0.95150 · gain +0.01165 · P(better)")
    panel = trial_panel(history, "t00019")
    assert panel is not None
    told = dict(panel.facts)
    assert (told["accuracy"], told["held out"]) == ("0.95250", "0.94750")
    assert ("gain", "+0.01165 (95 %: 0.00765 to 0.01565)") in panel.decisions[1]


def test_heads_of_tables_have_the_metrics_unit() -> None:
    assert "gain of a typical move, bpb" in ScoreWords().heads(KNOB_HEADS)
    assert "gain of a typical move" in ScoreWords(ACCURACY).heads(KNOB_HEADS)
    assert "gain of a typical move, ms" in ScoreWords(Scoring("t", "ms")).heads(KNOB_HEADS)


def test_tables_have_the_score_of_any_metric_and_val_bpb_of_ours_alone() -> None:
    ours, theirs = trial_table(realistic()), trial_table(scripted())
    assert ours.score.equals(ours.val_bpb.rename("score")) and set(ours.metric) == {"val_bpb"}
    assert theirs.score[3] == pytest.approx(0.8945) and theirs.holdout_score[3] == pytest.approx(0.8895)
    assert theirs.val_bpb.isna().all() and theirs.holdout_bpb.isna().all()
    assert set(theirs.metric) == {"accuracy"} and set(theirs.metric_direction) == {"higher"}
    steps = lineage_table(scripted())
    assert list(steps.score[[0, 2]]) == pytest.approx([0.93985, 0.9515]) and steps.val_bpb.isna().all()
    assert steps.gain[2] == pytest.approx(0.01165), "above 0 is better"
    (head,) = run_table(scripted()).to_dict("records")
    assert (head["metric"], head["doubt"], head["gain"]) == ("accuracy", "self-reported", pytest.approx(0.0254))
    assert (head["baseline"], head["best"]) == pytest.approx((0.93985, 0.96525))
    header, *rows = results_tsv(scripted()).splitlines()
    assert header.split("\t")[1] == "accuracy" and rows[3].split("\t")[1] == "0.8945"


def test_a_table_of_an_earlier_version_gets_the_columns_of_any_metric(tmp_path: Path) -> None:
    older = ["score", "holdout_score", "metric", "metric_direction"]
    trial_table(realistic()).drop(columns=older).to_parquet(tmp_path / "trials.parquet")
    table = read_table(tmp_path)
    assert table.score.equals(table.val_bpb.rename("score")) and set(table.metric_direction) == {"lower"}


def test_runs_of_different_metrics_are_told_apart() -> None:
    nats = replace(scripted(), settings=scripted().settings | {"experiment": LOSS})
    first, _, *lines = compare_runs([scripted(), realistic(), nats, scripted()])
    assert first == "3 metrics, which do not compare with each other:"
    heads = [line for line in lines if line.endswith("is better")]
    assert heads == ["accuracy, higher is better", "val_bpb, bpb, lower is better", "loss, nats, lower is better"]
    assert sum(line.startswith("cpu-night") for line in lines) == 4
    assert compare_runs([realistic(), realistic()])[0].startswith("tag "), "ours alone need no name"


def test_a_metrics_name_is_foreign_text(hostile: str, tmp_path: Path) -> None:
    history = scripted(metric=hostile or "x", unit=hostile)
    assert all(line.isprintable() for line in summary_lines(history))
    assert len(results_tsv(history).splitlines()[0].split("\t")) == 5
    assert "<script>alert" not in written(history, tmp_path)


def test_the_best_come_first_when_a_column_of_scores_is_clicked(tmp_path: Path, tab: Browser) -> None:
    written(scripted(), tmp_path)
    tab.open((tmp_path / "report.html").as_uri())
    tab.do("document.querySelector('table.sorted th:nth-child(4)').click()")
    scores = [float(row[3]) for row in shown_rows(tab) if row[3] != "–"]
    assert scores == sorted(scores, reverse=True) and scores[0] == pytest.approx(0.972, abs=0.001)
    assert "accuracy of every trial, higher is better" in tab.do("document.getElementById('progress').textContent")
    y = [float(height) for height in tab.do(HEIGHTS)]
    assert y[0] > y[1] > y[2], "the best rises"
    assert set(tab.do(SCALE)) >= {"0.95", "0.90"}, "the scale has the scores as they were printed"


HEIGHTS = "document.querySelector('path.best').getAttribute('d').match(/(?<=[V ])[\\d.]+/g)"
SCALE = "[...document.querySelectorAll('#progress text')].map((text) => text.textContent)"


def test_runs_without_a_contract_in_their_settings_are_ours() -> None:
    older: History = replace(realistic(), settings={"tag": "old", "experiment": "cpu"})
    assert facts.scoring(older) == facts.scoring(realistic()) == OURS
