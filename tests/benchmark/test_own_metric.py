"""A score of one's own under our contract: a function beside the experiment, computed by the judge."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from autoresearch_ray.benchmark.data.dataset import prepare
from autoresearch_ray.benchmark.trial.job import job_for
from autoresearch_ray.benchmark.trial.slot import Slot
from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.driver.new_run import choose_early_stop, choose_rules
from autoresearch_ray.settings.experiment import Experiment
from autoresearch_ray.settings.experiment_file import load_experiment
from autoresearch_ray.settings.request import ask
from autoresearch_ray.settings.scoring import Scoring

METRICS = """\
import math

def bits(log_probabilities, targets, token_bytes):
    used = token_bytes > 0
    assert log_probabilities.shape == targets.shape == token_bytes.shape
    return -float(log_probabilities[used].sum()) / math.log(2) / float(token_bytes.sum())

def likely(log_probabilities, targets, token_bytes):
    return float((log_probabilities > math.log(0.5)).mean())

def broken(log_probabilities, targets, token_bytes):
    return 1 / 0
"""
CANDIDATE = """\
import torch

def train(task):
    for x, y in task.batches(4):
        pass
    torch.manual_seed(0)
    return torch.nn.Embedding(task.vocab_size, task.vocab_size)
"""
YAML = "name: x\ndata: words.txt\nseq_len: 32\nvocab_size: 300\neval_tokens: 1024\nbudget_seconds: 0.3\n"


@pytest.fixture
def load(corpus: Path) -> Callable[..., Experiment]:
    """The experiment with these lines more."""
    (corpus.parent / "mine.py").write_text(METRICS)
    (corpus.parent / "train.py").write_text(CANDIDATE)

    def experiment(more: str = "") -> Experiment:
        (corpus.parent / "e.yaml").write_text(YAML + more)
        return load_experiment(corpus.parent / "e.yaml")

    return experiment


def test_the_judge_scores_by_it_and_decisions_read_lower_is_better(
    load: Callable[..., Experiment], tmp_path: Path
) -> None:
    plain = load()
    data = str(prepare(plain).folder)
    asked = {
        "bpb": plain,
        "bits": load("metric: mine.py:bits\n"),
        "likely": load("metric: mine.py:likely\ndirection: higher\n"),
        "broken": load("metric: mine.py:broken\n"),
    }
    results = {}
    with Slot(1) as slot:
        for name, experiment in asked.items():
            job = job_for(experiment, CANDIDATE, data, seed=1, device="cpu", memory_mb=2000)
            list(slot.run(replace(job, strength="off"), tmp_path / name))
            results[name] = slot.result
    assert results["bits"].val_bpb == pytest.approx(results["bpb"].val_bpb, rel=1e-12)
    assert results["bits"].holdout_bpb == pytest.approx(results["bpb"].holdout_bpb, rel=1e-12)
    assert -1 < results["likely"].val_bpb <= 0
    assert results["broken"].status == "invalid" and math.isnan(results["broken"].val_bpb)
    assert "the metric broken failed (ZeroDivisionError: division by zero)" in results["broken"].error


def test_its_name_direction_and_price_follow_from_the_experiment(load: Callable[..., Experiment]) -> None:
    ours, likely = load(), load("metric: mine.py:likely\ndirection: higher\nunit: share\n")
    assert ours.scoring.is_ours and likely.scoring == Scoring("likely", "share", "higher")
    assert choose_rules(ask(), ours).complexity_price == 0.00005 and choose_rules(ask(), likely).complexity_price == 0
    priced = load("metric: mine.py:likely\ncomplexity_price: 0.001\n")
    assert choose_rules(ask(), priced).complexity_price == 0.001
    assert choose_early_stop(ask(early_stop="paired"), ours, "none") == "paired"
    with pytest.raises(SettingsError, match=r"--early-stop paired: .*score is likely"):
        choose_early_stop(ask(early_stop="paired"), likely, "none")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("metric: mine.py:other\n", "defines no function other"),
        ("metric: yours.py:likely\n", "cannot be read"),
        ("metric: no_such_module:likely\n", "cannot be read"),
        ("metric: likely\n", "metric: likely` is wrong"),
        ("direction: higher\n", "direction and unit belong to a `metric: FILE.py:FUNCTION`"),
        ("metric_source: x\n", "unknown key `metric_source`"),
    ],
)
def test_a_wrong_one_is_told_in_one_line(load: Callable[..., Experiment], lines: str, told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(lines)
    assert told in str(caught.value) and "\n" not in str(caught.value)
