"""Losing screens end early: a whole run in which nearly every proposal is a loser, and what a search remembers."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import early_stop
import pandas as pd
import pytest
from small_run import CANDIDATE, EXPERIMENT, settings_of, start_launch, write_experiment

from autoresearch_ray import load_trials
from autoresearch_ray.decide.early_stop import StopRule
from autoresearch_ray.decide.learning_curve import TWENTIETHS
from autoresearch_ray.records.trials import CurvePoint, Kind, Proposal, Purpose, Result, Trial
from autoresearch_ray.search.early_stop import AUDITED, KEPT_PAIRS, KEPT_RUNS, Curves
from autoresearch_ray.settings.request import Request
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.sqlite.store import SqliteStore

pytestmark = pytest.mark.alone

KNOB = "LR = 0.1  # SGD learning rate; search log(0.001, 10.0)"
LOSING = CANDIDATE.replace(KNOB, "LR = 0.02  # SGD learning rate; search log(0.00002, 0.02)").replace(
    "; search log_", " "
)
SD = 0.01


@pytest.mark.timeout(300)
def test_screens_that_have_lost_are_ended_and_their_slots_go_on(
    tmp_path: Path, ray_address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only the learning rate is searched over, and its start is the best there is."""
    write_experiment(tmp_path, LOSING, EXPERIMENT.replace("budget_seconds: 0.5", "budget_seconds: 1"))
    options = ["--trials", "24", "--proposer", "random", "--early-stop", "paired", "--address", ray_address]
    launch = start_launch(tmp_path, "e.yaml", "--tag", "x", *options)
    output = launch.communicate(timeout=240)[0]
    assert launch.returncode == 0, output
    table = load_trials(tmp_path / "runs" / "x")
    stopped, rest = table[table.status == "stopped"], table[table.status != "stopped"]
    assert len(stopped) >= 1 and len(table) == 24 and (rest.status == "ok").all(), output
    assert (
        (stopped.purpose == "screen").all() and (stopped.decision == "discard").all() and stopped.val_bpb.isna().all()
    )
    assert stopped.error.str.match(r"ended at \d+ % of its time: P\(worthwhile\) 0\.0").all()
    assert (stopped.expected_bpb > table.val_bpb[0]).all() and rest.expected_bpb.isna().all()
    assert stopped.training_seconds.between(0.2, 0.99).all(), "on a budget of 1 s"
    assert output.count("enough pairs of learning curves are known") == 1
    curve = pd.read_csv(tmp_path / "runs" / "x" / "trials" / stopped.trial_id.iloc[0] / "curve.csv")
    assert 3 <= len(curve) <= 20 and curve.train_bpb.notna().all()
    assert early_stop.main([str(tmp_path / "runs" / "x")]) == 0, "and the rule is replayed on what ran to its end"
    assert "contenders ended: " in capsys.readouterr().out


def test_the_bound_of_what_is_ended_wrongly_is_exact() -> None:
    """Clopper and Pearson's: with none of 60 the 5 % are just held, with one they are not."""
    assert early_stop.upper_bound(0, 60) == pytest.approx(1 - 0.05 ** (1 / 60)) and early_stop.upper_bound(0, 60) < 0.05
    assert early_stop.upper_bound(0, 58) > 0.05 and early_stop.upper_bound(1, 60) == pytest.approx(0.0767, abs=1e-3)
    assert early_stop.upper_bound(0, 0) == early_stop.upper_bound(3, 3) == 1.0


@pytest.fixture
def settings(tmp_path: Path) -> RunSettings:
    request = Request(experiment=write_experiment(tmp_path), early_stop="paired", program=tmp_path / "program.md")
    return settings_of(request)


def trial(number: int, parent: str = "base", purpose: Purpose = "screen", kind: Kind = "knobs") -> Trial:
    proposal = Proposal(f"p{number}", kind, "tpe", f"source {number}", parent, 1, "words")
    return Trial(f"t{number:05d}", proposal, purpose, 1, 0.0, seed_number=0)


def result(of: Trial, val_bpb: float, budget: float) -> Result:
    curve = tuple(CurvePoint(budget * k / TWENTIETHS, k, k, val_bpb + 1 / k) for k in range(1, TWENTIETHS + 1))
    return Result(of.trial_id, "ok", val_bpb=val_bpb, holdout_bpb=val_bpb, curve=curve)


