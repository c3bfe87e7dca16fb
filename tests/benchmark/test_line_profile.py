"""The lines that a candidate's training time goes to, and what became of its smallest parameters."""

import math
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from small_corpus import small_experiment

from autoresearch_ray.benchmark.data.dataset import prepare
from autoresearch_ray.benchmark.trial.job import Job
from autoresearch_ray.benchmark.trial.learned import plain_parameters, read_small_parameters
from autoresearch_ray.benchmark.trial.line_profile import LineProfile
from autoresearch_ray.benchmark.trial.slot import Slot
from autoresearch_ray.benchmark.trial.task import Clock

SOURCE = """\
import time, torch

def slow():
    time.sleep(0.03)

def train(task):
    model = torch.nn.Embedding(task.vocab_size, task.vocab_size)
    model.gate = torch.nn.Parameter(torch.tensor([0.5, -2.0]))
    for x, y in task.batches(4):
        slow()
        time.sleep(0.003)
    return model
"""
SLOW, OTHER = "    time.sleep(0.03)", "        time.sleep(0.003)"


def test_a_trial_says_which_lines_took_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTORESEARCH_HOME", str(tmp_path / "home"))
    dataset = prepare(small_experiment(tmp_path))
    with Slot(1, isolation="none") as slot:
        list(slot.run(Job(SOURCE, str(dataset.folder), 1, 1.0, "cpu", "none", 1, 0, 0.0), tmp_path / "trial"))
        result = slot.result
    assert result.status == "ok", result.error
    shares = dict(result.profile)
    slowest, other = (SOURCE.splitlines().index(line) + 1 for line in (SLOW, OTHER))
    assert result.profile[0][0] == slowest and shares[slowest] > 3 * shares.get(other, 0.0)
    assert sum(shares.values()) <= 1.01
    assert result.learned == (("gate", (0.5, -2.0)),)


def test_nothing_is_said_of_a_time_before_the_clock_or_of_other_code() -> None:
    profile = LineProfile(Clock(1.0))
    profile.start()
    time.sleep(0.05)
    assert profile.stop() == () and "line-profile" not in [thread.name for thread in threading.enumerate()]


def test_small_parameters_are_told_within_bounds_and_a_model_that_raises_tells_none() -> None:
    model = torch.nn.Module()
    for number in range(20):
        model.register_parameter(f"gate{number}", torch.nn.Parameter(torch.tensor(math.pi * number)))
    model.register_parameter("large", torch.nn.Parameter(torch.zeros(9)))
    learned = read_small_parameters(model)
    assert learned[:3] == (("gate0", (0.0,)), ("gate1", (3.142,)), ("gate2", (6.283,))) and len(learned) == 12

    class Raises(torch.nn.Module):
        def named_parameters(self, *_: object, **__: object) -> Any:
            raise RuntimeError("no")

    assert read_small_parameters(Raises()) == ()


@pytest.mark.parametrize("said", [(("gate", ("x",)),), (("gate", 3),), 7])
def test_what_is_no_parameter_is_refused(said: Any) -> None:
    with pytest.raises((ValueError, TypeError, AttributeError)):
        plain_parameters(said)
