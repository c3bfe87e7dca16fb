"""What all results say together, recomputed by hand from the trial table of a run, and on made-up pasts."""

import ast
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pasts import EXPERIMENT, PROGRAM, TRAIN

from autoresearch_ray.candidate.knobs import read_knobs
from autoresearch_ray.candidate.ranges import Choice
from autoresearch_ray.common.paths import EXPERIMENTS, STORE_FILE
from autoresearch_ray.decide.estimate import Estimate
from autoresearch_ray.decide.state import SearchState
from autoresearch_ray.driver.simulated_run import simulate_run
from autoresearch_ray.observe.tables.trials import trial_table
from autoresearch_ray.propose.director.findings import find
from autoresearch_ray.propose.director.statistical import direct_by_statistics
from autoresearch_ray.propose.director.subjects import OTHER, SUBJECTS, subject_of
from autoresearch_ray.propose.llm.prompt.guidance_text import findings_lines
from autoresearch_ray.propose.llm.prompt.view import CandidateView, SearchView, StandingView
from autoresearch_ray.records.codec import from_json
from autoresearch_ray.records.guidance import NO_DIRECTIVES, Direction, Directives, Findings
from autoresearch_ray.records.proposers import RejectedIdea
from autoresearch_ray.search.analyst import Analyst
from autoresearch_ray.search.worlds.world import Conditions
from autoresearch_ray.settings.request import ask
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.sqlite.store import SqliteStore

START = StandingView(TRAIN, 200, 1.8, 1.81)
ORDER = "the optimiser or its schedule"


def candidate(number: int, gain: float, hypothesis: str, **more: object) -> CandidateView:
    values: dict[str, object] = {
        "trial_id": f"t{number:05d}", "kind": "code", "proposer": "openai:x", "hypothesis": hypothesis, "change": "",
        "lines": (), "constants": (), "places": ("train",), "status": "crash" if math.isnan(gain) else "ok", "runs": 1,
        "val_bpb": 1.8 - gain, "difference": -gain, "steps": 100, "expected": math.nan, "verdict": "discard",
        "reason": "", "taken": False, "error": "",
    }  # fmt: skip
    return CandidateView(**values | more)  # type: ignore[arg-type]


def view_of(*candidates: CandidateView, rejected: tuple[RejectedIdea, ...] = ()) -> SearchView:
    return SearchView(
        PROGRAM, EXPERIMENT, 0.00005, 630, 0.4, START, START, 0.01, 5, candidates, (), (), rejected, 0
    )  # fmt: skip