def baseline(settings: RunSettings) -> tuple[Trial, Result]:
    start = replace(trial(1, "", "baseline", "baseline"), proposal=replace(trial(1).proposal, source_sha="base"))
    return start, result(start, 1.0, settings.experiment.budget_seconds)


def filled(settings: RunSettings, pairs: int) -> Curves:
    """After a baseline and so many of its children."""
    curves = Curves(settings)
    curves.add(*baseline(settings))
    for number in range(2, pairs + 2):
        child = trial(number)
        curves.add(child, result(child, 1.0 + SD * (number % 7 - 2), settings.experiment.budget_seconds))
    return curves


def test_screens_alone_may_be_ended_and_with_enough_pairs(settings: RunSettings) -> None:
    curves = filled(settings, settings.rules.early_stop_pairs)
    rule = curves.stop_rule(trial(99), SD, price=0.001)
    assert rule is not None and rule.parent_bpb == 1.0 and rule.needed == pytest.approx(-0.4 * SD - 0.001)
    for purpose in ("baseline", "confirm", "prove", "idle"):
        assert curves.stop_rule(trial(99, purpose=purpose), SD, 0.0) is None
    assert curves.stop_rule(trial(99, kind="merge"), SD, 0.0) is None
    assert curves.stop_rule(trial(99, parent="unknown"), SD, 0.0) is None
    assert curves.stop_rule(replace(trial(99), seed_number=7), SD, 0.0) is None, "its parent has no run there"
    assert curves.stop_rule(trial(99), float("nan"), 0.0) is None, "the noise is not known"
    assert filled(settings, settings.rules.early_stop_pairs - 1).stop_rule(trial(99), SD, 0.0) is None
    assert filled(settings.replace(early_stop="none"), 30).stop_rule(trial(99), SD, 0.0) is None


def test_one_screen_in_ten_runs_to_its_end_in_any_case(settings: RunSettings) -> None:
    curves = Curves(settings)
    audited = [number for number in range(2_000) if curves.is_audited(trial(number))]
    assert 0.7 * 2_000 / AUDITED < len(audited) < 1.3 * 2_000 / AUDITED
    assert audited == [number for number in range(2_000) if Curves(settings).is_audited(trial(number))]


@contextmanager
def stored(settings: RunSettings, folder: Path, pairs: int) -> Iterator[tuple[Board, list[Trial]]]:
    """The same run in a store."""
    with SqliteStore(folder / "state.db") as store:
        board, trials = Board(store), [baseline(settings)[0], *map(trial, range(2, pairs + 2))]
        for one in trials:
            assert board.start(one)
        board.finish(baseline(settings)[1])
        for child in reversed(trials[1:]):  # they end in another order than they began
            number = int(child.trial_id[1:])
            board.finish(result(child, 1.0 + SD * (number % 7 - 2), settings.experiment.budget_seconds))
        yield board, trials


@pytest.mark.parametrize("pairs", [20, KEPT_PAIRS + 30, KEPT_RUNS + 50])
def test_a_run_that_goes_on_judges_as_it_did(settings: RunSettings, tmp_path: Path, pairs: int) -> None:
    before, after = filled(settings, pairs), Curves(settings)
    with stored(settings, tmp_path, pairs) as (board, trials):
        after.recover(board, trials)
    rule: StopRule | None = before.stop_rule(trial(9_999), SD, 0.0)
    assert rule is not None and after.stop_rule(trial(9_999), SD, 0.0) == rule


def test_a_tuner_is_told_what_a_curve_promised() -> None:
    stopped = Result("t1", "stopped", expected_bpb=1.9)
    assert (stopped.estimated_bpb, Result("t1", "ok", val_bpb=1.8).estimated_bpb) == (1.9, 1.8)
    assert math.isnan(Result("t1", "crash").estimated_bpb) and math.isnan(stopped.val_bpb)


def test_a_run_of_an_older_scheduler_goes_on_with_this_one(settings: RunSettings) -> None:
    stored = settings.model_dump(mode="json")
    for older in ("asha", "median"):
        assert RunSettings.model_validate(stored | {"early_stop": older}).early_stop == "paired"
    rules = {name: value for name, value in stored["rules"].items() if not name.startswith(("early_stop", "worth"))}
    assert RunSettings.model_validate(stored | {"rules": rules}) == settings
