"""A class of the user's proposes beside the tuner, by the example that the docs give and through every gate."""

import asyncio
import re
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from small_run import measure_baseline, settings_of, write_experiment

from autoresearch_ray import load_trials
from autoresearch_ray.benchmark.data.dataset import prepare
from autoresearch_ray.candidate.knobs import read_knobs
from autoresearch_ray.candidate.rules import check_candidate
from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.propose.llm.conversation import Gates, Idea, Rejection
from autoresearch_ray.propose.own import OwnIdea, OwnProposer, OwnTuner, load_proposer, load_tuner
from autoresearch_ray.search.models.proposers import Writers
from autoresearch_ray.settings.proposer_spec import parse_proposer
from autoresearch_ray.settings.request import ask
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.sqlite.store import SqliteStore

ROOT = Path(__file__).parents[2]
EXAMPLE, TUNER = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "models.md").read_text(), re.S)


def converse(proposer: Any, text: str) -> tuple[list[Idea], list[Rejection]]:
    own = OwnProposer(proposer)
    accepted: list[Idea] = []

    async def passes(text: str) -> str | None:
        return None

    async def accept(idea: Idea) -> None:
        accepted.append(idea)

    gates = Gates(lambda text: check_candidate(text, 40), lambda text: None, passes)

    view: Any = SimpleNamespace(frontier=SimpleNamespace(text=text))
    conversation = asyncio.run(own.converse(view, gates, accept))
    assert list(conversation.ideas) == accepted
    return accepted, [outcome for outcome in conversation.outcomes if isinstance(outcome, Rejection)]


def test_the_example_is_short() -> None:
    assert len(EXAMPLE.splitlines()) < 40  # what it proposes is seen in test_wheel


def test_good_ideas_are_accepted_and_others_rejected_with_the_gate_that_they_failed() -> None:
    source = (ROOT / "experiments" / "train.py").read_text()

    class Mine:
        def propose(self, view: object) -> list[OwnIdea]:
            return [
                OwnIdea(source.replace("SOFTCAP = 15.0", "SOFTCAP = 30.0"), "Wider."),
                OwnIdea(source, "The same."),
                OwnIdea(source.replace("import math\n", "import math\nimport os\n"), "Look around."),
            ]

    accepted, rejected = converse(Mine(), source)
    assert [idea.hypothesis for idea in accepted] == ["Wider."]
    assert [(one.hypothesis, one.reason) for one in rejected] == [("The same.", "duplicate"), ("Look around.", "rule")]


def test_what_is_no_idea_is_an_error_of_the_class() -> None:
    class Mine:
        def propose(self, view: object) -> list[str]:
            return ["text"]

    with pytest.raises(TypeError, match="propose gave a str, expected an OwnIdea"):
        converse(Mine(), "x = 1\n")


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("no_such_module:Mine", "ModuleNotFoundError"),
        ("math:Mine", "AttributeError"),
        ("math:cos", "TypeError"),
        ("collections:Counter", "has no method propose"),
        ("nobody", "no installed package has it; expected package.module:Class"),
    ],
)
def test_a_class_that_cannot_be_had_is_one_line(where: str, words: str) -> None:
    with pytest.raises(SettingsError, match="--proposer own:.*" + words):
        load_proposer(where)


def test_which_class_must_be_said() -> None:
    with pytest.raises(SettingsError, match="which class"):
        ask(proposers=("own",))


CLASSES = """
from autoresearch_ray.propose.own import OwnIdea


class Good:
    def propose(self, view):
        assert view.ideas >= 1 and view.frontier.text.startswith("import torch")
        return [OwnIdea(view.frontier.text.replace("torch.optim.SGD", "torch.optim.Adagrad"), "Steps of their own.")]


class Broken:
    def propose(self, view):
        raise RuntimeError("no idea what a view is")
"""


@pytest.mark.parametrize("name", ["Good", "Broken"])
def test_a_class_proposes_in_a_run_or_pauses_with_its_error(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "classes_of_a_user.py").write_text(CLASSES)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("AUTORESEARCH_HOME", str(tmp_path / "home"))
    label = f"own:classes_of_a_user:{name}"
    experiment = write_experiment(tmp_path)
    request = ask(experiment=experiment, proposers=(label,), slots=1, program=tmp_path / "program.md")
    settings = settings_of(request)
    prepare(settings.train_experiment)
    with SqliteStore(tmp_path / "state.db") as store:
        board = Board(store)
        board.put_settings(settings.model_dump_json().encode())
        measure_baseline(board, settings)
        with closing(Writers(board, settings, tmp_path, {label: ""})):
            deadline = time.monotonic() + 60
            while not (board.queue() or any(one.state == "pausing" for one in board.notes.proposers())):
                assert time.monotonic() < deadline
                time.sleep(0.05)
        if name == "Good":
            (proposal,) = board.queue()
            assert (proposal.proposer, proposal.kind, proposal.hypothesis) == (label, "code", "Steps of their own.")
        else:
            (status,) = board.notes.proposers()
            assert "RuntimeError: no idea what a view is" in status.detail


KNOBS = read_knobs((ROOT / "experiments" / "train.py").read_text())


class Says:
    """A tuner that says what it is told to."""

    def __init__(self) -> None:
        self.values: Any = None

    def suggest(self, knobs: Any, observations: Any, running: Any) -> Any:
        if isinstance(self.values, Exception):
            raise self.values
        return self.values


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"NO_KNOB": 1}, "suggest gave NO_KNOB, expected names of knobs: "),
        ({"MOMENTUM": 7.0}, "suggest gave MOMENTUM = 7.0, expected a value of "),
        (KeyError("x"), "KeyError: 'x'"),
        ([1], "AttributeError"),
    ],
)
def test_a_tuner_of_ones_own_pauses_with_its_fault_and_goes_on(
    values: Any, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    says = Says()
    tuner = OwnTuner(says, said.append)
    says.values = values
    assert tuner.suggest(KNOBS, (), ()) is None and len(said) == 1 and said[0].startswith(fault)
    says.values = {"MOMENTUM": 0.9}
    assert tuner.suggest(KNOBS, (), ()) is None, "it pauses"
    monkeypatch.setattr(tuner, "_until", 0.0)
    suggestion = tuner.suggest(KNOBS, (), ())
    assert suggestion is not None and said[1:] == [""]
    assert (dict(suggestion.values), suggestion.hypothesis) == ({"MOMENTUM": 0.9}, "MOMENTUM 0.95 -> 0.9")


def test_the_tuner_of_the_docs_searches_a_simulated_landscape(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(TUNER)
    command = [sys.executable, "-m", "autoresearch_ray.simulate", str(ROOT / "experiments" / "cpu.yaml")]
    command += ["--proposer", "tuner:mine:Nudge", "--trials", "14", "--slots", "2", "--runs-dir", "runs"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    assert "tuner:mine:Nudge" in set(load_trials(run).proposer)


def test_a_tuner_that_cannot_be_made_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "odd.py").write_text("class NoMethod:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SettingsError, match=r"^--proposer tuner:odd:NoMethod: has no method suggest; expected suggest"):
        load_tuner("odd:NoMethod")
    with pytest.raises(SettingsError, match=r"^--proposer tuner:odd:Missing: cannot be made"):
        load_tuner("odd:Missing")
    with pytest.raises(ValueError, match=r"which class\? expected tuner:package.module:Class"):
        parse_proposer("tuner:")
