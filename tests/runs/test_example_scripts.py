"""The scripts that ship as experiments run, each on a slot as the search runs it, and are short enough to be read."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoresearch_ray.benchmark.script.job import ScriptJob, script_slot
from autoresearch_ray.benchmark.script.snapshot import take
from autoresearch_ray.driver.script_run import read_script
from autoresearch_ray.records.trials import Candidate, Result
from autoresearch_ray.settings.experiment_file import load_any
from autoresearch_ray.settings.proposer_spec import ProposerSpec
from autoresearch_ray.settings.script_experiment import ScriptExperiment

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "experiments" / "scripts").glob("*/*.yaml"))
DATA = (".csv",)
BETTER = {  # changes that must show
    "digits": [("LEARNING_RATE = 0.0005", "LEARNING_RATE = 0.01")],
    "matmul": [("COLUMNS 8 ", "COLUMNS 500 ")],
    "rents": [
        ("LEARNING_RATE = 0.5", "LEARNING_RATE = 0.1"),
        ("SHARE = 0.3", "SHARE = 0.7"),
        ("TREES = 30", "TREES = 90"),
    ],
    "shapes": [("LR = 0.001", "LR = 0.006"), ("DROPOUT = 0.5", "DROPOUT = 0.1")],
    "sine": [("FREQUENCY = 1.0", "FREQUENCY = 5.0"), ("DECAY = 0.1", "DECAY = 0.001")],
    "tour": [("COLD = 0.1", "COLD = 0.01")],
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AUTORESEARCH_HOME", str(tmp_path / "home"))
    yield


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_has_room_for_improvement(path: Path, tmp_path: Path) -> None:
    experiment = load_any(path)
    assert isinstance(experiment, ScriptExperiment)
    if experiment.name == "matmul" and shutil.which("cc") is None:
        pytest.skip("needs cc: apt-get install build-essential")
    text = read_script(experiment, (ProposerSpec(name="tpe"),))
    better = text
    for old, new in BETTER[experiment.name]:
        assert old in better
        better = better.replace(old, new)
    snapshot = take(experiment)
    results: list[Result] = []
    with script_slot(experiment) as slot:
        for source in (text, better):
            job = ScriptJob(experiment, Candidate.of(source), snapshot, 1, "cpu", 4000, "full")
            list(slot.run(job, tmp_path))
            results.append(slot.result)
    assert [result.status for result in results] == ["ok", "ok"], [result.error for result in results]
    assert results[1].val_bpb < results[0].val_bpb


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_read_in_a_minute(path: Path) -> None:
    files = [file for file in path.parent.iterdir() if file.is_file() and file.suffix not in DATA]
    assert sum(len(file.read_text().splitlines()) for file in files) <= 60
    assert f"`{path.parent.name}/`" in (ROOT / "docs" / "scripts.md").read_text()
