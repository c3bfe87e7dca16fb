"""The train command on a script: its output, its metric, its exit status; and seeds beside a sitecustomize."""

import re
from pathlib import Path

import pytest

from autoresearch_ray import train

SCRIPT = """\
import random
import sys

import greeting

GAIN = 0.25
random.seed(1)
print(f"{greeting.WORD}, drew {random.random():.6f}")
if GAIN > 1:
    sys.exit("too much")
print("accuracy:", 0.5 + GAIN)
"""
EXPERIMENT = """\
contract: script
name: tiny
command: python fit.py
editable: [fit.py]
metric: accuracy
direction: higher
unit: share
budget_seconds: 1
device: cpu
environment: {PYTHONPATH: words}
constants: {GAIN: 0.5}
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUTORESEARCH_HOME", str(tmp_path / "home"))
    folder = tmp_path / "tiny"
    (folder / "words").mkdir(parents=True)
    (folder / "words" / "greeting.py").write_text("import sys\nWORD = sys.greeting\n")
    (folder / "words" / "sitecustomize.py").write_text("import sys\nsys.greeting = 'hello'\n")
    (folder / "fit.py").write_text(SCRIPT)
    (folder / "tiny.yaml").write_text(EXPERIMENT)
    return folder


def test_each_run_has_its_seed_and_says_its_metric(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main([str(script), "--repeat", "2"]) == 0
    output = capsys.readouterr().out
    drawn = re.findall(r"^hello, drew ([\d.]+)$", output, re.MULTILINE)
    assert len(drawn) == 2 and drawn[0] == "0.134364", "seed 0 changes nothing: random.seed(1) draws this"
    assert drawn[1] != drawn[0], "the experiment's own PYTHONPATH does not take the place of the seeds'"
    assert output.count("accuracy: 1.0\n---\nstatus:           ok\n") == 2
    assert output.count("\naccuracy:         1 share (self-reported; higher is better)\n") == 2


def test_a_script_that_fails_ends_the_command_with_its_last_line(
    script: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.py").write_text(SCRIPT.replace("0.25", "2.5"))
    assert train.main([str(script / "tiny.yaml"), "--candidate", str(tmp_path / "other.py")]) == 1
    output = capsys.readouterr().out
    assert "status:           crash\n" in output and "it printed: too much\n" in output


def test_a_wrong_candidate_is_one_line(script: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "trial").mkdir()
    assert train.main([str(script), "--candidate", str(tmp_path / "trial")]) == 2
    (tmp_path / "trial" / "fit.py").write_text("x = (\n")
    assert train.main([str(script), "--candidate", str(tmp_path / "trial")]) == 2
    first, second = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error:"))
    assert "fit.py: cannot be read (No such file or directory)" in first and "--unchecked runs them here" in second
