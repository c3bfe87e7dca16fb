"""One asking of a model about a script's run: the prompt from its experiment's file, and what it proposes."""

from pathlib import Path

import pytest
from scripts import FIT, KERNEL
from small_run import settings_of, write_experiment
from wire import Say, WireServer

from autoresearch_ray.driver.ask_model import Asking, ask_model, prompt_text
from autoresearch_ray.propose import __main__ as consult
from autoresearch_ray.records.source_files import join
from autoresearch_ray.search.models.experiment_view import experiment_view
from autoresearch_ray.settings.experiment_file import load_any
from autoresearch_ray.settings.proposer_spec import parse_proposer
from autoresearch_ray.settings.request import ask
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.settings.script_experiment import ScriptExperiment

SCRIPT = """\
contract: script
name: digits
command: python fit.py
editable: [fit.py, dot.c]
metric: accuracy
direction: higher
budget_seconds: 5
limits: {train_seconds: "<= 4"}
"""
ANSWER = (
    "<idea 1>\nhypothesis: More passes reach further.\nexpected: +0.02\n<<<<<<< SEARCH\n    for _ in range(EPOCHS):\n"
    "=======\n    for _ in range(2 * EPOCHS):\n>>>>>>> REPLACE\n</idea>\n"
    "<idea 2>\nhypothesis: Rows of another file.\nexpected: +0.02\n"
    "#### file: more.py ####\n```python\nX = 1\n```\n</idea>\n"
)


def settings(folder: Path, yaml: str = SCRIPT) -> RunSettings:
    """Those of a run of the script, asked of a model."""
    (folder / "script").mkdir()
    path = folder / "script" / "digits.yaml"
    for name, text in (("digits.yaml", yaml), ("fit.py", FIT), ("dot.c", KERNEL)):
        (folder / "script" / name).write_text(text)
    experiment = load_any(path)
    assert isinstance(experiment, ScriptExperiment)
    files = tuple((name, (folder / "script" / name).read_text()) for name in experiment.editable)
    ours = settings_of(ask(experiment=write_experiment(folder), tag="x"))
    return ours.replace(
        experiment=experiment,
        baseline=join(files),
        program="# Digits\n",
        proposers=(parse_proposer("anthropic:claude-haiku-4-5"),),
    )


def test_a_dry_run_prints_the_script_s_prompt(tmp_path: Path) -> None:
    text = prompt_text(Asking(settings(tmp_path), None, "# Digits\n", 2))
    assert "Every trial runs `python fit.py`" in text and "#### file: dot.c ####\n#define BLOCK 64" in text
    assert "<program>\n# Digits\n</program>" in text and "Propose 2 ideas" in text
    assert "After 70 s it is ended" in text and "`train_seconds` has to be <= 4." in text
    assert "val_bpb" not in text and "train(task)" not in text and "Noise: not measured yet." in text


def test_the_command_reads_the_experiment_s_own_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-consult-0123456789")
    settings(tmp_path)
    asked = [str(tmp_path / "script/digits.yaml"), "--proposer", "anthropic:claude-haiku-4-5", "--dry-run"]
    assert consult.main(asked) == 0
    printed = capsys.readouterr().out
    assert "Every trial runs `python fit.py`" in printed and "#### file: dot.c ####\n#define BLOCK 64" in printed
    assert "val_bpb" not in printed and "J = " not in printed, "lines have no price unless the experiment says one"


def test_an_asking_applies_what_fits_and_refuses_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-consult-0123456789")
    said: list[str] = []
    with WireServer("anthropic", [Say(ANSWER), Say("I give up.")]) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        answer, failure = ask_model(Asking(settings(tmp_path), None, "# Digits\n", 2), said.append)
    assert failure is None and said == ["idea 1 passed every gate"]
    assert "-    for _ in range(EPOCHS):\n+    for _ in range(2 * EPOCHS):" in answer
    assert "It gives a file more.py; expected dot.c, fit.py" in answer


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("", "the number in a line `accuracy: NUMBER` of the output; there has to be exactly one"),
        ("take: last\n", "of the output; the last one counts"),
        ("pattern: 'acc=(\\S+)'\n", "the number that the regular expression `acc=(\\S+)` finds in the output"),
        ("result_file: out.json\n", "the number under `accuracy` in the JSON file `out.json` that is written"),
        ("judge: python judge.py\nartefacts: [out.csv]\n", "of the judge's output; there has to be exactly one"),
    ],
)
def test_it_says_which_number_the_metric_is(tmp_path: Path, more: str, words: str) -> None:
    view = experiment_view(settings(tmp_path, SCRIPT + more))
    assert words in view.read_from  # type: ignore[union-attr]