def found(*candidates: CandidateView, **more: tuple[RejectedIdea, ...]) -> Findings:
    return find(view_of(*candidates, **more), read_knobs(TRAIN), 0.005, 0.0)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated run of 80 trials: the real tuner, store and decisions."""
    folder = tmp_path_factory.mktemp("runs") / "simulated"
    request = ask(experiment=EXPERIMENTS / "cpu.yaml", trials=80, slots=4, seed=3, isolation="none")
    simulate_run(request, Conditions(seed_share=0.9), folder, lambda _: None)
    return folder


def test_knob_effects_are_those_of_a_ridge_regression_on_the_trial_table(run: Path) -> None:
    with SqliteStore(run / STORE_FILE) as store:
        board = Board(store)
        settings = RunSettings.model_validate_json(board.settings() or b"")
        findings = Analyst(board, settings, lambda: 7.0).look()
        assert findings is not None and board.notes.findings() == findings and findings.at == 7.0
        assert Analyst(board, settings).look() is None, "nothing is new since"
        history, state = board.history(), board.search_state()[0]
    table = trial_table(history)
    screens = table[(table.purpose == "screen") & (table.proposer == "tpe")]
    knobs = {knob.name: knob for knob in read_knobs(settings.baseline)}
    rows, gains = list[dict[tuple[str, str], float]](), list[float]()
    for _, trial in screens.drop_duplicates("source_sha").iterrows():
        gain = gain_on_equal_seeds(table, trial)
        if math.isnan(gain):
            continue
        moves = {}
        for words in trial.hypothesis.split(", "):
            name, before, _, after = words.split(" ", 3)
            range_, old, new = knobs[name].range, ast.literal_eval(before), ast.literal_eval(after)
            if isinstance(range_, Choice):
                moves[name, f"set to {after}"] = 1.0
            else:
                step = range_.to_unit(new) - range_.to_unit(old)
                moves[name, "raised" if step > 0 else "lowered"] = abs(step) / 0.25
        rows.append(moves)
        gains.append(gain)
    keys = sorted({key for moves in rows for key in moves})
    design = np.array([[moves.get(key, 0.0) for key in keys] for moves in rows])
    pair_sd = Estimate(json_state(state).ledger).pair_variance(1) ** 0.5
    assert findings.pair_sd == pytest.approx(pair_sd)
    prior = np.eye(len(keys)) / 10  # a typical move may be worth ten pair sd
    wanted, *_ = np.linalg.lstsq(np.vstack([design, prior]), np.array([*gains, *np.zeros(len(keys))]), rcond=None)
    spread = pair_sd * np.sqrt(np.diag(np.linalg.inv(design.T @ design + np.eye(len(keys)) / 100)))
    told = {(effect.name, effect.way): effect for effect in findings.knobs}
    assert sorted(told) == keys and len(keys) > 15
    for key, gain, sd in zip(keys, wanted, spread, strict=True):
        assert told[key].gain == pytest.approx(gain, abs=1e-9)
        assert told[key].high - told[key].low == pytest.approx(2 * 1.96 * sd, rel=1e-6)
        assert told[key].tried == sum(key in moves for moves in rows)
    recent = screens_with_decision(table).tail(40)
    assert findings.outlook.screens == len(recent)


def json_state(text: bytes | None) -> SearchState:
    assert text is not None
    return from_json(SearchState, text)


def gain_on_equal_seeds(table: pd.DataFrame, trial: "pd.Series[Any]") -> float:
    """What a candidate's runs gained over its parent's on the seeds of both; NaN without one."""
    scored = table[table.status == "ok"]
    own, parent = (scored[scored.source_sha == sha] for sha in (trial.source_sha, trial.parent_sha))
    both = own[own.seed_number >= 0].merge(
        parent[parent.seed_number >= 0].drop_duplicates("seed_number"), on="seed_number"
    )
    both = both.drop_duplicates("seed_number")
    return float((both.val_bpb_y - both.val_bpb_x).mean()) if len(both) else math.nan


def screens_with_decision(table: pd.DataFrame) -> pd.DataFrame:
    screens = table[table.purpose == "screen"].drop_duplicates("source_sha")
    return screens[(screens.decision != "") & (screens.status != "running")]


def test_subjects_are_counted_with_student_s_interval_and_why_they_fail() -> None:
    muon, relu = "Muon's momentum should warm up.", "A SwiGLU MLP learns more per step."
    gains = (0.01, -0.002, 0.004)
    trials = [candidate(n, gain, muon, taken=n == 1) for n, gain in enumerate(gains, start=1)]
    crash = candidate(4, math.nan, relu, error="Traceback ...\nRuntimeError: shapes differ")
    refused = RejectedIdea("w1", "openai:x", "rule", "A longer sequence halves the batch.", "", 0.0)
    findings = found(*trials, crash, rejected=(refused,))
    order, mlp, batch = findings.subjects
    assert (order.subject, order.tried, order.advanced, order.failed) == (ORDER, 3, 1, 0)
    assert order.gain == pytest.approx(0.004)
    half = 4.302653 * np.std(gains, ddof=1) / math.sqrt(3)
    assert (order.low, order.high) == pytest.approx((0.004 - half, 0.004 + half), abs=1e-6)
    assert (mlp.tried, mlp.failed, mlp.why) == (1, 1, "crash: RuntimeError: shapes differ")
    assert (batch.tried, batch.refused, batch.why) == (0, 1, "rule")
    assert set(findings.untried_subjects) == set(SUBJECTS) - {one.subject for one in findings.subjects}


@pytest.mark.parametrize(
    ("words", "subject"),
    [
        ("Muon's momentum warms up over the first fifth of the budget", ORDER),
        ("Two heads attend to the last tokens alone, so that induction comes early", "attention"),
        ("Counts of pairs of tokens tell what the network takes half of the budget to learn", next(iter(SUBJECTS))),
        ("Fewer rows a batch at first: early gradients agree", "batches, sequence lengths or the loss"),
        ("Try again", OTHER),
    ],
)
def test_an_idea_is_about_what_most_of_its_words_speak_of(words: str, subject: str) -> None:
    assert subject_of(words) == subject


def test_a_plateau_is_told_with_its_number_and_what_to_do() -> None:
    loses = [candidate(n, -0.001, "Muon's momentum") for n in range(1, 60)]
    findings = found(*loses)
    assert findings.outlook.is_plateau and findings.outlook.screens == 40
    assert findings.outlook.expected == pytest.approx(20 * 0.5 / 41 * 0.004) and findings.outlook.bound == 0.004
    assert findings.advice == "explore" and "attention" in findings.reason
    wins = [candidate(n, 0.02, "Muon", taken=True, verdict="advance") for n in range(60, 65)]
    assert found(*loses, *wins).advice == "refine" and not found(*loses, *wins).outlook.is_plateau
    assert found(*loses[:5]).advice == "wait"
    waiting = candidate(80, 0.003, "Muon", verdict="promising")
    assert found(*loses, waiting).advice == "combine"


def test_what_was_brought_together_is_told_beside_the_sum_of_its_parts() -> None:
    merge = candidate(1, -0.02, "merged: two good things", kind="merge", expected=-0.03)
    (one,) = found(merge).interactions
    assert (one.expected, one.measured) == (0.03, -0.02)
    assert any("-0.0200 where +0.0300 was expected" in line for line in findings_lines(found(merge)))


def test_directions_by_statistics_go_on_with_what_brings_something_and_leave_what_is_dead() -> None:
    muon, relu = "Muon's momentum", "A SwiGLU MLP"
    good = [candidate(n, 0.02 + 0.001 * n, muon, taken=True) for n in range(4)]
    dead = [candidate(n, -0.02 + 0.001 * n, relu) for n in range(4, 8)]
    first = direct_by_statistics(found(*good, *dead), NO_DIRECTIVES)
    assert (first.version, first.author, first.directions[0].title) == (1, "statistics", ORDER)
    assert first.directions[0].share == 1.0 and len(first.directions) == 6
    assert first.stops[0].startswith("MLP, activation or normalisation (0 of 4 advanced")
    second = direct_by_statistics(found(*good, *dead), first)
    assert second.version == 2 and [d.name for d in second.directions] == [d.name for d in first.directions]
    other = Directives(2, "person", (Direction("d9", "Something else"),), (), "", 8, 0.0, numbered=9)
    assert direct_by_statistics(found(*good, *dead), other).directions[0].name == "d10"
