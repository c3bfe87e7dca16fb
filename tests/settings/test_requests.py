"""A request, from what is typed to what a run keeps: every option is accounted for, every copy is checked."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError
from small_run import settings_of, write_experiment

from autoresearch_ray import init
from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.common.paths import EXPERIMENTS, PROGRAM
from autoresearch_ray.driver.new_run import choose_experiment, program_path
from autoresearch_ray.driver.resume import MAY_NOT_CHANGE, resume_run
from autoresearch_ray.launch import parse
from autoresearch_ray.settings.decision_rules import Rules
from autoresearch_ray.settings.experiment_file import load_experiment
from autoresearch_ray.settings.request import Request, ask
from autoresearch_ray.settings.run_settings import RequestedRun, RunSettings, RunTerms

OF_ONE_LAUNCH = {
    "experiment",
    "init_only",
    "runs_dir",
    "resume",
    "address",
    "program",
    "push_to",
    "on_win",
    "on_end",
    "log",
    "submit",
    "plain",
    "hours",
    "slots",
}
OF_THE_EXPERIMENT = {"budget_seconds", "gpus_per_trial", "cpus_per_trial"}  # which a resumed run keeps
OF_THE_RULES = {"complexity_price"}  # in which its decisions stand
MAY_CHANGE = {
    "trials": 30,
    "proposers": ("random",),
    "director": "openai:mine",
    "isolation": "none",
    "llm_base_url": "http://127.0.0.1:1/v1",
    "context_tokens": 8_192,
    "max_calls": 40,
    "prices": ("mine=2,10",),
    "max_cost_usd": 2.5,
    "max_staleness": 3,
    "early_stop": "paired",
    "keep_weights": "best",
    "storage": "none",
}


@pytest.fixture
def stored(tmp_path: Path) -> RunSettings:
    experiment = write_experiment(tmp_path)
    return settings_of(ask(experiment=experiment, slots=1, program=tmp_path / "program.md", proposers=("openai:mine",)))


def test_every_option_is_of_a_launch_or_may_change_or_may_not() -> None:
    kept = {"tag", "state", *MAY_NOT_CHANGE, *MAY_CHANGE}
    assert set(Request.model_fields) == OF_ONE_LAUNCH | OF_THE_EXPERIMENT | OF_THE_RULES | kept
    assert kept <= set(RunTerms.model_fields)


@pytest.mark.parametrize("option", MAY_CHANGE)
def test_what_may_change_is_changed_and_nothing_else(stored: RunSettings, option: str) -> None:
    request = ask(tag="x", resume=True, **{option: MAY_CHANGE[option]})
    before, after = resume_run(ask(tag="x", resume=True), stored, None), resume_run(request, stored, None)
    changed = {name for name in RequestedRun.model_fields if getattr(before, name) != getattr(after, name)}
    assert changed == ({option} if option != "storage" else set()), "a storage is resolved to its URL before"


def test_the_price_of_a_line_is_that_of_the_run(stored: RunSettings, tmp_path: Path) -> None:
    request = ask(experiment=tmp_path / "e.yaml", program=tmp_path / "program.md", complexity_price=0.001)
    assert settings_of(request).rules == replace(Rules(), complexity_price=0.001)
    assert resume_run(ask(tag="x", resume=True, complexity_price=0.00005), stored, None).rules == stored.rules
    with pytest.raises(SettingsError, match=r"--complexity-price 0\.001: run x has 5e-05"):
        resume_run(ask(tag="x", resume=True, complexity_price=0.001), stored, None)


def test_the_models_own_address_comes_back_by_none(stored: RunSettings) -> None:
    elsewhere = stored.replace(llm_base_url="http://127.0.0.1:1/v1")
    assert resume_run(ask(tag="x", resume=True), elsewhere, None).llm_base_url == "http://127.0.0.1:1/v1"
    assert resume_run(ask(tag="x", resume=True, llm_base_url="none"), elsewhere, None).llm_base_url == ""


@pytest.mark.parametrize("option", MAY_NOT_CHANGE)
def test_what_may_not_change_is_refused_unless_it_is_the_same(stored: RunSettings, option: str) -> None:
    stored = stored.replace(from_run="runs/a")
    same = getattr(stored, option)
    other = {"seed": 7, "from_run": "runs/b"}[option]
    assert getattr(resume_run(ask(tag="x", resume=True, **{option: same}), stored, None), option) == same
    with pytest.raises(SettingsError, match=rf"{other}: run x has {same}; leave it out"):
        resume_run(ask(tag="x", resume=True, **{option: other}), stored, None)


def test_the_command_line_and_a_function_call_make_the_same_request() -> None:
    typed = parse(
        ["e.yaml", "--trials", "9", "--proposer", "tpe=2", "--proposer", "openai:m", "--max-staleness", "none"]
    )
    called = ask(experiment="e.yaml", trials=9, proposers=("tpe=2", "openai:m"), max_staleness="none")
    assert typed == called and [spec.label for spec in typed.proposers] == ["tpe", "openai:m"]
    assert parse([]) == Request()


def test_no_copy_of_settings_goes_unchecked(stored: RunSettings) -> None:
    assert stored.replace(slots=3).slots == 3
    for wrong in ({"slots": 0}, {"isolation": "paper"}, {"max_stale": 1}, {"rules": {"keep_probability": "often"}}):
        with pytest.raises(ValidationError):
            stored.replace(**wrong)
    assert stored.replace(rules={"worthwhile_sd": 1.0}).rules == Rules(worthwhile_sd=1.0)
    older = stored.replace(rules={"complexity_price": 0.1, "advance_sd": 1.0}).rules
    assert older == Rules(complexity_price=0.1), "the price is a part of J, the other rules are the new ones"


def test_an_unknown_option_of_a_call_is_named() -> None:
    with pytest.raises(SettingsError, match="unknown option budget; expected some of address, budget_seconds"):
        ask(budget=3)


def test_files_of_this_folder_come_before_those_that_ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert choose_experiment(None) == EXPERIMENTS / "cpu.yaml" and program_path(None) == PROGRAM
    assert choose_experiment((7, 5)).name == "t4.yaml" and choose_experiment((8, 0)).name == "h100.yaml"
    assert init.main([]) == 0
    assert choose_experiment(None) == Path("experiments/cpu.yaml") and program_path(None) == Path("program.md")
    assert load_experiment(choose_experiment(None)).candidate == str(tmp_path / "experiments" / "train.py")
    assert program_path(Path("mine.md")) == Path("mine.md")
