"""The lines that a candidate's training time goes to."""

import threading
import time
from pathlib import Path

import pytest
from small_corpus import small_experiment

from autoresearch_ray.benchmark.data.dataset import prepare
from autoresearch_ray.benchmark.trial.job import Job
from autoresearch_ray.benchmark.trial.line_profile import LineProfile
from autoresearch_ray.benchmark.trial.slot import Slot
from autoresearch_ray.benchmark.trial.task import Clock

SOURCE = """\
import time, torch

def slow():
    time.sleep(0.03)

def train(task):
    model = torch.nn.Embedding(task.vocab_size, task.vocab_size)
    for x, y in task.batches(4):
        slow()
        time.sleep(0.003)
    return model
"""


def test_a_trial_says_which_lines_took_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTORESEARCH_HOME", str(tmp_path / "home"))
    dataset = prepare(small_experiment(tmp_path))
    with Slot(1, isolation="none") as slot:
        list(slot.run(Job(SOURCE, str(dataset.folder), 1, 1.0, "cpu", "none", 1, 0, 0.0), tmp_path / "trial"))
        result = slot.result
    assert result.status == "ok", result.error
    shares = dict(result.profile)
    slowest, other = SOURCE.splitlines().index("    time.sleep(0.03)") + 1, 10
    assert result.profile[0][0] == slowest and shares[slowest] > 3 * shares.get(other, 0.0)
    assert sum(shares.values()) <= 1.01


def test_nothing_is_said_of_a_time_before_the_clock_or_of_other_code() -> None:
    profile = LineProfile(Clock(1.0))
    profile.start()
    time.sleep(0.05)
    assert profile.stop() == () and "line-profile" not in [thread.name for thread in threading.enumerate()]
